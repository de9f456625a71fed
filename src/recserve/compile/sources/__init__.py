"""Models that graphs are made of: a file for each kind of export. `source.py` is their contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recserve.compile.sources.torch_export import TorchExportSource
from recserve.compile.sources.torchscript import TorchScriptSource
from recserve.errors import BundleError

if TYPE_CHECKING:
    from recserve.bundle import Bundle
    from recserve.compile.sources.source import Source

#: Engine of an export → what is made of it.
SOURCES: dict[str, type[TorchScriptSource | TorchExportSource]] = {
    "torchscript": TorchScriptSource,
    "torch_export": TorchExportSource,
}


def open_source(bundle: Bundle) -> Source:
    """Load a bundle's model; BundleError as `check_kind` has it, or if it does not load."""
    check_kind(bundle)
    return SOURCES[bundle.engine].load(bundle)


def check_kind(bundle: Bundle) -> None:
    """Refuse a model of a kind that nothing is made of, by a BundleError."""
    if bundle.engine not in SOURCES:
        raise BundleError(
            f"{bundle.model_path} is neither a TorchScript model nor one of torch.export; `recserve compile` "
            "takes nothing else"
        )
