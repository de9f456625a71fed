"""Which engine runs a bundle's model: the export's own, or what `recserve compile` made of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from recserve.engines.compiled import MANIFEST, Compiled, folder_of
from recserve.errors import ConfigError, LoadError

if TYPE_CHECKING:
    from recserve.bundle import Bundle

logger = logging.getLogger("recserve.load")

#: Engine → the export's own engine, whose models it runs too.
_RUNS_ALSO = {"aotinductor": "torchscript"}


def engine_for(bundle: Bundle, wanted: str, *, device: str, repeats: bool) -> str:
    """The engine's name; `wanted` is that of the service file.

    | wanted      | what runs the model                                                                      |
    |-------------|------------------------------------------------------------------------------------------|
    | auto        | what was compiled, if it fits this machine and model and was faster; else the export     |
    | aotinductor | what was compiled, even if it was not faster; an error where there is nothing that fits  |
    | torchscript | the export                                                                               |

    Ours: a model with INPUT_TILE is compiled for user features of one row. Where callers may repeat them
    (`repeats`: they lay tensors out themselves, or rows are joined) auto stays with the export.
    """
    if wanted == "auto":
        compiled = bundle.engine == "torchscript" and device == "cpu" and not repeats and _worthwhile(bundle)
        return "aotinductor" if compiled else bundle.engine
    if bundle.engine not in (wanted, _RUNS_ALSO.get(wanted)):
        raise ConfigError(
            f"engine '{wanted}' does not run {bundle.model_path.name}; use auto or {bundle.engine}"
        )
    return wanted


def _worthwhile(bundle: Bundle) -> bool:
    """Whether there is something compiled that fits and was faster; what is there and does not is named."""
    folder = folder_of(bundle)
    if not (folder / MANIFEST).is_file():
        return False
    try:
        made = Compiled.read(folder)
        why_not = made.why_not(bundle)
    except LoadError as error:
        why_not = str(error)
    if why_not:
        logger.warning(
            "the compiled model is not used; run `recserve compile` again",
            extra={"folder": str(folder), "reason": why_not},
        )
        return False
    return made.faster
