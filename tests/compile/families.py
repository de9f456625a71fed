"""Small models of the families that TorchEasyRec trains, written anew: what the fuzz compiles.

All read the same features, with fbgemm's look-ups as exports have them; a family is what stands above the
embeddings. Users have one row where `tile` says so, as under INPUT_TILE.
"""

# No `from __future__ import annotations`: TorchScript reads the annotations of `forward`.
import json
from pathlib import Path
from typing import Any

import torch
from tests.engines import models
from tests.engines.models import FLOAT32, HOST, NONE, SUM
from torch import Tensor, nn

from recserve.bundle import Bundle

DIM, STEPS = 8, 7
IN_SILENCE = 2  # fbgemm's BoundsCheckMode: use row 0, as exports do, which also log it
#: Feature with ids → its side and the rows of its table; those in `MANY` have any number of values.
TABLES = {
    "user_id": ("user", 50),
    "interests": ("user", 30),
    "item_id": ("item", 40),
    "cate": ("item", 10),
    "tags": ("item", 20),
    "hour": ("context", 24),
    "liked": ("pair", 60),
}
MANY = ("interests", "tags")
#: Dense feature → its side and width.
FLOATS = {"age": ("user", 1), "price": ("item", 2), "position": ("context", 1)}
CLICKED = ("item_id", "cate")

USER = [name for name, (side, _) in TABLES.items() if side == "user"]
OTHER = [name for name, (side, _) in TABLES.items() if side != "user"]
POOLED = DIM * len(TABLES)
DENSE = sum(width for _, width in FLOATS.values())
QUERY = DIM * len(CLICKED)


def fg() -> dict[str, Any]:
    """The features of all families."""
    features: list[dict[str, Any]] = []
    for name, (side, size) in TABLES.items():
        if side == "pair":
            feature = {"feature_type": "combo_feature", "expression": ["user:user_id", "item:cate"]}
            features.append(feature | {"feature_name": name, "hash_bucket_size": size, "value_dim": 0})
        else:
            features.append(_id(name, f"{side}:{name}", size))
    for name, (side, width) in FLOATS.items():
        feature = {"feature_type": "raw_feature", "feature_name": name, "expression": f"{side}:{name}"}
        features.append(feature | {"value_dim": width, "default_value": "\x1d".join("0" * width)})
    clicked = [_id(name, f"item:{name}", TABLES[name][1]) | {"value_dim": 1} for name in CLICKED]
    group = {"sequence_name": "clicks", "sequence_length": STEPS, "sequence_delim": ";"}
    return {"features": [*features, group | {"sequence_pk": "user:clicks", "features": clicked}]}


def _id(name: str, expression: str, size: int) -> dict[str, Any]:
    feature: dict[str, Any] = {"feature_type": "id_feature", "feature_name": name, "expression": expression}
    feature |= {"num_buckets": size, "value_type": "int64"}
    return feature | ({"value_dim": 0} if name in MANY else {"value_dim": 1, "default_value": "0"})


def write(folder: Path, name: str, *, tile: bool = False) -> Bundle:
    """Write a family's bundle; the same weights with and without `tile`."""
    torch.manual_seed(11)
    model = Model(FAMILIES[name](), tile=tile)
    models.write(folder, model, traced=True)
    (folder / "model_acc.json").write_text(json.dumps({"INPUT_TILE": "3"} if tile else {}))
    (folder / "fg.json").write_text(json.dumps(fg()))
    return Bundle.open(folder)


class Model(nn.Module):
    """Embeddings, and a family's head above them."""

    weights: Tensor
    starts: Tensor
    rows: Tensor
    warning: Tensor

    def __init__(self, head: nn.Module, *, tile: bool) -> None:
        super().__init__()
        self.tile = tile
        self.head = head
        sizes = [size for _, size in TABLES.values()]
        starts = torch.tensor([0, *sizes]).cumsum(0)
        weights = torch.empty(int(starts[-1]) * DIM * 4, dtype=torch.uint8)
        weights.view(torch.float32).uniform_(-1, 1)
        self.register_buffer("weights", weights)
        self.register_buffer("starts", starts[:-1] * DIM * 4)
        self.register_buffer("rows", torch.tensor(sizes))
        self.register_buffer("warning", torch.zeros(1, dtype=torch.int64))

    def forward(self, data: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        age = data["age.values"].to(device)
        keys = torch.cat([self.steps(data, name, device) for name in CLICKED], dim=2)
        lengths = data[f"clicks__{CLICKED[0]}.lengths"].to(device)
        if self.tile:
            user = self.look_up(data, USER, device)
            other = self.look_up(data, OTHER, device)
            rows: Any = data["batch_size"].item()
            user, age, lengths = user.repeat(rows, 1), age.repeat(rows, 1), lengths.repeat(rows)
            keys = keys.repeat(rows, 1, 1)
            pooled = torch.cat([user, other], dim=1)
        else:
            pooled = self.look_up(data, [*USER, *OTHER], device)
        dense = torch.cat([age, data["price.values"].to(device), data["position.values"].to(device)], dim=1)
        first = DIM * len(USER)
        query = pooled[:, first : first + QUERY]  # item_id and cate lead the others
        absent = torch.arange(STEPS, device=device).unsqueeze(0) >= lengths.unsqueeze(1)
        logits = self.head(pooled, dense, query, keys, absent)
        outputs = {}
        for k, task in enumerate(("ctr", "cvr")):
            outputs[f"logits_{task}"] = logits[:, k]
            outputs[f"probs_{task}"] = torch.sigmoid(logits[:, k])
        return outputs

    def look_up(self, data: dict[str, Tensor], names: list[str], device: torch.device) -> Tensor:
        values = torch.cat([data[f"{name}.values"] for name in names]).to(device)
        lengths = torch.cat([data[f"{name}.lengths"] for name in names]).to(device)
        return self.rows_of(values, torch.ops.fbgemm.asynchronous_complete_cumsum(lengths), names, SUM)

    def steps(self, data: dict[str, Tensor], name: str, device: torch.device) -> Tensor:
        ids = data[f"clicks__{name}.values"].to(device)
        lengths = data[f"clicks__{CLICKED[0]}.lengths"].to(device)
        steps = self.rows_of(ids, torch.arange(ids.size(0) + 1), [name], NONE)
        offsets = torch.ops.fbgemm.asynchronous_complete_cumsum(lengths)
        padded: Tensor = torch.ops.fbgemm.jagged_to_padded_dense(steps, [offsets], [STEPS], 0.0)
        return padded

    def rows_of(self, values: Tensor, offsets: Tensor, names: list[str], pooling: int) -> Tensor:
        first, count = list(TABLES).index(names[0]), len(names)
        tables = slice(first, first + count)
        torch.ops.fbgemm.bounds_check_indices(self.rows[tables], values, offsets, IN_SILENCE, self.warning)
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


def mlp(*widths: int, norm: type[nn.Module] | None = None, last: bool = True) -> nn.Sequential:
    """Linear layers with ReLU behind all of them, or all but the last."""
    layers: list[nn.Module] = []
    for k in range(1, len(widths)):
        layers += [nn.Linear(widths[k - 1], widths[k])]
        if last or k < len(widths) - 1:
            layers += [norm(widths[k])] if norm is not None else []
            layers += [nn.ReLU()]
    return nn.Sequential(*layers)


class Attention(nn.Module):
    """DIN: the steps, weighted by what a small network makes of each and the query."""

    def __init__(self) -> None:
        super().__init__()
        self.score = mlp(4 * QUERY, 16, 1, last=False)

    def forward(self, query: Tensor, keys: Tensor, absent: Tensor) -> Tensor:
        asked = query.unsqueeze(1).expand(-1, STEPS, -1)
        scores = self.score(torch.cat([asked, keys, asked - keys, asked * keys], dim=2))
        weights = torch.softmax(scores.squeeze(2).masked_fill(absent, -4e9), dim=1)
        return torch.matmul(weights.unsqueeze(1), keys).squeeze(1)


class Din(nn.Module):
    """A deep tower and attended clicks."""

    def __init__(self, norm: type[nn.Module] | None = None) -> None:
        super().__init__()
        self.attention = Attention()
        self.deep = mlp(POOLED + DENSE, 32, 16, norm=norm)
        self.final = mlp(16 + QUERY, 16, 2, last=False)

    def forward(self, pooled: Tensor, dense: Tensor, query: Tensor, keys: Tensor, absent: Tensor) -> Tensor:
        deep = self.deep(torch.cat([pooled, dense], dim=1))
        answer: Tensor = self.final(torch.cat([deep, self.attention(query, keys, absent)], dim=1))
        return answer


class DinBatchNorm(Din):
    """With batch normalisation in the deep tower, whose statistics are not those of a new layer."""

    def __init__(self) -> None:
        super().__init__(nn.BatchNorm1d)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean = torch.rand(module.num_features) - 0.5
                module.running_var = torch.rand(module.num_features) + 0.5


class DinLayerNorm(Din):
    """With layer normalisation, over the mixed concatenation too."""

    def __init__(self) -> None:
        super().__init__(nn.LayerNorm)
        self.first = nn.LayerNorm(POOLED + DENSE)

    def forward(self, pooled: Tensor, dense: Tensor, query: Tensor, keys: Tensor, absent: Tensor) -> Tensor:
        deep = self.deep(self.first(torch.cat([pooled, dense], dim=1)))
        answer: Tensor = self.final(torch.cat([deep, self.attention(query, keys, absent)], dim=1))
        return answer


class DeepFm(nn.Module):
    """Wide, deep with the sum of the clicks, and products of the fields."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(POOLED, 2)
        self.deep = mlp(POOLED + DENSE + QUERY, 32, 16)
        self.final = nn.Linear(16 + DIM, 2)

    def forward(self, pooled: Tensor, dense: Tensor, query: Tensor, keys: Tensor, absent: Tensor) -> Tensor:
        fields = pooled.reshape(-1, len(TABLES), DIM)
        products = (fields.sum(dim=1).square() - fields.square().sum(dim=1)) * 0.5
        deep = self.deep(torch.cat([pooled, dense, keys.sum(dim=1)], dim=1))
        answer: Tensor = self.wide(pooled) + self.final(torch.cat([deep, products], dim=1))
        return answer


class Mmoe(nn.Module):
    """Experts over one input, mixed by a gate for each task."""

    def __init__(self) -> None:
        super().__init__()
        width = POOLED + DENSE + QUERY
        self.attention = Attention()
        self.experts = nn.ModuleList([mlp(width, 16, 8) for _ in range(3)])
        self.gates = nn.ModuleList([nn.Linear(width, 3) for _ in range(2)])
        self.towers = nn.ModuleList([mlp(8, 8, 1, last=False) for _ in range(2)])

    def forward(self, pooled: Tensor, dense: Tensor, query: Tensor, keys: Tensor, absent: Tensor) -> Tensor:
        x = torch.cat([pooled, dense, self.attention(query, keys, absent)], dim=1)
        experts = torch.stack([expert(x) for expert in self.experts], dim=1)
        mixed = [torch.matmul(torch.softmax(gate(x), dim=1).unsqueeze(1), experts) for gate in self.gates]
        answers = [tower(part.squeeze(1)) for tower, part in zip(self.towers, mixed, strict=True)]
        return torch.cat(answers, dim=1)


class Ple(nn.Module):
    """Two layers of experts, some of a task and some shared."""

    def __init__(self) -> None:
        super().__init__()
        width = POOLED + DENSE + QUERY
        self.first = nn.ModuleList([mlp(width, 16) for _ in range(3)])  # ctr's, cvr's, shared
        self.second = nn.ModuleList([mlp(16, 8) for _ in range(3)])
        self.gates = nn.ModuleList([nn.Linear(width, k) for k in (2, 2, 3)])
        self.last_gates = nn.ModuleList([nn.Linear(16, 2) for _ in range(2)])
        self.towers = nn.ModuleList([nn.Linear(8, 1) for _ in range(2)])

    def forward(self, pooled: Tensor, dense: Tensor, query: Tensor, keys: Tensor, absent: Tensor) -> Tensor:
        x = torch.cat([pooled, dense, keys.sum(dim=1)], dim=1)
        ctr, cvr, shared = [expert(x) for expert in self.first]
        given = ([ctr, shared], [cvr, shared], [ctr, cvr, shared])
        inputs = [self.mixed(gate(x), part) for gate, part in zip(self.gates, given, strict=True)]
        ctr, cvr, shared = [expert(part) for expert, part in zip(self.second, inputs, strict=True)]
        answers = []
        for k, part in enumerate(([ctr, shared], [cvr, shared])):
            answers.append(self.towers[k](self.mixed(self.last_gates[k](inputs[k]), part)))
        return torch.cat(answers, dim=1)

    def mixed(self, gate: Tensor, experts: list[Tensor]) -> Tensor:
        weights = torch.softmax(gate, dim=1).unsqueeze(1)
        return torch.bmm(weights, torch.stack(experts, dim=1)).squeeze(1)


class Dbmtl(nn.Module):
    """A bottom for both tasks, and a click tower that the purchase tower listens to."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.bottom = mlp(POOLED + DENSE + 2 * QUERY, 32)
        self.ctr, self.cvr = mlp(32, 16), mlp(32, 16)
        self.relation = mlp(32, 8)
        self.ends = nn.ModuleList([nn.Linear(16, 1), nn.Linear(8, 1)])

    def forward(self, pooled: Tensor, dense: Tensor, query: Tensor, keys: Tensor, absent: Tensor) -> Tensor:
        parts = [pooled, dense, self.attention(query, keys, absent), keys.mean(dim=1)]
        x = self.bottom(torch.cat(parts, dim=1))
        ctr = self.ctr(x)
        cvr = self.relation(torch.cat([self.cvr(x), ctr], dim=1))
        return torch.cat([self.ends[0](ctr), self.ends[1](cvr)], dim=1)


class DcnV1(nn.Module):
    """x0 · (x · w) + b + x, beside a deep tower."""

    weights: Tensor
    biases: Tensor

    def __init__(self) -> None:
        super().__init__()
        width = POOLED + DENSE + QUERY
        self.layers = 3
        self.weights = nn.Parameter(torch.randn(3, width) / width)
        self.biases = nn.Parameter(torch.randn(3, width) / 10)
        self.deep = mlp(width, 16)
        self.final = nn.Linear(16 + width, 2)

    def forward(self, pooled: Tensor, dense: Tensor, query: Tensor, keys: Tensor, absent: Tensor) -> Tensor:
        x0 = torch.cat([pooled, dense, keys.sum(dim=1)], dim=1)
        x = x0
        for k in range(self.layers):
            x = x0 * torch.matmul(x, self.weights[k]).unsqueeze(1) + self.biases[k] + x
        answer: Tensor = self.final(torch.cat([x, self.deep(x0)], dim=1))
        return answer


class DcnV2(nn.Module):
    """x0 · (V U x + b) + x with matrices of a low rank."""

    def __init__(self) -> None:
        super().__init__()
        width = POOLED + DENSE + QUERY
        self.down = nn.ModuleList([nn.Linear(width, 8, bias=False) for _ in range(2)])
        self.up = nn.ModuleList([nn.Linear(8, width) for _ in range(2)])
        self.deep = mlp(width, 16)
        self.final = nn.Linear(16, 2)

    def forward(self, pooled: Tensor, dense: Tensor, query: Tensor, keys: Tensor, absent: Tensor) -> Tensor:
        x0 = torch.cat([pooled, dense, keys.sum(dim=1)], dim=1)
        x = x0
        for down, up in zip(self.down, self.up, strict=True):
            x = x0 * up(down(x)) + x
        answer: Tensor = self.final(self.deep(x))
        return answer


class Transformer(nn.Module):
    """The candidate behind the clicks, all of them attending to all: one head, one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(QUERY, QUERY) for _ in range(3))
        self.norm = nn.LayerNorm(QUERY)
        self.final = mlp(POOLED + DENSE + QUERY, 16, 2, last=False)

    def forward(self, pooled: Tensor, dense: Tensor, query: Tensor, keys: Tensor, absent: Tensor) -> Tensor:
        steps = torch.cat([keys, query.unsqueeze(1)], dim=1)
        hidden = torch.cat([absent, torch.zeros_like(absent[:, :1])], dim=1)
        scores = torch.matmul(self.query(steps), self.key(steps).transpose(1, 2)) / QUERY**0.5
        weights = torch.softmax(scores.masked_fill(hidden.unsqueeze(1), -4e9), dim=2)
        seen = self.norm(torch.matmul(weights, self.value(steps)) + steps)
        answer: Tensor = self.final(torch.cat([pooled, dense, seen[:, -1]], dim=1))
        return answer


#: Name of a family → its head.
FAMILIES: dict[str, Any] = {
    "din": Din,
    "din_batch_norm": DinBatchNorm,
    "din_layer_norm": DinLayerNorm,
    "deepfm": DeepFm,
    "mmoe": Mmoe,
    "ple": Ple,
    "dbmtl": Dbmtl,
    "dcn_v1": DcnV1,
    "dcn_v2": DcnV2,
    "transformer": Transformer,
}
