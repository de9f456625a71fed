"""Builds the bundles of the benchmark workloads: a real model of the stated size, and its *zero model*.

    python -m benchmarks.models <folder> [--input-tile 3]

A bundle is a TorchScript file, fg.json, input_schema.json and model_acc.json; items.parquet lies beside the
bundles. rank-200 and rank-1000 share one bundle (`rank`): 133.5M parameters, 534 MB, fp32. The model is
composed as an exported TorchEasyRec model is: the pooled embeddings of all tables of a side come from one
fbgemm call, sequences from one gather each, then DIN attention (64-32-1 over [query, key, difference,
product]) and an MLP 512-256-128-1. The zero model reads the same inputs and answers zeros: what a request
costs with it is not the model.
"""

import argparse
import json
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import fbgemm_gpu  # noqa: F401  registers torch.ops.fbgemm
import pyarrow.parquet as pq
import torch
from benchmarks.workloads import DIM, RANK_200, SEQUENCE_LENGTH, TINY, Feature, Workload
from torch import Tensor, fx, nn

BUNDLES = {"tiny": TINY, "rank": RANK_200}
FLOAT32 = 0  # fbgemm's SparseType
SUM, NONE = 0, 2  # fbgemm's PoolingMode
HOST = 3  # fbgemm's EmbeddingLocation
WARNING = 1  # fbgemm's BoundsCheckMode: log, and use row 0


def build(folder: Path, *, input_tile: int = 0) -> None:
    """Write every bundle that is not there yet, and the item tables."""
    for name, workload in BUNDLES.items():
        items = folder / f"{name}-items.parquet"
        if not items.exists():
            folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(workload.item_table(), items)
        for suffix, module in (("", RankModel), ("-zero", ZeroModel)):
            bundle = folder / f"{name}{suffix}"
            if not (bundle / "scripted_model.pt").exists():
                write_bundle(workload, module(workload, tile=input_tile > 0), bundle, input_tile=input_tile)


def write_bundle(workload: Workload, model: nn.Module, bundle: Path, *, input_tile: int) -> None:
    """Write the layout of an exported model directory; the model file comes last, so it stands for all."""
    bundle.mkdir(parents=True, exist_ok=True)
    acc = {"SPARSE_INT64": "1"} | ({"INPUT_TILE": str(input_tile)} if input_tile else {})
    documents = {"fg.json": workload.fg(), "input_schema.json": workload.schema(), "model_acc.json": acc}
    for name, document in documents.items():
        (bundle / name).write_text(json.dumps(document, indent=1))
    written = bundle / "scripted_model.pt.new"
    # Traced first, as an export is: loops over features become the literal reads data["age.values"].
    traced = fx.symbolic_trace(model.eval())
    with warnings.catch_warnings():
        # Said of the class that torch.fx itself generates.
        warnings.filterwarnings("ignore", "The TorchScript type system doesn't support instance-level")
        torch.jit.save(torch.jit.script(traced), written)
    written.rename(bundle / "scripted_model.pt")


class Tables(nn.Module):
    """Tables of one side, looked up in one fbgemm call: the call that a quantised export makes, at fp32."""

    weights: Tensor
    placements: Tensor
    starts: Tensor
    types: Tensor
    columns: Tensor
    rows: Tensor
    warning: Tensor

    def __init__(self, names: list[str], rows: list[int]) -> None:
        super().__init__()
        self.names = names
        count = len(rows)
        first_rows = torch.tensor([0, *rows]).cumsum(0)
        self.register_buffer("weights", _random_rows(int(first_rows[-1])))
        self.register_buffer("placements", torch.full((count,), HOST, dtype=torch.int32))
        self.register_buffer("starts", first_rows[:-1] * DIM * 4)
        self.register_buffer("types", torch.full((count,), FLOAT32, dtype=torch.uint8))
        self.register_buffer("columns", torch.arange(count + 1, dtype=torch.int32) * DIM)
        self.register_buffer("rows", torch.tensor(rows))
        self.register_buffer("warning", torch.zeros(1, dtype=torch.int64))

    def forward(self, data: dict[str, Tensor], device: torch.device) -> Tensor:
        """(rows, tables * DIM) of the features in the order of `names`."""
        values = torch.cat([data[f"{name}.values"] for name in self.names]).to(device)
        lengths = torch.cat([data[f"{name}.lengths"] for name in self.names]).to(device)
        offsets = torch.ops.fbgemm.asynchronous_complete_cumsum(lengths)
        return self._look_up(values, offsets, slice(0, len(self.names)), SUM)

    def rows_of(self, name: str, ids: Tensor) -> Tensor:
        """(ids, DIM): rows of one feature's table, not pooled, for a sequence that shares the table."""
        table = self.names.index(name)
        offsets = torch.arange(ids.size(0) + 1)
        return self._look_up(ids, offsets, slice(table, table + 1), NONE)

    def _look_up(self, values: Tensor, offsets: Tensor, tables: slice, pooling: int) -> Tensor:
        count = tables.stop - tables.start
        torch.ops.fbgemm.bounds_check_indices(self.rows[tables], values, offsets, WARNING, self.warning)
        found: Tensor = torch.ops.fbgemm.int_nbit_split_embedding_codegen_lookup_function(
            self.weights,
            self.weights,
            self.placements[tables],
            self.starts[tables],
            self.types[tables],
            self.columns[: count + 1],
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


def _random_rows(rows: int) -> Tensor:
    weights = torch.empty(rows * DIM * 4, dtype=torch.uint8)
    weights.view(torch.float32).uniform_(-1.0, 1.0, generator=torch.Generator().manual_seed(rows))
    return weights


class RankModel(nn.Module):
    """Embeddings, DIN attention per sequence, one MLP; forward(data, device) -> {"probs": (rows,)}.

    With `tile` user tensors have one row: they are looked up once and repeated afterwards (INPUT_TILE 3).
    """

    def __init__(self, workload: Workload, *, tile: bool) -> None:
        super().__init__()
        torch.manual_seed(7)
        features = workload.features
        pooled = [feature for feature in features if not feature.dense and feature.kind != "sequence"]
        dense = [feature for feature in features if feature.dense]
        user, other = _by_rate(pooled)
        self.tile = tile
        self.user_floats, self.other_floats = ([f.name for f in part] for part in _by_rate(dense))
        self.sequences = [feature.full_name for feature in features if feature.kind == "sequence"]
        self.user_tables = Tables([f.name for f in user], [f.rows for f in user])
        self.other_tables = Tables([f.name for f in other], [f.rows for f in other])
        self.query = DIM * self.other_tables.names.index("item_id")
        self.attention = nn.ModuleList([mlp(4 * DIM, 64, 32) for _ in self.sequences])
        self.mlp = mlp(DIM * (len(pooled) + len(self.sequences)) + len(dense), 512, 256, 128)

    def forward(self, data: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        """Answer the probability of a click for every row."""
        other = self.other_tables(data, device)
        rows = other.size(0)
        user = self.user_tables(data, device)
        floats = torch.cat([data[f"{name}.values"] for name in self.user_floats], dim=1).to(device)
        user = torch.cat([user, floats], dim=1)
        if self.tile:
            repeats: Any = data["batch_size"].item()
            user = user.repeat(repeats, 1)
        query = other[:, self.query : self.query + DIM].unsqueeze(1).expand(rows, SEQUENCE_LENGTH, DIM)
        parts = [user, other]
        for name, attention in zip(self.sequences, self.attention, strict=True):
            parts.append(self._attend(name, attention, query, data, device))
        parts += [data[f"{name}.values"].to(device) for name in self.other_floats]
        return {"probs": torch.sigmoid(self.mlp(torch.cat(parts, dim=1))).squeeze(1)}

    def _attend(
        self, name: str, attention: nn.Module, query: Tensor, data: dict[str, Tensor], device: torch.device
    ) -> Tensor:
        """(rows, DIM): the steps of a sequence, weighted by what attention makes of them and the query."""
        steps = self.other_tables.rows_of("item_id", data[f"{name}.values"].to(device))
        lengths = data[f"{name}.lengths"].to(device)
        offsets = torch.ops.fbgemm.asynchronous_complete_cumsum(lengths)
        keys = torch.ops.fbgemm.jagged_to_padded_dense(steps, [offsets], [SEQUENCE_LENGTH], 0.0)
        absent = torch.arange(SEQUENCE_LENGTH, device=device).unsqueeze(0) >= lengths.unsqueeze(1)
        if self.tile:
            keys = keys.expand(query.size(0), SEQUENCE_LENGTH, DIM)
            absent = absent.expand(query.size(0), SEQUENCE_LENGTH)
        scores = attention(torch.cat([query, keys, query - keys, query * keys], dim=2)).squeeze(2)
        weights = torch.softmax(scores.masked_fill(absent, -1e9), dim=1)
        return torch.matmul(weights.unsqueeze(1), keys).squeeze(1)


class ZeroModel(nn.Module):
    """Reads what RankModel reads and answers zeros."""

    def __init__(self, workload: Workload, *, tile: bool) -> None:
        super().__init__()
        inputs = workload.inputs(1, tile=tile)
        self.names = [*inputs.int_names, *inputs.float_names]

    def forward(self, data: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        """Answer 0 for every row."""
        # What is read and not used would be dropped from the file, and the input with it.
        read = torch.ops.aten.len([data[name] for name in self.names])
        rows = data["item_id.lengths"].size(0)
        return {"probs": torch.zeros(rows, device=device) * read}


def mlp(width: int, *hidden: int) -> nn.Sequential:
    """Linear layers with ReLU between them, ending in one number."""
    layers: list[nn.Module] = []
    for before, after in pairwise((width, *hidden)):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], 1))


def _by_rate(features: list[Feature]) -> tuple[list[Feature], list[Feature]]:
    return [f for f in features if f.side == "user"], [f for f in features if f.side != "user"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--input-tile", type=int, choices=[0, 2, 3], default=0)
    arguments = parser.parse_args()
    build(arguments.folder, input_tile=arguments.input_tile)
    for path in sorted(arguments.folder.iterdir()):
        print(path)


if __name__ == "__main__":
    main()
