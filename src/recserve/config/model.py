"""`model_config`: how the model is fed, what runs it and what it answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recserve.config.settings import PROCESSOR, PROTOCOL, setting
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


_SIZE = re.compile(r"(\d+)\s*([KMGT]?)B?", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """`model_config`: how the model is fed and what it answers."""

    fg_mode: str = setting(
        "bypass",
        "normal: features are generated from raw columns; bypass: clients send the model's own tensors; "
        "auto: normal if the bundle has an fg.json (the default without a service file).",
        choices=("bypass", "normal", "auto"),
        source=PROCESSOR,
    )
    fg_threads: int = setting(
        0,
        "Accepted, no effect: one native pass, too short to be shared out, generates a request's features.",
        least=0,
        source=PROCESSOR,
    )
    outputs: tuple[str, ...] = setting(
        (), "Outputs of the model that are answered, separated by commas; none named = all.", source=PROCESSOR
    )
    item_empty_score: float = setting(
        0.0,
        "The score of an item whose id is unknown and for which the request brings no feature.",
        source=PROCESSOR,
    )
    pass_through_data: Mapping[str, str] = setting(
        {}, "Constants that every answer returns as they are, such as model_version.", source=PROTOCOL
    )
    debug_separators: Mapping[str, str] = setting(
        {},
        "What parts the pieces of debug texts where it is not as usual: "
        "pair |, name :, column \\x02, value \\x1d, element ;, key :.",
        keys=("pair", "name", "column", "value", "element", "key"),
    )
    device: str = setting("cpu", "Where the model runs: cpu, cuda, or cuda:<n> for the n-th GPU.")
    engine: str = setting(
        "auto",
        "What runs the model: auto leaves it to `compiled`; torchscript or torch_export is the export as "
        "it is, aotinductor insists on machine code.",
    )
    compiled: str = setting(
        "auto",
        "What `recserve compile` made of the model: auto runs it where it fits and was faster, require "
        "does not start without it, off runs the export, whose scores it equals but for rounding.",
        choices=("auto", "off", "require"),
    )
    compiled_check_every: int = setting(
        1000,
        "While a compiled model runs, one request in so many is scored by the export as well, after its "
        "answer; scores too far from it switch the compiled model off. 0: none.",
        unit="requests",
        least=0,
    )
    item_results: str = setting(
        "off",
        "What of the model depends on an item alone, kept by version of its row: off; full: of all items; a "
        "memory budget such as 2GB: of those asked for most. Needs `recserve compile --item-results`.",
    )
    not_finite: str = setting(
        "keep",
        "Scores that are NaN or infinite: keep them, answer item_empty_score (replace), or 500 (fail).",
        choices=("keep", "replace", "fail"),
    )
    slow_request_ms: int = setting(
        200,
        "Requests slower than this are logged with the time of each stage.",
        unit="ms",
        key="long_request_threshold",
        least=0,
        source=PROCESSOR,
    )

    @property
    def item_results_bytes(self) -> int | None:
        """`item_results` as a memory budget: None for off, 0 for full, which has no limit."""
        text = self.item_results.strip()
        if text in ("off", "full"):
            return None if text == "off" else 0
        found = _SIZE.fullmatch(text)
        if found is None or int(found[1]) == 0:
            raise ConfigError(
                f"model_config.item_results: '{text}' is none of off, full and a memory budget like 2GB or "
                "500000000 bytes"
            )
        return int(found[1]) * _UNITS[found[2].upper()]

    def generates_features(self, has_fg: bool) -> bool:
        """Whether requests bring raw features (normal) rather than the model's tensors (bypass)."""
        return has_fg if self.fg_mode == "auto" else self.fg_mode == "normal"
