"""`model_config`, recall: keys of the hosted product that are read and have no effect yet."""

from __future__ import annotations

from dataclasses import dataclass

from recserve.config.settings import DOCS, PROCESSOR, setting

_SCORES_ONLY = "this process scores, it does not recall"


@dataclass(frozen=True, slots=True)
class Recall:
    """How many items are found, and how thoroughly they are searched for."""

    faiss_neigh_num: int = setting(
        1,
        "Vector recall: items to find where the request does not say; no effect yet.",
        least=1,
        source=PROCESSOR,
        no_effect_yet=_SCORES_ONLY,
    )
    faiss_nprobe: int = setting(
        800,
        "Vector recall: clusters to search; no effect yet.",
        least=1,
        source=PROCESSOR,
        no_effect_yet=_SCORES_ONLY,
    )
    tdm_retrieval_num: int = setting(
        200, "Tree recall: items to find; no effect yet.", least=1, source=DOCS, no_effect_yet=_SCORES_ONLY
    )
