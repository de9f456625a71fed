"""A multi-task (click, buy) ranking model: pooled embeddings, target attention over the clicks, two towers.

    sparse ──EmbeddingBagCollection──▶ (B, P) ─┐
    dense ───────────────────────────▶ (B, D) ─┼─▶ shared ─▶ ctr, cvr
    query, click_seq ──EmbeddingCollection──▶ attention ─▶ (B, E) ─┘

`Embedder` turns the tensors that feature generation writes into embeddings; it exists trained (torchrec) and
exported (quantised, tiled). `Towers` is plain torch and the same in both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, EmbeddingCollection, EmbeddingConfig
from torchrec.sparse.jagged_tensor import JaggedTensor, KeyedJaggedTensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DIM = 16
GROUP = "click_seq"


@dataclass(frozen=True)
class Layout:
    """What of fg.json the model needs to know: names, table sizes and widths."""

    buckets: dict[str, int]  # pooled sparse feature → rows of its table
    dense: dict[str, int]  # dense feature → width
    clicked: dict[
        str, int
    ]  # sparse member of the click sequence → rows of its table, shared with the candidate's
    clicked_dense: list[str]
    user: frozenset[str]  # features that only read the user (docs: INPUT_TILE)
    length: int  # clicks at most

    @classmethod
    def read(cls, fg_json: Path) -> Layout:
        """The layout of the features in `fg_json`; stubs feed other features and have no tensors."""
        features = json.loads(fg_json.read_text())["features"]
        group = next(f for f in features if f.get("sequence_name") == GROUP)
        plain = [f for f in features if "feature_name" in f and not f.get("stub_type")]
        return cls(
            buckets={f["feature_name"]: rows(f) for f in plain if rows(f)},
            dense={f["feature_name"]: f.get("value_dim") or 1 for f in plain if not rows(f)},
            clicked={f["feature_name"]: rows(f) for f in group["features"] if rows(f)},
            clicked_dense=[f["feature_name"] for f in group["features"] if not rows(f)],
            user=frozenset(f["feature_name"] for f in plain if sides(f) == {"user"}),
            length=group["sequence_length"],
        )

    def clicked_names(self) -> list[str]:
        """Sparse members of the click sequence under their full names."""
        return [f"{GROUP}__{name}" for name in self.clicked]

    def padded_clicks(
        self, steps: Mapping[str, JaggedTensor], data: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The clicks (B, length, S) from the embeddings of sparse members, and how many each row has."""
        lengths = data[f"{self.clicked_names()[0]}.lengths"]
        members = [steps[name].values() for name in self.clicked_names()]
        members += [data[f"{GROUP}__{name}.values"] for name in self.clicked_dense]
        return padded(torch.cat(members, dim=1), lengths, self.length), lengths

    def tensors(self) -> list[str]:
        """Every input tensor of the model, `batch_size` aside."""
        sparse = [*self.buckets, *self.clicked_names()]
        dense = [*self.dense, *(f"{GROUP}__{name}" for name in self.clicked_dense)]
        return [f"{n}.{part}" for n in sparse for part in ("values", "lengths")] + [
            f"{n}.values" for n in dense
        ]


def rows(feature: Mapping[str, object]) -> int:
    """Rows of the embedding table that holds the feature's ids; 0 for a dense feature."""
    match feature:
        case {"hash_bucket_size": int(size)} | {"num_buckets": int(size)}:
            return size
        case {"boundaries": list(boundaries)}:
            return len(boundaries) + 1
        case {"vocab_list": list(words)} | {"vocab_dict": dict(words)}:
            return len(words) + 1
    return 0


def sides(feature: Mapping[str, object]) -> set[str]:
    """The sides that a feature reads: user, item, context, feature, const."""
    inputs: list[str] = []
    for key in ("expression", "variables", "map", "key", "user", "category", "item"):
        value = feature.get(key)
        if feature["feature_type"] == "expr_feature" and key == "expression":
            continue
        inputs += value if isinstance(value, list) else [value] if isinstance(value, str) else []
    return {name.split(":")[0] for name in inputs}


def bag_collection(layout: Layout, names: Sequence[str]) -> EmbeddingBagCollection:
    """Mean-free pooled tables, one per feature."""
    tables = [
        EmbeddingBagConfig(
            name=f"{name}_emb", embedding_dim=DIM, num_embeddings=layout.buckets[name], feature_names=[name]
        )
        for name in names
    ]
    return EmbeddingBagCollection(tables=tables, device=torch.device("cpu"))


def sequence_collection(
    layout: Layout, *, clicks_only: bool = False, query_only: bool = False
) -> EmbeddingCollection:
    """Tables that the candidate and the clicks share, so that attention compares like with like."""
    tables = []
    for name, size in layout.clicked.items():
        readers = [*([] if clicks_only else [name]), *([] if query_only else [f"{GROUP}__{name}"])]
        tables.append(
            EmbeddingConfig(
                name=f"{name}_seq_emb", embedding_dim=DIM, num_embeddings=size, feature_names=readers
            )
        )
    return EmbeddingCollection(tables=tables, device=torch.device("cpu"))


class Embedder(nn.Module):
    """Input tensors to embeddings, every feature with B rows."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.bags = bag_collection(layout, list(layout.buckets))
        self.sequences = sequence_collection(layout)

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        """Embeddings in the layout that `Towers` takes."""
        layout = self.layout
        pooled = self.bags(jagged(data, list(layout.buckets))).to_dict()
        steps = self.sequences(jagged(data, [*layout.clicked, *layout.clicked_names()]))
        clicked, lengths = layout.padded_clicks(steps, data)
        return {
            "pooled": torch.cat([pooled[name] for name in layout.buckets], dim=1),
            "dense": torch.cat([data[f"{name}.values"] for name in layout.dense], dim=1),
            "query": torch.cat([steps[name].values() for name in layout.clicked], dim=1),
            "clicked": clicked,
            "lengths": lengths,
        }


def jagged(data: Mapping[str, Tensor], names: Sequence[str]) -> KeyedJaggedTensor:
    """The named features as one keyed jagged tensor."""
    return KeyedJaggedTensor(
        keys=list(names),
        values=torch.cat([data[f"{name}.values"] for name in names]),
        lengths=torch.cat([data[f"{name}.lengths"] for name in names]).to(torch.int32),
    )


def padded(values: Tensor, lengths: Tensor, length: int) -> Tensor:
    """(B, length, E) of jagged (sum(lengths), E), zeros behind the end."""
    offsets = torch.ops.fbgemm.asynchronous_complete_cumsum(lengths)
    dense: Tensor = torch.ops.fbgemm.jagged_to_padded_dense(values, [offsets], [length], 0.0)
    return dense


class Towers(nn.Module):
    """Target attention over the clicks, then a shared net and one head per task."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.length = layout.length
        query = len(layout.clicked) * DIM
        step = query + len(layout.clicked_dense)
        pooled = len(layout.buckets) * DIM + sum(layout.dense.values())
        # One layer over [query, clicked, query * clicked], written as the sum of its three parts: the part of
        # the query is computed once per row and not once per click.
        self.of_query, self.of_clicked = nn.Linear(query, 32), nn.Linear(step, 32, bias=False)
        self.of_product, self.attention = nn.Linear(query, 32, bias=False), nn.Linear(32, 1)
        self.shared = nn.Sequential(
            nn.Linear(pooled + query + step, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()
        )
        self.ctr = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
        self.cvr = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
        self.width = query

    def forward(self, embedded: dict[str, Tensor]) -> dict[str, Tensor]:
        """logits and probs of both tasks, (B,) each; cvr is the probability of a purchase after a click."""
        query, clicked = embedded["query"], embedded["clicked"]  # (B, Q), (B, L, S)
        product = query.unsqueeze(1) * clicked[:, :, : self.width]
        layer = self.of_query(query).unsqueeze(1) + self.of_clicked(clicked) + self.of_product(product)
        weights = self.attention(torch.relu(layer)).squeeze(2)
        hidden = torch.arange(self.length, device=weights.device).unsqueeze(0) >= embedded[
            "lengths"
        ].unsqueeze(1)
        weights = torch.softmax(weights.masked_fill(hidden, -1e9), dim=1)
        interest = torch.bmm(weights.unsqueeze(1), clicked).squeeze(1)  # (B, S)
        shared = self.shared(torch.cat([embedded["pooled"], embedded["dense"], query, interest], dim=1))
        ctr, cvr = self.ctr(shared).squeeze(1), self.cvr(shared).squeeze(1)
        return {
            "logits_ctr": ctr,
            "probs_ctr": torch.sigmoid(ctr),
            "logits_cvr": cvr,
            "probs_cvr": torch.sigmoid(cvr),
        }
