"""TorchServe's handler; it is packed into an archive, which the server starts two workers of."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.scoring import Scorer


class Rank:
    """One worker."""

    def initialize(self, context: Any) -> None:
        """Load in the worker."""
        self.scorer = Scorer.load()

    def handle(self, data: list[dict[str, bytearray]], context: Any) -> list[bytes]:
        """Score a batch, which is one request here."""
        return [self.scorer.answer(bytes(request["body"])) for request in data]
