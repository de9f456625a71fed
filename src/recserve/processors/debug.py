"""The table of debug levels: what a request gets beside its scores, or in place of them.

    debug_level ──LEVELS──▶ DebugLevel ──▶ server/endpoint.py: score, or look
                                       ──▶ server: stage log, captures

A level is a record and nothing else; what acts on it reads the fields. Source: the hosted TorchEasyRec
processor's table of debug levels; that of EasyRec for 102.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class DebugLevel:
    """What one level does."""

    number: int
    sentence: str  # for the reference page
    predicts: bool = True  # runs the model and answers map_outputs; else map_outputs is empty
    raw: bool = False  # raw_features: what feature generation read, by item id
    generated: Literal["", "pairs", "table"] = ""  # generate_features: what it made of that, by item id
    inputs: bool = False  # the model's input tensors, as text
    checks: Literal["", "refuse", "log"] = ""  # columns and tensors; what is wrong is a 400, or a log line
    captured: bool = False  # the request is kept on disk
    logs_stages: bool = False  # the time of every stage, whether it was slow or not
    reports_missing: bool = False  # the columns that neither request nor items gave, in the log
    looks: bool = field(init=False)  # it takes more than scoring to answer

    def __post_init__(self) -> None:
        looks = self.raw or self.generated or self.inputs or self.checks or self.reports_missing
        object.__setattr__(self, "looks", bool(looks))


#: Every level that does something; all others are 0.
LEVELS: Mapping[int, DebugLevel] = {
    level.number: level
    for level in (
        DebugLevel(0, "Scores."),
        DebugLevel(
            1,
            "What features read and what they made of it; no scores.",
            predicts=False,
            raw=True,
            generated="pairs",
            checks="refuse",
        ),
        DebugLevel(
            2,
            "The same, with scores and the model's input tensors.",
            raw=True,
            generated="pairs",
            inputs=True,
            checks="refuse",
        ),
        DebugLevel(
            3,
            "Generated features as a table, for sample writers; no scores.",
            predicts=False,
            generated="table",
            checks="refuse",
        ),
        DebugLevel(100, "Scores; the request is kept on disk.", captured=True),
        DebugLevel(
            102,
            "As 2, for models that recall; what is wrong is logged, since clients send it all the time.",
            raw=True,
            generated="pairs",
            inputs=True,
            checks="log",
        ),
        DebugLevel(903, "Scores; the time of each stage is logged.", logs_stages=True),
        DebugLevel(904, "Scores; what is wrong or missing is logged.", checks="log", reports_missing=True),
    )
}

#: What all other levels are.
PLAIN = LEVELS[0]

#: The levels of requests that bring the model's own tensors (`fg_mode: bypass`): there are no features.
TENSOR_LEVELS: Mapping[int, DebugLevel] = {number: LEVELS[number] for number in (0, 100, 903)}
