"""Keys of the hosted product that one process on one machine does not act on, so that its files are accepted.

Each is told apart from a typing mistake: ACCEPTED has nothing to say here, NOT_YET is warned about, REFUSED
would be unsafe to ignore. A section is named by its path in the file ("" is the top level).
"""

from __future__ import annotations

# Size, place and price of instances, and what a control plane does with them: no effect on one machine.
_PLACEMENT = """
    cpu cuda disk eas enable_grpc enable_webservice gateway gpu gpu_core_percentage gpu_memory group instance
    memory qos quota_id quota_type rdma region release resource resource_burstable resource_rebalancing role
    role_attrs rolling_strategy scheduling shm_size type weight workload_type workspace_id
"""
_CONTROL_PLANE = """
    aimaster autoscaler cloud dockerAuth features generate_token labels model_entry model_path networking
    options oss_endpoint resource role_arn runtime source storage unit
"""
# jemalloc is preloaded by whoever starts the process, SIGTERM always drains, the rest is the hosted network.
_PROCESS = "enable_jemalloc enable_sigterm io_threads proxy_path"
# One native pass generates all features of a request and is too short to be shared out among threads.
_MODEL = "fg_threads"

ACCEPTED: dict[str, frozenset[str]] = {
    "": frozenset(_CONTROL_PLANE.split()),
    "metadata": frozenset(_PLACEMENT.split()),
    "metadata.rpc": frozenset(_PROCESS.split()),
    "model_config": frozenset({_MODEL, "featuredb_passwd", "save_req"}),
}


_SCORES_ONLY = "this process scores, it does not recall"

# Features of the hosted product that recserve does not have yet, with what happens instead.
NOT_YET: dict[str, dict[str, str]] = {
    "model_config": {
        "faiss_neigh_num": _SCORES_ONLY,
        "faiss_nprobe": _SCORES_ONLY,
        "tdm_retrieval_num": _SCORES_ONLY,
    },
}

_CUSTOM = "this process serves exported models only, not custom processors"

# What a user relies on and would not get.
REFUSED: dict[str, dict[str, str]] = {
    "": {
        "confidential": "models are not encrypted; remove the key if that is not needed",
        "containers": "this process serves an exported model, not a container",
        "processor_entry": _CUSTOM,
        "processor_mainclass": _CUSTOM,
        "processor_path": _CUSTOM,
        "processor_type": _CUSTOM,
        "sinker": "requests and responses are not persisted; remove the key if that is not needed",
    },
}


def known_keys(section: str) -> frozenset[str]:
    """Every key of a section that is not a setting of ours and yet no mistake."""
    by_reason = (ACCEPTED, NOT_YET, REFUSED)
    return frozenset(key for table in by_reason for key in table.get(section, ()))
