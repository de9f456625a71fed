"""BentoML, a worker per core: `bentoml serve benchmarks.peers.apps.bentoml_app:Rank`."""

from typing import Any

import bentoml
import numpy as np
from benchmarks.peers.scoring import Scorer


@bentoml.service(workers=2, logging={"access": {"enabled": False}})
class Rank:
    """The service; each worker calls it from one thread."""

    def __init__(self) -> None:
        self.scorer = Scorer.load()

    @bentoml.api
    def score(self, user: dict[str, Any], item_ids: list[str]) -> np.ndarray:
        """Score the items of a request."""
        return self.scorer.score(user, item_ids)
