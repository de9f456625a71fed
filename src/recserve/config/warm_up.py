"""`model_config`, warm-up: requests of yesterday that a start replays before it is ready."""

from __future__ import annotations

from dataclasses import dataclass

from recserve.config.settings import PROCESSOR, setting


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Where requests for the warm-up are, and how many are kept for the next start."""

    data_path: str = setting(
        "",
        "Folder of .pb requests that a start replays; the first real ones are kept there.",
        key="warmup_data_path",
        source=PROCESSOR,
    )
    count_per_file: int = setting(
        20, "How often each of them is replayed.", key="warmup_cnt_per_file", least=1, source=PROCESSOR
    )
    files: int = setting(
        64,
        "Real requests that are kept for the next start.",
        key="warmup_pb_files_count",
        least=0,
        source=PROCESSOR,
    )
    max_seconds: float = setting(
        120.0,
        "Replaying ends after this long, whatever is left; the service is ready then.",
        unit="s",
        key="warmup_max_seconds",
        least=0,
    )
