"""Small real models: a ranking model with fbgemm look-ups, as exports have it, and odd ones."""

# No `from __future__ import annotations`: TorchScript reads the annotations of `forward`.
import json
import warnings
from pathlib import Path
from typing import Any

import fbgemm_gpu  # noqa: F401  registers torch.ops.fbgemm
import numpy as np
import torch
from torch import Tensor, fx, nn

from recserve.columns import ModelInputs

DIM = 4
STEPS = 6
TABLES = {"user_id": 50, "item_id": 40, "tags": 30}
FLOAT32, HOST, SUM, NONE, WARNING = 0, 3, 0, 2, 1


class Rank(nn.Module):
    """Three id tables, a click sequence that shares the item table, a dense feature of width 2.

    With `tile` user tensors have one row and `batch_size` is read (INPUT_TILE).
    """

    weights: Tensor
    starts: Tensor
    rows: Tensor
    warning: Tensor

    def __init__(self, *, tile: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.tile = tile
        starts = torch.tensor([0, *TABLES.values()]).cumsum(0)
        weights = torch.empty(int(starts[-1]) * DIM * 4, dtype=torch.uint8)
        weights.view(torch.float32).uniform_(-1, 1)
        self.register_buffer("weights", weights)
        self.register_buffer("starts", starts[:-1] * DIM * 4)
        self.register_buffer("rows", torch.tensor(list(TABLES.values())))
        self.register_buffer("warning", torch.zeros(1, dtype=torch.int64))
        self.head = nn.Linear(4 * DIM + 2, 2)

    def forward(self, data: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        user = self.look_up(data, ["user_id"], device)
        clicks = self.mean_of_clicks(data, device)
        items = self.look_up(data, ["item_id", "tags"], device)
        if self.tile:
            rows: Any = data["batch_size"].item()
            user, clicks = user.repeat(rows, 1), clicks.repeat(rows, 1)
        logits = self.head(torch.cat([user, clicks, items, data["price.values"].to(device)], dim=1))
        ctr, cvr = logits.unbind(1)
        return {"probs_ctr": torch.sigmoid(ctr), "probs_cvr": torch.sigmoid(cvr), "logits": logits}

    def look_up(self, data: dict[str, Tensor], names: list[str], device: torch.device) -> Tensor:
        values = torch.cat([data[f"{name}.values"] for name in names]).to(device)
        lengths = torch.cat([data[f"{name}.lengths"] for name in names]).to(device)
        return self.rows_of(values, torch.ops.fbgemm.asynchronous_complete_cumsum(lengths), names, SUM)

    def mean_of_clicks(self, data: dict[str, Tensor], device: torch.device) -> Tensor:
        ids = data["clicks__item_id.values"].to(device)
        lengths = data["clicks__item_id.lengths"].to(device)
        steps = self.rows_of(ids, torch.arange(ids.size(0) + 1), ["item_id"], NONE)
        offsets = torch.ops.fbgemm.asynchronous_complete_cumsum(lengths)
        padded: Tensor = torch.ops.fbgemm.jagged_to_padded_dense(steps, [offsets], [STEPS], 0.0)
        return padded.mean(1)

    def rows_of(self, values: Tensor, offsets: Tensor, names: list[str], pooling: int) -> Tensor:
        first = list(TABLES).index(names[0])
        tables = slice(first, first + len(names))
        count = len(names)
        torch.ops.fbgemm.bounds_check_indices(self.rows[tables], values, offsets, WARNING, self.warning)
        found: Tensor = torch.ops.fbgemm.int_nbit_split_embedding_codegen_lookup_function(
            self.weights,
            self.weights,
            torch.full((count,), HOST, dtype=torch.int32),
            self.starts[tables],
            torch.full((count,), FLOAT32, dtype=torch.uint8),
            torch.arange(count + 1, dtype=torch.int32) * DIM,
            count * DIM,
            0,
            0,
            0,
            0,
            DIM,
            values,
            offsets,
            pooling,
            None,
            FLOAT32,
            row_alignment=1,
        )
        return found


# How a quantised table keeps its rows: fbgemm's number of it, bits of a value, and whether a row begins with
# the scale and the offset of its values.
WIDTHS = {
    "FP32": (0, 32, False),
    "FP16": (1, 16, False),
    "INT8": (2, 8, True),
    "INT4": (3, 4, True),
    "INT2": (4, 2, True),
}


class Quantised(nn.Module):
    """Sums of rows of one table, kept as exports with QUANT_EMB keep theirs."""

    table: Tensor

    def __init__(self, width: str, rows: int) -> None:
        super().__init__()
        self.kind, bits, self.scaled = WIDTHS[width]
        self.largest = [DIM if width == name else 0 for name in ("INT2", "INT4", "INT8", "FP16", "FP32")]
        values = np.random.default_rng(1).integers(0, 2**bits, (rows, DIM), np.uint64)
        if not self.scaled:
            values = np.random.default_rng(1).normal(size=(rows, DIM))
        self.register_buffer("table", torch.from_numpy(self.packed(values, bits).reshape(-1).copy()))
        self.values = self.unpacked(values, bits)  # what a look-up finds

    def packed(self, values: Any, bits: int) -> Any:
        if not self.scaled:
            return values.astype(f"<f{bits // 8}").view(np.uint8)
        shifted = [values[:, k :: 8 // bits] << np.uint64(bits * k) for k in range(8 // bits)]
        head = np.array([0.25, -3.0], "<f2").view(np.uint8)
        return np.hstack([np.tile(head, (len(values), 1)), sum(shifted).astype(np.uint8)])

    def unpacked(self, values: Any, bits: int) -> Tensor:
        found = values * 0.25 - 3.0 if self.scaled else values.astype(f"<f{bits // 8}")
        return torch.from_numpy(found.astype(np.float32))

    def forward(self, data: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        values, lengths = data["tags.values"], data["tags.lengths"]
        one = torch.zeros(1, dtype=torch.int32)
        found = torch.ops.fbgemm.int_nbit_split_embedding_codegen_lookup_function(
            self.table,
            self.table,
            one + HOST,
            torch.zeros(1, dtype=torch.int64),
            torch.full((1,), self.kind, dtype=torch.uint8),
            torch.tensor([0, DIM], dtype=torch.int32),
            DIM,
            self.largest[0],
            self.largest[1],
            self.largest[2],
            self.largest[3],
            self.largest[4],
            values,
            torch.ops.fbgemm.asynchronous_complete_cumsum(lengths),
            SUM,
            None,
            FLOAT32,
            row_alignment=1,
        )
        return {"vector": found}


class Sequences(nn.Module):
    """Steps of several ids, steps of numbers and weighted ids, summed by row; two classes of a softmax.

    A step's ids are summed by `_segment_reduce`, which refuses a sequence without any step.
    """

    def forward(self, data: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        by_step = torch._segment_reduce(
            data["clicks__tags.values"].float(), "sum", lengths=data["clicks__tags.key_lengths"]
        )
        tags = self.by_row(by_step.unsqueeze(1), data["clicks__tags.lengths"])
        prices = self.by_row(data["clicks__price.values"], data["clicks__price.lengths"])
        liked = data["liked.values"].float() + 0.0 * data["liked.weights"]
        likes = self.by_row(liked.unsqueeze(1), data["liked.lengths"])
        rows = torch.cat([tags, prices, likes], dim=1) + data["hour.values"]
        probs = torch.softmax(rows[:, :2], dim=1)
        return {"rows": rows, "probs": probs, "probs1": probs[:, 1]}

    def by_row(self, steps: Tensor, lengths: Tensor) -> Tensor:
        offsets = torch.ops.fbgemm.asynchronous_complete_cumsum(lengths)
        padded: Tensor = torch.ops.fbgemm.jagged_to_padded_dense(steps, [offsets], [STEPS], 0.0)
        return padded.sum(1)


class HandsOn(nn.Module):
    """A first half of `Rank` that leaves everything to the second one: it hands on what it is given."""

    def forward(
        self, data: dict[str, Tensor], device: torch.device
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        inputs = rank_inputs(1)
        return {name: data[name].to(device) for name in (*inputs.int_names, *inputs.float_names)}, {}


class Nested(nn.Module):
    """Hands its dict to a module that calls it by another name."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        answer: dict[str, Tensor] = self.inner(data, data["age.values"])
        return answer


class Inner(nn.Module):
    def forward(self, features: dict[str, Tensor], age: Tensor) -> dict[str, Tensor]:
        if age.size(0) > 1:
            age = age + features["height.values"]
        answer = {"half": age.half()}
        answer["sum"] = age.sum(1)
        return answer


class ComputedKeys(nn.Module):
    """Looks its inputs up by names that its graph does not show."""

    names: list[str]

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        total = data["age.values"]
        for name in self.names:
            total = total + data[name]
        return {"sum": total.sum(1)}


class Positional(nn.Module):
    def forward(self, x: Tensor, y: Tensor, scale: float = 2.0) -> tuple[Tensor, Tensor]:
        return x + y, x * scale


class NeedsNumber(nn.Module):
    def forward(self, x: Tensor, scale: float) -> Tensor:
        return x * scale


class AnswersNumber(nn.Module):
    def forward(self, data: dict[str, Tensor]) -> dict[str, int]:
        return {"rows": data["age.values"].size(0)}


class AnswersComplex(nn.Module):
    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sum": torch.complex(data["age.values"], data["age.values"])}


class Throws(nn.Module):
    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sum": data["age.values"] @ torch.ones(7, 7)}


def write(folder: Path, model: nn.Module, *, traced: bool = False) -> Path:
    """Save a model as a bundle; traced, loops over features become literal reads, as in an export."""
    folder.mkdir(parents=True, exist_ok=True)
    module = fx.symbolic_trace(model.eval()) if traced else model.eval()
    with warnings.catch_warnings():
        # Said of the class that torch.fx itself generates.
        warnings.filterwarnings("ignore", "The TorchScript type system doesn't support instance-level")
        torch.jit.save(torch.jit.script(module), folder / "scripted_model.pt")
    return folder


def rank_features() -> dict[str, Any]:
    """The fg.json of `Rank`."""
    tables = {"user_id": "user:user_id", "item_id": "item:item_id", "tags": "item:tags"}
    ids = [
        {
            "feature_type": "id_feature",
            "feature_name": name,
            "expression": source,
            "num_buckets": TABLES[name],
        }
        for name, source in tables.items()
    ]
    price = {
        "feature_type": "raw_feature",
        "feature_name": "price",
        "expression": "item:price",
        "default_value": "0",
        "value_dim": 2,
    }
    clicked = {
        "feature_type": "id_feature",
        "feature_name": "item_id",
        "expression": "user:item_id",
        "num_buckets": TABLES["item_id"],
        "default_value": "0",
        "value_dim": 1,
    }
    clicks = {
        "sequence_name": "clicks",
        "sequence_length": STEPS,
        "sequence_delim": ";",
        "features": [clicked],
    }
    return {"features": [*ids, price, clicks]}


def write_rank(folder: Path, *, tile: bool = False) -> Path:
    write(folder, Rank(tile=tile), traced=True)
    (folder / "model_acc.json").write_text(json.dumps({"INPUT_TILE": "3"} if tile else {}))
    return folder


def rank_inputs(rows: int, *, tile: bool = False, seed: int = 0) -> ModelInputs:
    """Inputs of `Rank`; the same user and items with and without `tile`."""
    rng = np.random.default_rng(seed)
    clicks = rng.integers(0, TABLES["item_id"], STEPS - 1)
    user = 1 if tile else rows
    tags = rng.integers(0, 3, rows)
    ints = {
        "user_id.values": np.full(user, 7 + seed),
        "user_id.lengths": np.ones(user, np.int64),
        "clicks__item_id.values": np.tile(clicks, user),
        "clicks__item_id.lengths": np.full(user, len(clicks)),
        "item_id.values": rng.integers(0, TABLES["item_id"], rows),
        "item_id.lengths": np.ones(rows, np.int64),
        "tags.values": rng.integers(0, TABLES["tags"], int(tags.sum())),
        "tags.lengths": tags,
    }
    if tile:
        ints["batch_size"] = np.array([rows])
    price = rng.random((rows, 2), np.float32)
    return ModelInputs(list(ints), list(ints.values()), ["price.values"], [price])
