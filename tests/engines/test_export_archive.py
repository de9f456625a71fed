"""An archive of torch.export is read without running anything that it brings along."""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.engines import export_models
from torch._export.serde import serialize
from torch._export.serde.schema import SCHEMA_VERSION

from recserve.bundle import Bundle
from recserve.engines import export_archive
from recserve.engines.torch_export import TorchExport
from recserve.errors import BundleError
from recserve.messages import TensorRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GRAPH = "models/model.json"
NODE = ("graph_module", "graph", "nodes", 0)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_models.write_scores(tmp_path_factory.mktemp("good")) / "exported_model.pt2"


@pytest.fixture
def burnt(tmp_path: Path) -> Path:
    """The folder that code of an archive would make."""
    return tmp_path / "burnt"


class Burns:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


def rewritten(
    good: Path, bundle: Path, changed: dict[str, bytes], compression: int = zipfile.ZIP_STORED
) -> Bundle:
    """A bundle with a copy of an archive, in which parts are changed or added."""
    bundle.mkdir(exist_ok=True)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bundle / good.name, "w", compression) as copy:
        root = source.namelist()[0].partition("/")[0]
        parts = {name: source.read(name) for name in source.namelist()}
        for name, content in (
            parts | {f"{root}/{name}": content for name, content in changed.items()}
        ).items():
            copy.writestr(name, content)
    return Bundle.open(bundle)


def graph_of(archive: Path) -> dict[str, Any]:
    with zipfile.ZipFile(archive) as source:
        [name] = [name for name in source.namelist() if name.endswith(GRAPH)]
        graph: dict[str, Any] = json.loads(source.read(name))
    return graph


def with_value(graph: dict[str, Any], place: tuple[str | int, ...], value: object) -> bytes:
    inner: Any = graph
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return json.dumps(graph).encode()


def size_at(graph: dict[str, Any]) -> tuple[str | int, ...]:
    """Where the first size that requests choose stands."""
    for name, value in graph["graph_module"]["graph"]["tensor_values"].items():
        if "as_expr" in value["sizes"][0]:
            return ("graph_module", "graph", "tensor_values", name, "sizes", 0, "as_expr", "expr_str")
    raise AssertionError


def load(bundle: Bundle) -> TorchExport:
    return TorchExport.load(bundle)


def test_samples_that_would_run_code_are_left_out(
    good: Path, tmp_path: Path, burnt: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sample = io.BytesIO()
    torch.save(((Burns(burnt),), {}), sample)
    bundle = rewritten(good, tmp_path / "bundle", {"data/sample_inputs/model.pt": sample.getvalue()})

    assert load(bundle).outputs == ("logits", "probs")
    assert not burnt.exists()

    caplog.set_level(logging.ERROR, "torch._export.serde.serialize")  # a warning that it cannot format
    torch.export.load(bundle.model_path)  # what this file is about
    assert burnt.exists()


def test_guards_that_would_be_executed_are_left_out(good: Path, tmp_path: Path, burnt: Path) -> None:
    graph = graph_of(good) | {"guards_code": [f"open({str(burnt)!r}, 'w') is not None"]}
    bundle = rewritten(good, tmp_path / "bundle", {GRAPH: json.dumps(graph).encode()})

    request = TensorRequest([np.ones((1, 3), np.float32), np.ones((1, 1), np.int64)], {})
    load(bundle).run_tensors(request)

    assert not burnt.exists()


@pytest.mark.parametrize(
    "size",
    [
        "__import__('os').system('touch {burnt}')",
        "open('{burnt}', 'w')",
        "Symbol.__class__",
        "[s for s in (1,)]",
        "(lambda: 1)()",
        "9**9**9**9",
        "Pow(Integer(9), Pow(Integer(9), Integer(9)))",
        "Symbol('s1); import os')",
        "s1 if s2 else s3",
        "f'{{s1}}'",
        "1 +",
        "1+" * 9000 + "1",
    ],
)
def test_a_size_that_is_more_than_arithmetic_is_refused(
    good: Path, tmp_path: Path, burnt: Path, size: str
) -> None:
    graph = graph_of(good)
    changed = with_value(graph, size_at(graph), size.format(burnt=burnt))
    bundle = rewritten(good, tmp_path / "bundle", {GRAPH: changed})

    with pytest.raises(BundleError, match=r"holds the size .*and reading that could run code") as error:
        load(bundle)

    assert "\n" not in str(error.value)
    assert not burnt.exists()


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.load",
        "torch.ops.aten.__class__",
        "torch.ops.aten.add.__class__",
        "torch.ops.aten.add.Tensor.py_impl",
        "torch.ops.load_library",
        "torch.ops.aten.from_file.default",
        "torch.ops.my_ops.burn.default",
        "_operator.attrgetter",
        "_operator.methodcaller",
        "math.__class__",
        "#extension:anything",
        "os.system",
    ],
)
def test_an_operator_that_is_not_of_torch_or_fbgemm_is_refused(
    good: Path, tmp_path: Path, target: str
) -> None:
    changed = with_value(graph_of(good), (*NODE, "target"), target)

    with pytest.raises(BundleError, match=f"holds the operator '{target}'"):
        load(rewritten(good, tmp_path / "bundle", {GRAPH: changed}))


@pytest.mark.parametrize(
    "name",
    [
        "torch.ops.aten.add.Tensor",
        "torch.ops.aten._to_copy.default",
        "torch.ops.aten.__and__.Tensor",
        "torch.ops.fbgemm.asynchronous_complete_cumsum.default",
        "torch.ops.higher_order.cond",
        "torch.sym_max",
        "torch._sym_sqrt",
        "_operator.getitem",
        "math.trunc",
    ],
)
def test_operators_that_exports_have_pass(good: Path, tmp_path: Path, name: str) -> None:
    changed = with_value(graph_of(good), (*NODE, "target"), name)

    assert export_archive.cleaned(rewritten(good, tmp_path / "bundle", {GRAPH: changed}).model_path).archive


@pytest.mark.parametrize(
    "place",
    [
        (*NODE, "name"),
        (*NODE, "inputs", 0, "name"),
        ("graph_module", "graph", "inputs", 0, "as_tensor", "name"),
        ("graph_module", "signature", "input_specs", 0, "parameter", "parameter_name"),
        ("graph_module", "module_call_graph", 0, "signature", "forward_arg_names", 0),
        ("verifiers", 0),
    ],
    ids=str,
)
def test_a_name_that_would_be_written_into_code_is_refused(
    good: Path, tmp_path: Path, place: tuple[str | int, ...]
) -> None:
    changed = with_value(graph_of(good), place, "x=open('burnt','w')")

    with pytest.raises(BundleError, match="holds the name "):
        load(rewritten(good, tmp_path / "bundle", {GRAPH: changed}))


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (
            {"type": "collections.defaultdict", "context": {}, "children_spec": []},
            "in a 'collections.defaultdict'",
        ),
        ({"type": "builtins.dict", "context": '["a\\"]"]', "children_spec": []}, "under the key"),
    ],
    ids=["type", "key"],
)
def test_inputs_that_nest_in_anything_but_tuples_lists_and_dicts_are_refused(
    good: Path, tmp_path: Path, tree: dict[str, object], message: str
) -> None:
    place = ("graph_module", "module_call_graph", 0, "signature", "in_spec")
    changed = with_value(graph_of(good), place, json.dumps([1, tree]))

    with pytest.raises(BundleError, match=f"holds inputs or outputs {message}"):
        load(rewritten(good, tmp_path / "bundle", {GRAPH: changed}))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("data/aotinductor/model/model.so", "'data/aotinductor/model/model.so'"),
        ("data/weights/model.pt", "'data/weights/model.pt'"),
        ("data/constants/custom_obj_0", "'data/constants/custom_obj_0'"),
        ("models/other.json", "'models/other.json'"),
        ("../out", "'../out'"),
    ],
)
def test_parts_that_no_plain_model_has_are_refused(
    good: Path, tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(BundleError, match=f"holds {message}, and reading that could run code"):
        load(rewritten(good, tmp_path / "bundle", {name: b"\x80"}))


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"use_pickle": True, "path_name": "weight_0"}, "'w' as a pickle"),
        ({"use_pickle": False, "path_name": "opaque_obj_0"}, "'w' as an object"),
        ({"use_pickle": False, "path_name": "../../weight_0"}, "'w' as an object"),
    ],
    ids=["pickle", "object", "path"],
)
def test_weights_that_are_not_plain_bytes_are_refused(
    good: Path, tmp_path: Path, payload: dict[str, object], message: str
) -> None:
    config = json.dumps({"config": {"w": payload}}).encode()

    with pytest.raises(BundleError, match=f"holds {message}"):
        load(rewritten(good, tmp_path / "bundle", {"data/weights/model_weights_config.json": config}))


def test_compressed_parts_are_refused_before_they_fill_the_memory(good: Path, tmp_path: Path) -> None:
    bomb = {"data/weights/weight_0": bytes(1 << 24)}

    with pytest.raises(BundleError, match=r"holds '.*' compressed"):
        load(rewritten(good, tmp_path / "bundle", bomb, zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04 cut short", b"PK\x05\x06" + bytes(18)])
def test_a_file_that_is_no_archive_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "exported_model.pt2").write_bytes(content)

    with pytest.raises(BundleError, match=r"is not an archive of torch\.export\.save") as error:
        load(Bundle.open(tmp_path))

    assert "\n" not in str(error.value)


def test_an_archive_that_torch_cannot_read_is_told_in_one_line(good: Path, tmp_path: Path) -> None:
    changed = with_value(graph_of(good), ("schema_version", "major"), 999)

    with pytest.raises(BundleError, match=r"is not a torch\.export model that loads; .*: \S") as error:
        load(rewritten(good, tmp_path / "bundle", {GRAPH: changed}))

    assert "\n" not in str(error.value)


def write_old(good: Path, bundle: Path, **changed: bytes) -> Bundle:
    """The same model as torch 2.7 wrote archives, in which tensors are pickled; RecIS does still."""
    with zipfile.ZipFile(bundle / "exported_model.pt", "w") as archive:
        artifact = serialize.serialize(torch.export.load(good))
        parts = {
            "version": ".".join(map(str, SCHEMA_VERSION)).encode(),
            "serialized_exported_program.json": artifact.exported_program,
            "serialized_state_dict.pt": artifact.state_dict,
            "serialized_constants.pt": artifact.constants,
            "serialized_example_inputs.pt": artifact.example_inputs,
        }
        for name, content in (parts | changed).items():
            archive.writestr(name, content)
    return Bundle.open(bundle)


def test_an_older_archive_scores_the_same(
    good: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "torch")  # that it looks for a newer archive first
    request = TensorRequest([np.ones((2, 3), np.float32), np.ones((2, 1), np.int64)], {})
    expected = load(Bundle.open(good.parent)).run_tensors(request).named_outputs

    result = load(write_old(good, tmp_path)).run_tensors(request).named_outputs

    assert {name: output.tolist() for name, output in result.items()} == {
        name: output.tolist() for name, output in expected.items()
    }


@pytest.mark.parametrize("name", ["serialized_state_dict.pt", "serialized_constants.pt"])
def test_pickles_of_an_older_archive_hold_tensors_alone(
    good: Path, tmp_path: Path, burnt: Path, name: str
) -> None:
    sample = io.BytesIO()
    torch.save({"linear.weight": Burns(burnt)}, sample)

    with pytest.raises(BundleError, match=r"is not a torch\.export model that loads"):
        load(write_old(good, tmp_path, **{name: sample.getvalue()}))
    assert not burnt.exists()


def test_sample_inputs_of_an_older_archive_are_left_out(good: Path, tmp_path: Path, burnt: Path) -> None:
    burns = {"serialized_example_inputs.pt": pickle.dumps(Burns(burnt))}

    assert load(write_old(good, tmp_path, **burns)).outputs
    assert not burnt.exists()
