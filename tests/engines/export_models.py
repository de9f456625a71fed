"""Small models of torch.export."""

# No `from __future__ import annotations`: torch.export looks at `forward` as it stands.
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim


class Sums(nn.Module):
    """Sums of a dense feature and of the ids of each row, as `ColumnSum` has them."""

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        old = data["age.values"].sum(1)
        ends = data["tags.lengths"].cumsum(0)
        ids = data["tags.values"].float().cumsum(0)
        running = torch.cat([torch.zeros(1), ids])
        return {"all": old + running[ends] - running[ends - data["tags.lengths"]], "old": old}


class Scores(nn.Module):
    """Two arguments that share their rows, one of them by name, and a number with a default."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.linear = nn.Linear(3, 1)

    def forward(self, x: Tensor, *, ids: Tensor, scale: float = 2.0) -> dict[str, Tensor]:
        logits = self.linear(x).squeeze(1) + ids.float().sum(1) * scale
        return {"logits": logits, "probs": torch.sigmoid(logits)}


class Pair(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return x - y, (x > y)


ROWS, STEPS = Dim("rows", max=1000), Dim("steps")


def write(
    folder: Path,
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    **dynamic: Any,
) -> Path:
    """Export a model as a bundle; `dynamic` names the sizes that requests choose, by argument."""
    folder.mkdir(parents=True, exist_ok=True)
    program = torch.export.export(model.eval(), args, kwargs, dynamic_shapes=dynamic or None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own of its own archive
        torch.export.save(program, folder / "exported_model.pt2")
    return folder


def write_sums(folder: Path, rows: Any = None) -> Path:
    """`rows` says how many there may be: any."""
    data = {
        "tags.values": torch.ones(5, dtype=torch.int64),
        "tags.lengths": torch.tensor([2, 0, 3]),
        "age.values": torch.ones(3, 2),
    }
    rows = rows or Dim("rows")
    sizes = {"tags.values": {0: Dim("ids")}, "tags.lengths": {0: rows}, "age.values": {0: rows}}
    return write(folder, Sums(), (data,), data=sizes)


def write_scores(folder: Path) -> Path:
    return write(
        folder,
        Scores(),
        (torch.ones(4, 3),),
        {"ids": torch.ones(4, 2, dtype=torch.int64)},
        x={0: ROWS},
        ids={0: ROWS, 1: STEPS},
    )
