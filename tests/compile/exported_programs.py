"""Rankers in plain PyTorch, exported by torch.export: the families of `families.py` over other look-ups.

Ids of one value are read from `nn.Embedding`, those of many from `nn.EmbeddingBag`, and the clicks are padded
with what torch itself has for that.
"""

# No `from __future__ import annotations`: torch.export looks at `forward` as it stands.
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tests.compile.families import CLICKED, DIM, FAMILIES, FLOATS, MANY, OTHER, STEPS, TABLES, USER, fg
from torch import Tensor, nn

from recserve.bundle import Bundle
from recserve.compile.requests import Requests
from recserve.config.service import load
from recserve.processors.load import load_features

#: Features of which a row has any number of values.
BAGS = (*MANY, "liked")


class Ranker(nn.Module):
    """Embeddings, and a family's head above them."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head
        tables: dict[str, nn.Module] = {}
        for name, (_, size) in TABLES.items():
            bag = nn.EmbeddingBag(size, DIM, mode="sum", include_last_offset=True)
            tables[name] = bag if name in BAGS else nn.Embedding(size, DIM)
        self.tables = nn.ModuleDict(tables)

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        pooled = torch.cat([self.row(data, name) for name in [*USER, *OTHER]], dim=1)
        dense = torch.cat([data[f"{name}.values"] for name in FLOATS], dim=1)
        lengths = data[f"clicks__{CLICKED[0]}.lengths"]
        present = torch.arange(STEPS).unsqueeze(0) < lengths.unsqueeze(1)
        steps = [self.tables[name](self.padded(data, name, present)) for name in CLICKED]
        keys = torch.cat(steps, dim=2) * present.unsqueeze(2)
        first = DIM * len(USER)
        query = pooled[:, first : first + keys.size(2)]
        logits = self.head(pooled, dense, query, keys, ~present)
        return {"logits_ctr": logits[:, 0], "probs_ctr": torch.sigmoid(logits[:, 0])}

    def row(self, data: dict[str, Tensor], name: str) -> Tensor:
        """A vector for each row."""
        if name not in BAGS:
            found: Tensor = self.tables[name](data[f"{name}.values"])
            return found
        ends = data[f"{name}.lengths"].cumsum(0)
        pooled: Tensor = self.tables[name](data[f"{name}.values"], torch.cat([ends.new_zeros(1), ends]))
        return pooled

    def padded(self, data: dict[str, Tensor], name: str, present: Tensor) -> Tensor:
        """Ids of the clicks, (rows, STEPS)."""
        return torch.zeros_like(present, dtype=torch.int64).masked_scatter(
            present, data[f"clicks__{name}.values"]
        )


def write(
    folder: Path,
    model: nn.Module,
    *,
    rows: int = 5,
    core: bool = False,
    sizes: Any = None,
    only: tuple[str, ...] = (),
    tile: bool = False,
) -> Bundle:
    """Export a model that reads the features of all families, with sizes that requests choose.

    `core`: as what `run_decompositions` leaves. `sizes` of the inputs' dimensions; none: they may be any.
    `only` these features. `tile`: users have one row.
    """
    folder.mkdir(parents=True)
    features = fg()["features"]
    chosen = [one for one in features if not only or one.get("feature_name") in only]
    (folder / "fg.json").write_text(json.dumps({"features": chosen}))
    (folder / "model_acc.json").write_text(json.dumps({"INPUT_TILE": "3"} if tile else {}))
    (folder / "exported_model.pt2").touch()  # a bundle has a model, and its features tell what that reads
    plan = load_features(Bundle.open(folder), load(None))
    example = Requests(plan, plan.tensors).example(rows)
    data = {name: torch.from_numpy(tensor) for name, tensor in example.items()}
    any_size = {name: {0: torch.export.Dim.AUTO} for name in data}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of what it deprecates and of its own archive
        program = torch.export.export(
            model.eval(), (data,), dynamic_shapes={"data": any_size if sizes is None else sizes(data)}
        )
        if core:
            program = program.run_decompositions()
        torch.export.save(program, folder / "exported_model.pt2")
    return Bundle.open(folder)


def ranker(name: str) -> Ranker:
    """A family's model; the same weights each time."""
    torch.manual_seed(11)
    return Ranker(FAMILIES[name]())


def up_to(most: int) -> Any:
    """Sizes of a program of so many rows, and of any number of values."""

    def sizes(data: Mapping[str, Tensor]) -> dict[str, Any]:
        rows, steps = torch.export.Dim("rows", max=most), torch.export.Dim("steps")
        clicks = [f"clicks__{member}.values" for member in CLICKED]
        bags = {f"{name}.values": torch.export.Dim(f"{name}_values") for name in BAGS}
        first = dict.fromkeys(data, rows) | bags | dict.fromkeys(clicks, steps)
        return {name: {0: size} for name, size in first.items()}

    return sizes
