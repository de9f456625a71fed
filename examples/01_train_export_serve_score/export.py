"""Write the trained model as a bundle: TorchScript with INT8 embeddings, laid out as TorchEasyRec does.

    scripted_model.pt  gm.code  fg.json  pipeline.config  model_acc.json  input_schema.json

INPUT_TILE says what a server sends for features that only read the user: 0 every row, 2 and 3 one row. The
model then repeats ids before the look-up (2) or embeddings after it (3).
"""

import copy
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Dict  # noqa: UP035 - TorchScript reads annotations, and knows Dict only

import torch
from model import GROUP, Embedder, Towers, bag_collection, jagged, sequence_collection
from torch import Tensor, nn
from torchrec.fx import symbolic_trace
from torchrec.inference.modules import quantize_embeddings

CPU = torch.device("cpu")


@torch.fx.wrap
def repeated(tensor: Tensor, batch_size: Tensor) -> Tensor:
    """`tensor` batch_size times, one after the other: one user's rows for every item."""
    times = int(batch_size.item())
    return tensor.repeat(times) if tensor.dim() == 1 else tensor.repeat(times, 1)


@torch.fx.wrap
def repeated_steps(tensor: Tensor, batch_size: Tensor) -> Tensor:
    """The same for padded sequences, (1, L, E) to (B, L, E)."""
    return tensor.repeat(int(batch_size.item()), 1, 1)


class UserOnce(nn.Module):
    """The embedder of INPUT_TILE 3: user features are looked up from one row, their embeddings repeated."""

    def __init__(self, trained: Embedder) -> None:
        super().__init__()
        self.layout = layout = trained.layout
        self.user = [name for name in layout.buckets if name in layout.user]
        self.rest = [name for name in layout.buckets if name not in layout.user]
        self.bags_user = part_of(trained.bags, bag_collection(layout, self.user))
        self.bags = part_of(trained.bags, bag_collection(layout, self.rest))
        self.clicks = part_of(trained.sequences, sequence_collection(layout, clicks_only=True))
        self.query = part_of(trained.sequences, sequence_collection(layout, query_only=True))

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        """Embeddings in the layout that `Towers` takes."""
        layout, batch_size = self.layout, data["batch_size"]
        user, items = (
            self.bags_user(jagged(data, self.user)).to_dict(),
            self.bags(jagged(data, self.rest)).to_dict(),
        )
        query = self.query(jagged(data, list(layout.clicked)))
        clicked, lengths = layout.padded_clicks(self.clicks(jagged(data, layout.clicked_names())), data)
        dense = {name: data[f"{name}.values"] for name in layout.dense}
        return {
            "pooled": torch.cat(
                [repeated(user[n], batch_size) if n in layout.user else items[n] for n in layout.buckets],
                dim=1,
            ),
            "dense": torch.cat(
                [repeated(x, batch_size) if n in layout.user else x for n, x in dense.items()], dim=1
            ),
            "query": torch.cat([query[name].values() for name in layout.clicked], dim=1),
            "clicked": repeated_steps(clicked, batch_size),
            "lengths": repeated(lengths, batch_size),
        }


def part_of(trained: nn.Module, smaller: nn.Module) -> nn.Module:
    """`smaller` with the weights of the tables that it shares with `trained`."""
    weights = trained.state_dict()
    smaller.load_state_dict({name: weights[name] for name in smaller.state_dict()})
    return smaller


class Serving(nn.Module):
    """What is exported: tensors by name in, scores by name out."""

    def __init__(self, embedder: Embedder, towers: Towers, tile: int) -> None:
        super().__init__()
        self.layout, self.tile, self.towers = embedder.layout, tile, towers
        self.embedder = UserOnce(embedder) if tile == 3 else embedder

    def forward(self, data: Dict[str, Tensor], device: torch.device = CPU) -> Dict[str, Tensor]:  # noqa: UP006
        """Scores of every row; `device` is where the work is done."""
        inputs = {name: data[name].to(device) for name in self.layout.tensors()}
        if self.tile:
            inputs["batch_size"] = data["batch_size"]
        if self.tile == 2:
            inputs = {name: self.tiled(name, tensor, inputs) for name, tensor in inputs.items()}
        scores: Dict[str, Tensor] = self.towers(self.embedder(inputs))  # noqa: UP006
        return scores

    def tiled(self, name: str, tensor: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """A user feature's tensor, repeated for every item; any other as it is."""
        feature = name.rpartition(".")[0]
        is_user = feature in self.layout.user or feature.startswith(f"{GROUP}__")
        return repeated(tensor, inputs["batch_size"]) if is_user else tensor


def scripted(embedder: Embedder, towers: Towers, tile: int) -> tuple[torch.jit.ScriptModule, str]:
    """The model as TorchScript, bags in INT8 and sequences in float as TorchEasyRec does, and its code."""
    model = Serving(copy.deepcopy(embedder), copy.deepcopy(towers), tile).eval()
    quantised = quantize_embeddings(model, dtype=torch.qint8, inplace=True, output_dtype=torch.float32)
    graph = symbolic_trace(quantised, leaf_modules=[])
    return torch.jit.script(graph), graph.code


def write(
    bundle: Path,
    model: tuple[torch.jit.ScriptModule, str],
    *,
    fg_json: Path,
    schema: Mapping[str, object],
    tile: int,
) -> None:
    """Write one bundle directory."""
    bundle.mkdir(parents=True, exist_ok=True)
    model[0].save(str(bundle / "scripted_model.pt"))
    (bundle / "gm.code").write_text(model[1])
    shutil.copy(fg_json, bundle / "fg.json")
    (bundle / "pipeline.config").write_text('model_dir: ".demo"\nmodel_config { multi_tower_din {} }\n')
    flags = {"SPARSE_INT64": "1", "QUANT_EMB": "INT8"} | ({"INPUT_TILE": str(tile)} if tile else {})
    (bundle / "model_acc.json").write_text(json.dumps(flags, indent=2))
    (bundle / "input_schema.json").write_text(json.dumps(schema, indent=2))
