"""Keys of the hosted product that one process on one machine does not act on, so that its files are accepted.

Each is told apart from a typing mistake: ACCEPTED has nothing to say here, REFUSED would be unsafe to ignore.
A section is named by its path in the file ("" is the top level). Keys that could have an effect are settings.
"""

from __future__ import annotations

# Size, place and price of instances, and what a control plane does with them: no effect on one machine.
_PLACEMENT = """
    cpu cuda disk eas enable_grpc enable_webservice gateway gpu gpu_core_percentage gpu_memory instance
    memory qos quota_id quota_type rdma region release resource resource_burstable resource_rebalancing role
    role_attrs rolling_strategy scheduling shm_size type weight workload_type workspace_id
"""
_CONTROL_PLANE = """
    aimaster autoscaler cloud dockerAuth features generate_token labels model_entry model_path networking
    options oss_endpoint resource role_arn runtime source storage unit
"""

ACCEPTED: dict[str, frozenset[str]] = {
    "": frozenset(_CONTROL_PLANE.split()),
    "metadata": frozenset(_PLACEMENT.split()),
}


# Variables that the export reads: its files already hold what they said.
_EXPORT = """
    AOTI_AUTOTUNE_WITH_SAMPLE_INPUTS DEBUG_TRT DIST_QUANT ENABLE_AOT ENABLE_TMA ENABLE_TRT INPUT_TILE_3_ONLINE
    MAX_EXPORT_BATCH_SIZE ONLINE_DENSE_EXPORT QUANT_EC_EMB QUANT_EMB TRT_MAX_BATCH_SIZE TRT_MAX_SEQ_LEN
    UNIFIED_AOT USE_DISTRIBUTED_EMBEDDING USE_RTP
"""
EXPORT_VARIABLES = frozenset(_EXPORT.split())

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
    return ACCEPTED.get(section, frozenset()) | REFUSED.get(section, {}).keys()
