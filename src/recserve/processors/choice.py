"""What runs a bundle's model: the export as it is, or what `recserve compile` made of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recserve.engines.compiled import MANIFEST, Compiled, Machine, folder_of, others
from recserve.errors import BundleError, ConfigError, LoadError

if TYPE_CHECKING:
    from collections.abc import Collection

    from recserve.bundle import Bundle
    from recserve.config.model import ModelConfig

logger = logging.getLogger("recserve.load")

#: Engines of exports that `recserve compile` takes.
_COMPILED = ("torchscript", "torch_export")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What runs."""

    engine: str
    made: Compiled | None = None  # None: the export, as it is
    why_not: str = ""  # why it is the export
    insists: bool = False  # whether the service file wants no other

    @property
    def users_once(self) -> bool:
        """Whether requests are to bring the user's features in one row, whatever INPUT_TILE says."""
        return self.made is not None and self.made.users_once

    @property
    def told(self) -> str:
        """What was compiled runs, its speed and how far its scores are from the export's; or why not."""
        made = self.made
        if made is None:
            return f"no: {self.why_not}"
        speeds = ", ".join(f"{speed.ratio:.2f} x at {speed.rows} rows" for speed in made.speed)
        away = ", ".join(
            f"{kind} within {made.parity[kind]:.1g}"
            for kind in ("probability", "relative")
            if kind in made.parity
        )
        return "; ".join(text for text in (str(made.variant), speeds, away) if text)


def choose(
    bundle: Bundle, model: ModelConfig, *, unfit: str = "", users: Collection[str] | None = None
) -> Chosen:
    """What the service file, the machine and the requests leave to choose.

    | engine      | compiled      | what runs the model                                                     |
    |-------------|---------------|-------------------------------------------------------------------------|
    | auto        | auto          | what was compiled, if it fits and was faster; else the export           |
    | auto        | require       | what was compiled, even if it was not faster; BundleError if none fits  |
    | auto        | off           | the export                                                              |
    | its own     | auto, off     | the export                                                              |
    | aotinductor | auto, require | as require, and it has to be machine code                               |

    Its own: torchscript or torch_export, whichever the export is for.

    `unfit`: why requests do not bring the user's features in one row, which what is rewritten reads; "" if
    they do. `users`: the tensors of user features; None: nobody knows.
    """
    own = bundle.engine
    machine_code = model.engine == "aotinductor" and own in _COMPILED
    if model.engine not in ("auto", own) and not machine_code:
        raise ConfigError(f"engine '{model.engine}' does not run {bundle.model_path.name}; use auto or {own}")
    if model.engine == own or model.compiled == "off":
        key = "engine" if model.engine == own else "compiled"
        return Chosen(own, why_not=f"model_config.{key} is {getattr(model, key)}")
    made, why_not = _fitting(bundle, model, unfit, users)
    insists = model.compiled == "require" or model.engine != "auto"
    if made is not None and (insists or made.faster):
        return Chosen(made.engine, made, insists=insists)
    if insists:
        asked = "compiled is require" if model.compiled == "require" else f"engine is {model.engine}"
        raise BundleError(
            f"model_config.{asked}, and {why_not}; run `recserve compile {bundle.path}`, or set compiled auto"
        )
    if made is not None:
        return Chosen(own, why_not="the export was faster")
    if not (folder_of(bundle) / MANIFEST).is_file():
        return Chosen(own, why_not=why_not)
    return export_of(bundle, why_not)


def export_of(bundle: Bundle, why_not: str) -> Chosen:
    """The export, where something was compiled and cannot be used, of which the log tells."""
    logger.warning(
        "the compiled model is not used", extra={"folder": str(folder_of(bundle)), "reason": why_not}
    )
    return Chosen(bundle.engine, why_not=why_not)


def _fitting(
    bundle: Bundle, model: ModelConfig, unfit: str, users: Collection[str] | None
) -> tuple[Compiled | None, str]:
    """What was compiled, if it fits the machine, the model and its requests; else why it does not."""
    if bundle.engine not in _COMPILED:
        why_not = "is neither a TorchScript model nor one of torch.export, and nothing else is compiled"
        return None, f"{bundle.model_path.name} {why_not}"
    if model.device != "cpu":
        return None, f"device is {model.device}, and compiled models run on the CPU"
    folder = folder_of(bundle)
    if not (folder / MANIFEST).is_file():
        beside = f" (but for {', '.join(found)})" if (found := others(bundle)) else ""
        return None, f"{bundle.model_path} is not compiled for {Machine.this().key}{beside}"
    try:
        made = Compiled.read(folder)
    except LoadError as error:
        return None, str(error)
    why_not = made.why_not(bundle) or (unfit if made.users_once else "")
    if not why_not and users is not None and made.users_once:
        others_now = set(made.users) ^ (set(users) & made.inputs.keys())
        if others_now:
            why_not = f"fg.json has changed since: whether '{min(others_now)}' is of the user"
    if not why_not and model.engine not in ("auto", made.engine):
        why_not = f"what was compiled is run by {made.engine}"
    return (None, why_not) if why_not else (made, "")
