"""Loads the TorchScript model that `recserve compile` wrote, beside the one that it was made of.

model.pt            graph, dense weights, and table_0, table_1, … which are empty in the file
the export's file   embedding tables: most of the bytes, and in memory once for both models
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.engines.compiled import SCRIPT
from recserve.engines.torchscript import load_script
from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from recserve.engines.compiled import Compiled


def load_flat(made: Compiled, original: Any) -> Any:
    """The rewritten model: forward(Dict[str, Tensor]) -> Dict[str, Tensor], inputs as in `made.inputs`.

    `original` is the loaded export, a module whose tables it shares. An input that the graph has no use for
    may be left out of the dict, or be there; sizes are not compared with `made.inputs`, which is up to the
    caller.
    """
    return load_with_tables(made.folder / SCRIPT, made.tables, original)


def load_with_tables(path: Path, tables: Sequence[str], original: Any) -> Any:
    """A file of `recserve.compile.script`, whose tables are those of `original` at these dotted paths."""
    script = load_script(path)
    for position, table in enumerate(tables):
        setattr(script, table_name(position), _tensor_at(original, table))
    return script


def table_name(position: int) -> str:
    """The attribute of a rewritten model that holds a table of the original."""
    return f"table_{position}"


def _tensor_at(script: Any, path: str) -> Any:
    try:
        for name in path.split("."):
            script = getattr(script, name)
    except AttributeError as e:
        raise BundleError(
            f"the model has no '{path}', which its compiled form reads; run `recserve compile` again"
        ) from e
    return script.detach()
