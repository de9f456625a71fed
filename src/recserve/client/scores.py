"""What comes back: scores by output name, entry k for item k."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from recserve.columns import to_arrow
from recserve.wire import torchrec

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Scores(Mapping[str, "NDArray[Any]"]):
    """What a model answered: an array by output name, entry k for item k."""

    outputs: Mapping[str, NDArray[Any]]  # (items,) or (items, k) each
    item_ids: Sequence[str]
    request_id: str = ""
    stages_ms: Mapping[str, float] = field(default_factory=dict)  # the server's own time, by stage
    pass_through: Mapping[str, str] = field(default_factory=dict)
    generate_features: Mapping[str, str] = field(default_factory=dict)  # by item id; debug levels only
    raw_features: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, headers: Mapping[str, str], body: bytes) -> Scores:
        """Read an answer. Raises RequestError if it is none."""
        response = torchrec.decode_response(body)
        return cls(
            outputs=response.outputs,
            item_ids=to_arrow(response.item_ids).to_pylist(),
            request_id=headers.get("X-Request-Id", ""),
            stages_ms=server_timing(headers.get("Server-Timing", "")),
            pass_through=response.pass_through,
            generate_features=response.generate_features,
            raw_features=response.raw_features,
        )

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)

    def order(self, output: str | None = None) -> NDArray[np.intp]:
        """Positions of the items, best first, by the output named or the first one.

        Equal scores keep the order in which items were sent; what is not a number comes last.
        """
        name = output if output is not None else next(iter(self.outputs))
        scores = self.outputs[name]
        if scores.ndim != 1:
            raise ValueError(f"output '{name}' has {scores.shape[1:]} values per item; rank by one of them")
        order: NDArray[np.intp] = np.argsort(-scores.astype(np.float64), kind="stable")
        return order

    def ranked(self, output: str | None = None) -> list[tuple[str, float]]:
        """All items with their scores, best first."""
        scores = self.outputs[output if output is not None else next(iter(self.outputs))]
        return [(self.item_ids[row], float(scores[row])) for row in self.order(output)]

    def top(self, count: int, output: str | None = None) -> list[tuple[str, float]]:
        """The best items with their scores, best first."""
        return self.ranked(output)[:count]


def server_timing(header: str) -> dict[str, float]:
    """`decode;dur=0.02, run;dur=3.1` → milliseconds by stage."""
    stages = {}
    for entry in header.split(","):
        stage, *parameters = [part.strip() for part in entry.split(";")]
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key == "dur":
                stages[stage] = float(value)
    return stages
