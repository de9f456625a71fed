"""LitServe, an inference worker per core: `python -m benchmarks.peers.apps.litserve_app <port>`."""

from __future__ import annotations

import sys
from typing import Any

import litserve
from benchmarks.peers.scoring import Scorer


class Rank(litserve.LitAPI):
    """What each worker does with a request."""

    def setup(self, device: str) -> None:
        """Load in the worker."""
        self.scorer = Scorer.load()

    def predict(self, request: dict[str, Any]) -> Any:
        """Score the items of a parsed JSON body."""
        return self.scorer.score(request["user"], request["item_ids"])

    def encode_response(self, scores: Any) -> dict[str, Any]:
        """Make a document of the scores."""
        return {"probs": scores.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Rank(), accelerator="cpu", workers_per_device=2)
    server.run(port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False, log_level="warning")
