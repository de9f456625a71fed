"""`model_config`: how the model is fed, what runs it and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from recserve.config.settings import setting
from recserve.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """`model_config`: how the model is fed and what it answers."""

    fg_mode: str = setting(
        "bypass",
        "normal: features are generated from raw columns; bypass: clients send the model's own tensors; "
        "auto: normal if the bundle has an fg.json (the default without a service file).",
        choices=("bypass", "normal", "auto"),
    )
    outputs: tuple[str, ...] = setting(
        (), "Outputs of the model that are answered, separated by commas; none named = all."
    )
    item_empty_score: float = setting(
        0.0, "The score of an item whose id is unknown and for which the request brings no feature."
    )
    device: str = setting("cpu", "Where the model runs: cpu, cuda, or cuda:<n> for the n-th GPU.")
    engine: str = setting(
        "auto",
        "What runs the model: auto takes what `recserve compile` proved to be best, else the export itself.",
    )
    not_finite: str = setting(
        "keep",
        "Scores that are NaN or infinite: keep them, answer item_empty_score (replace), or 500 (fail).",
        choices=("keep", "replace", "fail"),
    )
    pass_through_data: tuple[str, ...] = setting(
        (), "Constants that every answer brings, each as name=value; for requests with features."
    )
    slow_request_ms: int = setting(
        200,
        "Requests slower than this are logged with the time of each stage.",
        unit="ms",
        key="long_request_threshold",
        least=0,
    )

    def __post_init__(self) -> None:
        for constant in self.pass_through_data:
            if not constant.partition("=")[0].strip() or "=" not in constant:
                raise ConfigError(
                    f"model_config.pass_through_data: '{constant}' is no constant; write name=value"
                )

    @property
    def pass_through(self) -> dict[str, str]:
        """`pass_through_data` by name."""
        parts = (constant.partition("=") for constant in self.pass_through_data)
        return {name.strip(): value for name, _, value in parts}

    def generates_features(self, has_fg: bool) -> bool:
        """Whether requests bring raw features (normal) rather than the model's tensors (bypass)."""
        return has_fg if self.fg_mode == "auto" else self.fg_mode == "normal"
