"""Engines run an exported model: input tensors in, output arrays out.

ModelInputs (from feature generation) ──run──────────▶ {"probs_ctr": (rows,) float32}
TensorRequest (from the wire, bypass) ──run_tensors──▶ TensorResponse

`ENGINES` maps a name to "module:Class", because importing a class may need a library that not all have.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recserve.engines.engine import Engine, Loadable

ENGINES = {
    "torchscript": "recserve.engines.torchscript:TorchScript",
    "torch_export": "recserve.engines.torch_export:TorchExport",
    "aotinductor": "recserve.engines.aotinductor:AotInductor",
    "aot_export": "recserve.engines.aot_export:AotExport",
    "onnx": "recserve.engines.onnx:Onnx",
    "column_sum": "recserve.engines.column_sum:ColumnSum",
}
# Those that need torch and fbgemm.
WITH_TORCH = frozenset({"torchscript", "torch_export"})


def find(name: str) -> type[Loadable]:
    """The class of an engine by its name in `ENGINES`."""
    module, _, attribute = ENGINES[name].partition(":")
    engine: type[Loadable] = getattr(import_module(module), attribute)
    return engine


def name_of(engine: Engine) -> str:
    """The name in `ENGINES` of a loaded engine; that of its class, if it is none of them.

    Of an engine around engines it is the name of the one that it runs.
    """
    kind = type(getattr(engine, "runs", engine))
    known = {place: name for name, place in ENGINES.items()}
    return known.get(f"{kind.__module__}:{kind.__qualname__}", kind.__qualname__)
