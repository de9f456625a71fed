"""The text of a graph answers what the graph answers, to the bit and for every size."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import fbgemm_gpu  # noqa: F401  its operators
import numpy as np
import pytest
import torch
from tests.compile.bundles import features_of, write_rank

from recserve.compile.export import Exported, export, for_any_size, specs
from recserve.compile.ids_in_range import ids_in_range
from recserve.compile.requests import Requests
from recserve.compile.script import to_script, write_script
from recserve.engines.compiled import SCRIPT, Compiled, Machine
from recserve.engines.flat_script import load_flat
from recserve.engines.torchscript import load_script
from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Data = dict[str, torch.Tensor]
    Answers = dict[str, torch.Tensor]


class Model(torch.nn.Module):
    """A function of the inputs, which may use `weight`."""

    def __init__(self, function: Callable[[Any, Data], Answers]) -> None:
        super().__init__()
        self._function = function
        self.register_buffer("weight", torch.tensor([[0.5, -0.25], [1.5, 2.0]]))

    def forward(self, tables: dict[str, torch.Tensor], data: Data) -> Answers:
        return self._function(self, data)


def data_of(rows: int, seed: int = 0) -> Data:
    """Two floats and a list of 0 to 3 ids for each row."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, 4, (rows,), generator=random)
    return {
        "x": torch.randn(rows, 2, generator=random),
        "lengths": lengths,
        "ids": torch.randint(-3, 9, (int(lengths.sum()),), generator=random),
    }


def exported_of(function: Callable[[Any, Data], Answers]) -> tuple[Model, Exported]:
    model, example = Model(function), data_of(6)
    read: dict[str, torch.Tensor] = {name: example[name] for name in sorted(example)}
    program = for_any_size(model, {}, read)
    return model, Exported(program, specs(program, read, 0), (), tuple(sorted(model({}, read))))


def sizes(_: Any, data: Data) -> Answers:
    rows, ids = data["x"].size(0), data["ids"].size(0)
    return {
        "y": torch.arange(2 * rows + 1) + (ids * 3 - rows) // 2,
        "rows": data["x"].view(-1)[: rows + rows],
    }


def parts(_: Any, data: Data) -> Answers:
    left, right = torch.split(data["x"], [1, 1], dim=1)
    both = data["x"].unbind(1)
    return {"y": left - right, "again": both[1] + both[1] * left.squeeze(1)}


def chosen(model: Any, data: Data) -> Answers:
    x = torch.where(data["x"] > 0, data["x"], -np.inf)
    rows = torch.arange(data["x"].size(0)).flip(0)
    return {"y": x[rows], "column": data["x"][:, torch.tensor([1])], "z": model.weight[rows % 2]}


def written(_: Any, data: Data) -> Answers:
    ids = data["ids"].clone()
    ids[ids < 0] = 7
    copied = data["lengths"].clone()
    copied.view(-1).add_(1)
    return {"ids": ids, "lengths": copied, "given": data["lengths"].clone()}


def types(_: Any, data: Data) -> Answers:
    doubled = data["lengths"].to(torch.float64) * 2
    return {"double": doubled, "half": data["x"].to(torch.float16), "same": data["x"].to(torch.float32) + 1}


def numbers(_: Any, data: Data) -> Answers:
    most: Any = data["lengths"].sum().item()
    check: Any = torch._check
    check(most >= 0)
    return {"y": torch.zeros(most, 2).sum(0) + most, "mean": data["x"].mean() * data["x"].size(1)}


def layers(model: Any, data: Data) -> Answers:
    x = torch.nn.functional.linear(data["x"], model.weight, model.weight[0])
    x = torch.nn.functional.layer_norm(torch.cat([x, data["x"]], -1).relu(), [4])
    return {"sum": torch.softmax(x, -1), "int": torch.sigmoid(x).pow(2.0)}


def hidden(model: Any, data: Data) -> Answers:
    x = torch.nn.functional.linear(data["x"], model.weight)
    y = torch.sigmoid(torch.nn.functional.dropout(x, 0.5, training=False)).view(-1, 1).mul(3.0)
    z = torch.relu(torch.ops.aten.atleast_1d(x)) + data["x"]
    return {"x": x, "y": y, "z": z, "given": torch.relu(data["x"])}


def lookups(model: Any, data: Data) -> Answers:
    ids = ids_in_range(
        data["ids"], torch.ops.fbgemm.asynchronous_complete_cumsum(data["lengths"]), torch.tensor([2])
    )
    offsets = torch.ops.fbgemm.asynchronous_complete_cumsum(data["lengths"])
    bags = torch.nn.functional.embedding_bag(
        ids.clamp(min=0), model.weight, offsets, mode="sum", include_last_offset=True
    )
    return {"ids": ids, "bags": bags}


def permuted(_: Any, data: Data) -> Answers:
    lengths = torch.stack([data["lengths"], data["lengths"].flip(0)])
    values = torch.cat([data["ids"], data["ids"]])
    order = torch.tensor([1, 0], dtype=torch.int32)
    found = torch.ops.fbgemm.permute_2D_sparse_data(order, lengths, values, values.float(), values.size(0))
    return {"lengths": found[0], "values": found[1], "weights": found[2]}


@pytest.mark.parametrize(
    "function",
    [sizes, parts, chosen, written, types, numbers, layers, hidden, lookups, permuted],
    ids=lambda function: function.__name__,
)
def test_every_kind_of_statement_is_right_for_every_size(
    function: Callable[[Any, Data], Answers], tmp_path: Path
) -> None:
    model, exported = exported_of(function)
    write_script(exported, tmp_path / SCRIPT)

    script = load_script(tmp_path / SCRIPT)

    for rows in (1, 2, 3, 11):
        data = data_of(rows, seed=rows)
        given = {name: tensor.clone() for name, tensor in data.items()}
        for _ in range(3):  # torch compiles itself in the first calls
            answered, expected = script(data), model({}, data)
            assert list(answered) == list(expected)
            assert all(torch.equal(answered[name], expected[name]) for name in expected)
            assert all(torch.equal(data[name], given[name]) for name in given)


def test_inputs_are_copied_only_where_they_are_written_to() -> None:
    def function(_: Any, data: Data) -> Answers:
        ids, x = data["ids"].clone(), data["x"].clone()
        ids.add_(1)
        return {"y": x.sum(0) + ids.size(0), "ids": ids, "lengths": data["lengths"].clone()}

    _, exported = exported_of(function)

    kinds = [node.kind() for node in to_script(exported).graph.nodes()]

    assert kinds.count("aten::clone") == 2  # ids, and an answer that nobody else shall hold


def test_a_node_that_cannot_be_written_is_named() -> None:
    _, exported = exported_of(sizes)
    node = next(node for node in exported.program.graph.nodes if "arange" in str(node.target))
    node.target = sorted

    with pytest.raises(BundleError, match="calls <built-in function sorted>, which cannot be written"):
        to_script(exported)


def test_what_torchscript_refuses_is_one_line_with_the_statement() -> None:
    _, exported = exported_of(sizes)
    node = next(node for node in exported.program.graph.nodes if "arange" in str(node.target))
    node.args = ("many",)

    with pytest.raises(BundleError, match=r"cannot be written as TorchScript: .*'many'.*please report it"):
        to_script(exported)


@pytest.fixture(scope="module", params=[False, True], ids=["repeated", "tile"])
def rank(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Compiled, Requests]:
    """A ranking model, what was made of it, and requests."""
    folder = tmp_path_factory.mktemp("rank")
    bundle = write_rank(folder / "bundle", tile=request.param)
    script = load_script(bundle.model_path)
    features = features_of(bundle)
    requests = Requests(features, features.tensors)
    exported = export(script, requests.example(20), alike=requests.alike(), in_range=ids_in_range)
    write_script(exported, folder / SCRIPT)
    made = Compiled(
        folder, "torchscript", Machine.this(), "", exported.inputs, exported.tables, exported.outputs, {}, (),
        faster=True, created="",
    )  # fmt: skip
    return script, made, requests


def test_a_whole_model_answers_to_the_bit_for_all_sizes(rank: tuple[Any, Compiled, Requests]) -> None:
    script, made, requests = rank
    flat = load_flat(made, script)

    for _, drawn in requests.all((1, 2, 9), 2):
        data = {name: torch.from_numpy(tensor) for name, tensor in drawn.items()}
        with torch.inference_mode():
            expected, answered = script(dict(data), torch.device("cpu")), flat(data)
        assert all(torch.equal(expected[name], answered[name]) for name in expected)


def test_tables_are_the_originals_memory_and_not_in_the_file(rank: tuple[Any, Compiled, Requests]) -> None:
    script, made, _ = rank
    flat = load_flat(made, script)

    assert made.tables == ("weights",)
    assert flat.table_0.data_ptr() == script.weights.data_ptr()
    assert load_script(made.folder / SCRIPT).table_0.numel() == 0


def test_a_table_that_the_model_does_not_have_is_named(rank: tuple[Any, Compiled, Requests]) -> None:
    _, made, _ = rank

    with pytest.raises(BundleError, match=r"the model has no 'weights'.*run `recserve compile` again"):
        load_flat(made, torch.nn.Module())


def test_the_file_is_loaded_by_torch_and_fbgemm_alone(rank: tuple[Any, Compiled, Requests]) -> None:
    program = (
        "import sys, torch, fbgemm_gpu; torch.jit.load(sys.argv[1]); "
        "sys.exit(any(name.startswith('recserve') for name in sys.modules))"
    )

    subprocess.run([sys.executable, "-c", program, rank[1].folder / SCRIPT], check=True)
