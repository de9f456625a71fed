"""Small ONNX models, made node by node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FLOAT, DOUBLE, HALF, INT64, BOOL, STRING = (
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.FLOAT16,
    TensorProto.INT64,
    TensorProto.BOOL,
    TensorProto.STRING,
)

Tensor = tuple[str, int, "Sequence[int | str | None] | None"]  # name, type, sizes
Node = tuple[str, "Sequence[str]", "Sequence[str]", dict[str, Any]]  # operator, reads, makes, attributes


def write(
    folder: Path,
    nodes: Sequence[Node],
    *,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    constants: dict[str, NDArray[np.generic]] | None = None,
    external: str = "",
) -> Path:
    """Save a graph as a bundle; constants that `external` names a file for are said to lie there."""
    initializers = [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()]
    for tensor in initializers if external else ():
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=external)
    graph = helper.make_graph(
        [helper.make_node(kind, reads, makes, **attributes) for kind, reads, makes, attributes in nodes],
        "graph",
        [helper.make_tensor_value_info(*tensor) for tensor in inputs],
        [helper.make_tensor_value_info(*tensor) for tensor in outputs],
        initializers,
    )
    domains = {str(attributes["domain"]) for *_, attributes in nodes if "domain" in attributes}
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder


def write_sums(folder: Path) -> Path:
    """Sums of a dense feature and of the ids of each row, as `ColumnSum` has them."""
    nodes: list[Node] = [
        ("ReduceSum", ["age.values", "one"], ["old"], {"keepdims": 0}),
        ("Cast", ["tags.values"], ["ids"], {"to": FLOAT}),
        ("CumSum", ["ids", "zero"], ["until"], {}),
        ("Concat", ["nothing", "until"], ["running"], {"axis": 0}),
        ("CumSum", ["tags.lengths", "zero"], ["ends"], {}),
        ("Sub", ["ends", "tags.lengths"], ["starts"], {}),
        ("Gather", ["running", "ends"], ["at_ends"], {}),
        ("Gather", ["running", "starts"], ["at_starts"], {}),
        ("Sub", ["at_ends", "at_starts"], ["of_tags"], {}),
        ("Add", ["old", "of_tags"], ["all"], {}),
    ]
    return write(
        folder,
        nodes,
        inputs=[
            ("tags.values", INT64, ["ids"]),
            ("tags.lengths", INT64, ["rows"]),
            ("age.values", FLOAT, ["rows", 2]),
        ],
        outputs=[("all", FLOAT, ["rows"]), ("old", FLOAT, ["rows"])],
        constants={"one": np.array([1]), "zero": np.array(0), "nothing": np.zeros(1, np.float32)},
    )
