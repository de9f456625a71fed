"""TorchScript models. How their graph is made: `recserve.compile.export`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from recserve.compile.export import export
from recserve.compile.ids_in_range import ids_in_range
from recserve.engines.torch_arrays import device_of
from recserve.engines.torchscript import TorchScript, load_script

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from recserve.bundle import Bundle
    from recserve.compile.asked import Drawn, Given
    from recserve.compile.export import Exported
    from recserve.engines.sizes import Size


class TorchScriptSource:
    """See `Source`."""

    def __init__(self, script: Any) -> None:
        self.module = script
        self.inputs: Collection[str] = self.engine().inputs
        self.sizes: Mapping[str, Size] = {}  # a script says nothing of them

    @classmethod
    def load(cls, bundle: Bundle) -> Self:
        """Load a bundle's model."""
        return cls(load_script(bundle.model_path))

    def engine(self) -> TorchScript:
        """An engine of its own: it prepares for the names of its first inputs."""
        return TorchScript(self.module, device=device_of("cpu"), outputs=(), features=None, limits={})

    def graph(self, requests: Drawn | Given) -> Exported:
        """The flat graph."""
        return export(self.module, requests.example(), alike=requests.alike(), in_range=ids_in_range)
