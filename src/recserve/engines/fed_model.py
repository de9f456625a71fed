"""A TorchScript model that takes the two buffers of feature generation, and cuts them into tensors itself.

Cut in Python, the hundred-odd tensors of a request are as many objects, views and entries of a dict, all made
and destroyed under the interpreter's lock. In TorchScript they cost half of that, and other threads compute
meanwhile (`benchmarks.stages`, *run*: 170 to 95 µs at rank-200, the model that does nothing included).
"""

# Without annotations from __future__: TorchScript reads types, not their texts.
import threading
from typing import TYPE_CHECKING, Any

from recserve.engines.torch_arrays import torch

if TYPE_CHECKING:
    from recserve.columns import ModelInputs, TensorNames


#: torch compiles one class on two threads at once into an error, or into a crash.
_compiling = threading.Lock()


class _Cut(torch.nn.Module):
    """The wrapper, as TorchScript reads it."""

    __constants__ = ("takes_device",)
    ints: list[str]
    floats: list[str]
    widths: list[int]

    def __init__(self, model: Any, names: "TensorNames", *, takes_device: bool) -> None:
        super().__init__()
        self.model = model
        self.takes_device = takes_device
        self.ints, self.floats, self.widths = names.ints, names.floats, names.float_widths

    def forward(
        self,
        ints: torch.Tensor,
        floats: torch.Tensor,
        int_sizes: list[int],
        float_sizes: list[int],
        device: torch.device,
    ) -> dict[str, torch.Tensor]:
        data: dict[str, torch.Tensor] = {}
        for name, part in zip(self.ints, ints.split_with_sizes(int_sizes)):  # noqa: B905  not in TorchScript
            data[name] = part
        parts = floats.split_with_sizes(float_sizes)
        for name, width, part in zip(self.floats, self.widths, parts):  # noqa: B905
            data[name] = part.view([-1, width]) if width > 0 else part  # 0: weights, one per id
        # Only the branch that a constant leaves is compiled: a conditional expression would need both.
        if self.takes_device:
            answer: dict[str, torch.Tensor] = self.model(data, device)
        else:
            answer = self.model(data)
        return answer


class FedModel:
    """Calls a model with inputs of one plan, that of its first call."""

    def __init__(self, model: Any, *, takes_device: bool) -> None:
        self._model = model
        self._takes_device = takes_device
        self._names: TensorNames | None = None
        self._cut: Any = None

    def takes(self, inputs: "ModelInputs") -> bool:
        """Whether inputs have the names of the first ones."""
        if self._names is None:
            with _compiling:
                if self._names is None:
                    cut = _Cut(self._model, inputs.names, takes_device=self._takes_device)
                    self._cut = torch.jit.script(cut.eval()).forward
                    self._names = inputs.names  # last: who sees it calls what is compiled
        return inputs.names is self._names

    def __call__(self, inputs: "ModelInputs") -> dict[str, torch.Tensor]:
        """The model's answer."""
        ints, floats = torch.from_numpy(inputs.ints), torch.from_numpy(inputs.floats)
        answer: dict[str, torch.Tensor] = self._cut(
            ints, floats, inputs.int_sizes, inputs.float_sizes, torch.device("cpu")
        )
        return answer
