"""`model_config`, captures: requests that are kept on disk, chosen or slow."""

from __future__ import annotations

from dataclasses import dataclass

from recserve.config.settings import EASYREC, PROCESSOR, setting


@dataclass(frozen=True, slots=True)
class Captures:
    """Which requests are kept, where, and how much of them at most."""

    request_log_path: str = setting(
        "",
        "Folder for requests with debug_level 100, one PBLogData each; empty = torch_req beside the model.",
        source=PROCESSOR,
    )
    threads: int = setting(
        4,
        "Threads that write captures.",
        key="background_feature_thread_num",
        least=1,
        most=256,
        source=PROCESSOR,
    )
    save_long_request: bool = setting(
        False,
        "Keep requests that take longer than long_request_threshold, in torch_req beside the model.",
        source=PROCESSOR,
    )
    save_req: bool = setting(
        False,
        "Accepted, no effect: requests are kept when they ask for it (debug_level 100) or are slow.",
        source=EASYREC,
    )
    queue_requests: int = setting(
        256,
        "Captures that may wait to be written; one more is dropped and counted.",
        key="capture_queue",
        least=1,
    )
    queue_bytes: int = setting(
        256 * 2**20,
        "The same, in bytes of their requests.",
        unit="bytes",
        key="capture_queue_bytes",
        least=1,
    )
    max_bytes: int = setting(
        2**30,
        "All captures together; the oldest are removed. 0 = no limit.",
        unit="bytes",
        key="capture_max_bytes",
        least=0,
    )
    max_age_h: float = setting(
        168.0, "Captures older than this are removed; 0 = never.", unit="h", key="capture_max_age", least=0
    )
