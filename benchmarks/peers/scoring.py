"""What every peer serves: the exported model behind features that are written for it by hand, in numpy.

This is the code of an engineer who knows the workload and wants it fast: no loop over rows; item features
computed beforehand (items.py); one block of memory per kind of tensor, and one call that cuts it into
tensors; torch with one thread. It stands on what the workload's data is (texts of at most eight bytes, no
missing values, known items), which a server of any model may not. Nothing of recserve is imported: the peers'
environment does not have it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import fbgemm_gpu  # noqa: F401  registers torch.ops.fbgemm
import numpy as np
import orjson
import torch
from benchmarks.features.request_numpy import murmur
from benchmarks.peers.items import (
    SINGLE,
    VOCABULARY,
    WARM_UP,
    Items,
    bucketised,
    features,
    hashes,
    normalized,
    packed,
)
from benchmarks.workloads import WORKLOADS, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

#: Where a peer's processes find what they serve: the folder of benchmarks.models, and the workload's name.
FOLDER, WORKLOAD = "BENCHMARK_PEERS_FOLDER", "BENCHMARK_PEERS_WORKLOAD"
CPU = torch.device("cpu")


class Scorer:
    """The model of one workload, for one thread at a time."""

    def __init__(self, model: Any, items: Items, workload: Workload) -> None:
        self.model = model
        self.items = items
        self.places = {name: place for place, name in enumerate(items.names.astype(str).tolist())}
        self.vocabulary = {key: place for place, key in enumerate(VOCABULARY)}
        self.item_id = [f.name for f in features(workload, "item", *SINGLE)].index("item_id")
        self.of = {
            f"{side}_{kind}": features(workload, side, kind)
            for side, kind in [(s, k) for s in ("user", "item") for k in (*SINGLE, "tags", "float")]
        }
        self.sequences = features(workload, "user", "sequence")
        self.lookups = features(workload, "pair", "lookup")
        self.combos = features(workload, "pair", "combo")
        buckets = [feature.rows for feature in self.of["user_string"]]
        self.user_buckets = np.array(buckets, np.uint64)
        self.combo_buckets = np.array([[feature.rows] for feature in self.combos], np.uint64)
        # Names of tensors in the order of the blocks that they are cut from.
        user = [f.name for kind in SINGLE for f in self.of[f"user_{kind}"]]
        item = [f.name for f in features(workload, "item", *SINGLE)]
        singles = [*user, *item, *(f.name for f in self.combos)]
        self.single_values = [f"{name}.values" for name in singles]
        self.single_lengths = [f"{name}.lengths" for name in singles]
        floats = [*self.of["user_float"], *self.of["item_float"], *self.lookups]
        self.float_values = [f"{feature.name}.values" for feature in floats]

    @classmethod
    def load(cls) -> Self:
        """Load what the environment names, and call it a few times: the first calls are slow."""
        torch.set_num_threads(1)
        folder, workload = Path(os.environ[FOLDER]), WORKLOADS[os.environ[WORKLOAD]]
        name = "tiny" if workload.name == "tiny" else "rank"
        model = torch.jit.load(folder / name / "scripted_model.pt").eval()  # type: ignore[no-untyped-call]
        arrays = folder / f"{name}-arrays"
        scorer = cls(model, Items.open(arrays), workload)
        for request in json.loads((arrays / WARM_UP).read_text()):
            scorer.score(request["user"], request["item_ids"])
        return scorer

    def score(self, user: Mapping[str, Any], item_ids: Sequence[str]) -> NDArray[np.float32]:
        """The probability of a click for each item."""
        with torch.inference_mode():
            inputs = self.inputs(user, item_ids)
            probabilities: NDArray[np.float32] = self.model(inputs, CPU)["probs"].numpy()
        return probabilities

    def answer(self, body: bytes) -> bytes:
        """The same from JSON to JSON."""
        request = orjson.loads(body)
        scores = self.score(request["user"], request["item_ids"])
        answered: bytes = orjson.dumps({"probs": scores}, option=orjson.OPT_SERIALIZE_NUMPY)
        return answered

    def inputs(self, user: Mapping[str, Any], item_ids: Sequence[str]) -> dict[str, Tensor]:
        """Generate the model's tensors."""
        rows = self._places(item_ids)
        ones = torch.ones(len(rows), dtype=torch.int64)
        ids = torch.from_numpy(self._singles(user, rows))
        floats = torch.from_numpy(self._floats(user, rows)).unsqueeze(2)
        inputs = dict(zip(self.single_values, ids.unbind(), strict=True))
        inputs |= dict.fromkeys(self.single_lengths, ones)
        inputs |= dict(zip(self.float_values, floats.unbind(), strict=True))
        self._add_user_lists(inputs, user, len(rows))
        self._add_item_lists(inputs, rows)
        return inputs

    def _places(self, item_ids: Sequence[str]) -> NDArray[np.int64]:
        return np.fromiter(map(self.places.__getitem__, item_ids), np.int64, len(item_ids))

    def _singles(self, user: Mapping[str, Any], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(features, rows): everything that has one id in every row, those of the user repeated."""
        strings = hashes([user[feature.name] for feature in self.of["user_string"]]) % self.user_buckets
        integers = [user[feature.name] for feature in self.of["user_int"]]
        numbers = [user[feature.name] for feature in self.of["user_bucketised"]]
        mine = np.concatenate([strings.astype(np.int64), np.array(integers, np.int64), bucketised(numbers)])
        its = self.items.ids[rows].T
        block = np.empty((len(self.single_values), len(rows)), np.int64)
        block[: len(mine)] = mine[:, None]
        block[len(mine) : len(mine) + len(its)] = its
        block[len(mine) + len(its) :] = self._combined(user, rows)
        return block

    def _combined(self, user: Mapping[str, Any], rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """(combos, rows): the hash of the user's text, `_` and the item's text, joined by shifting words."""
        before, lengths = packed([f"{user[feature.reads[0]]}_" for feature in self.combos])
        shift = (8 * lengths).astype(np.uint64)[:, None]
        words = self.items.words[rows].T
        first = before[:, None] | words << shift % np.uint64(64)
        second = words >> np.uint64(64) - shift
        whole = shift == 64  # the user's text fills the first word
        if whole.any():
            first, second = np.where(whole, before[:, None], first), np.where(whole, words, second)
        joined = murmur([first, second], self.items.lengths[rows].T + lengths[:, None])
        found: NDArray[np.uint64] = joined % self.combo_buckets
        return found

    def _floats(self, user: Mapping[str, Any], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(features, rows): numbers of the user, of the items, and what the user's map has for the items."""
        mine = normalized([user[feature.name] for feature in self.of["user_float"]])
        its = self.items.floats[rows].T
        block = np.empty((len(self.float_values), len(rows)), np.float32)
        block[: len(mine)] = mine[:, None]
        block[len(mine) : len(mine) + len(its)] = its
        if self.lookups:
            sent = user[self.lookups[0].reads[0]]
            values = np.zeros(len(self.vocabulary), np.float32)
            places = np.fromiter(map(self.vocabulary.__getitem__, sent), np.int64, len(sent))
            values[places] = np.fromiter(sent.values(), np.float32, len(sent))
            block[len(mine) + len(its) :] = values[self.items.keys[rows].T]
        return block

    def _add_user_lists(self, inputs: dict[str, Tensor], user: Mapping[str, Any], rows: int) -> None:
        """Add tag lists and sequences of the user, repeated."""
        tags = self.of["user_tags"]
        lists = [user[feature.name] for feature in tags]
        found = hashes([tag for values in lists for tag in values])
        start = 0
        for feature, values in zip(tags, lists, strict=True):
            ids = (found[start : start + len(values)] % np.uint64(feature.rows)).astype(np.int64)
            start += len(values)
            self._add_repeated(inputs, feature.full_name, ids, rows)
        for feature in self.sequences:
            places = self._places(user[feature.name].split(";"))
            self._add_repeated(inputs, feature.full_name, self.items.ids[places, self.item_id], rows)

    def _add_repeated(self, inputs: dict[str, Tensor], name: str, ids: NDArray[np.int64], rows: int) -> None:
        inputs[f"{name}.values"] = torch.from_numpy(np.tile(ids, rows))
        inputs[f"{name}.lengths"] = torch.full((rows,), len(ids))

    def _add_item_lists(self, inputs: dict[str, Tensor], rows: NDArray[np.int64]) -> None:
        """Add tag lists of the items."""
        cells = np.ascontiguousarray(self.items.tags[rows].transpose(1, 0, 2))
        present = cells >= 0
        lengths = present.sum(axis=2)
        values = torch.split(torch.from_numpy(cells[present]), lengths.sum(axis=1).tolist())
        tensors = zip(self.of["item_tags"], values, torch.from_numpy(lengths).unbind(), strict=True)
        for feature, ids, counts in tensors:
            inputs[f"{feature.name}.values"] = ids
            inputs[f"{feature.name}.lengths"] = counts
