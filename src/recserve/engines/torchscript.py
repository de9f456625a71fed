"""Runs exported TorchScript models. The one file that imports torch and fbgemm_gpu (never torchrec).

An exported model is called as forward(Dict[str, Tensor] data, Device device) -> Dict[str, Tensor]. Other
TorchScript models, with tensors as arguments, are served in fg_mode bypass. See `Engine` for the contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from recserve.engines import jagged, torch_pair
from recserve.engines.engine import (
    BATCH_SIZE,
    NoRows,
    answer,
    by_name,
    check_deadline,
    check_features,
    check_outputs,
    check_request,
    check_rows,
    specs_by_name,
)
from recserve.errors import BundleError, ConfigError, ModelError, RequestError

try:
    torch_pair.check_versions()  # a wrong pair can kill the process, so look before the import
    import fbgemm_gpu  # noqa: F401  registers the operators that exported models call
    import torch
except (ImportError, OSError) as e:
    raise torch_pair.import_failed(e) from e

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.bundle import Bundle
    from recserve.columns import ModelInputs
    from recserve.engines.engine import TensorSpec
    from recserve.messages import TensorRequest, TensorResponse

# TorchScript compiles itself in its first calls: two are slow, the third is what users see.
WARM_UP_CALLS = 3


class TorchScript:
    """A TorchScript model on one device; calls share it and release the GIL."""

    def __init__(
        self,
        model: Any,  # a torch.jit.ScriptModule, most of which has no types
        *,
        device: torch.device,
        outputs: Sequence[str],
        features: Mapping[str, TensorSpec] | None,
        limits: Mapping[str, int],
    ) -> None:
        signature = _Signature(model)
        self._forward: Callable[..., Any] = model.forward
        self._by_dict = signature.by_dict
        self._takes_device = signature.takes_device
        self._optional = signature.optional
        self._device = device
        self._wanted = tuple(outputs)
        self._limits = limits
        self._no_rows = NoRows()
        self._names = signature.outputs
        self._inputs = specs_by_name(signature.inputs)
        self._reads_only_inputs = signature.complete
        if features is not None:
            check_features(features, self._reads(features))
            known = {**self._inputs, **features}
            self._inputs = {name: known[name] for name in self._reads(features)}
        if self._names:
            check_outputs(self._wanted, self._names)

    @classmethod
    def load(
        cls,
        bundle: Bundle,
        *,
        device: str = "cpu",
        threads: int = 1,
        outputs: Sequence[str] = (),
        features: Mapping[str, TensorSpec] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> Self:
        """Load the model onto `device` (cpu, cuda:0); `threads` is torch's, for the whole process."""
        place = _device(device)
        set_threads(threads)
        model = load_script(bundle.model_path, place)
        return cls(model, device=place, outputs=outputs, features=features, limits=limits or {})

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Tensors that the model reads: sorted by name, or in the order of its arguments."""
        return self._inputs

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the answers: as configured, else sorted."""
        return self._wanted or self._names

    def warm_up(self, samples: Iterable[tuple[ModelInputs, int]]) -> None:
        """Run every sample `WARM_UP_CALLS` times."""
        for inputs, rows in samples:
            for _ in range(WARM_UP_CALLS):
                self.run(inputs, rows=rows)

    def run(
        self, inputs: ModelInputs, *, rows: int, deadline: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name, (rows, ...) each, on the CPU; half precision is widened to float32."""
        check_deadline(deadline)
        if rows == 0:
            return self._no_rows.answer()
        outputs = self._call(share(inputs))
        check_rows(outputs, rows)
        return outputs

    def run_tensors(self, request: TensorRequest) -> TensorResponse:
        """Outputs for a caller's tensors; everything that could upset native code is refused before."""
        given = by_name(request, list(self._inputs))
        check_request({*given, *self._optional}, self._reads(given))
        if self._by_dict:
            jagged.check(given, tile=BATCH_SIZE in self._inputs, limits=self._limits)
        check_deadline(request.deadline)
        if self._by_dict and _is_empty(given):
            return answer(request, self._no_rows.answer())
        return answer(request, self._call({name: _tensor(name, value) for name, value in given.items()}))

    def _call(self, tensors: dict[str, torch.Tensor]) -> dict[str, NDArray[Any]]:
        if not self._takes_device:
            tensors = {name: tensor.to(self._device) for name, tensor in tensors.items()}
        try:
            with torch.inference_mode():
                if not self._by_dict:
                    result = self._forward(**tensors)
                elif self._takes_device:
                    result = self._forward(tensors, self._device)
                else:
                    result = self._forward(tensors)
                outputs = {name: _array(tensor) for name, tensor in self._named(result).items()}
        except (RuntimeError, torch.jit.Error) as e:
            raise ModelError(f"the model failed: {_last_line(e)}") from e
        self._no_rows.learn(outputs)
        return outputs

    def _named(self, result: Any) -> dict[str, torch.Tensor]:
        """Outputs by name, restricted and in order; a model without names has output_0, output_1, …"""
        if isinstance(result, torch.Tensor):
            result = (result,)
        if not isinstance(result, dict):
            result = {f"output_{position}": tensor for position, tensor in enumerate(result)}
        if not self._names:
            check_outputs(self._wanted, result)
            self._names = _ordered(result)
        return {name: result[name] for name in self.outputs}

    def _reads(self, sent: Iterable[str]) -> list[str]:
        """Names that the model reads; where its graph hides some, whatever is sent may be among them."""
        return [*self._inputs] if self._reads_only_inputs else sorted({*self._inputs, *sent})


class SparseHalf:
    """The half of an AOTInductor export that looks embeddings up: forward(data, device) -> (dict, dict)."""

    warm_up_calls = WARM_UP_CALLS

    def __init__(self, path: Path) -> None:
        self._script = load_script(path)
        signature = _Signature(self._script)
        if not signature.by_dict:
            raise BundleError(f"{path} takes no dict of tensors; export it again")
        self._more = (torch.device("cpu"),) if signature.takes_device else ()
        #: Tensors that it reads, sorted.
        self.inputs = signature.inputs

    def run(self, given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Embeddings, and what is handed on as it is, by name."""
        try:
            with torch.inference_mode():
                found = self._script(
                    {name: _tensor(name, value) for name, value in given.items()}, *self._more
                )
                return {name: _array(tensor) for name, tensor in found[0].items()}
        except (RuntimeError, torch.jit.Error) as e:
            raise ModelError(f"the model failed: {_last_line(e)}") from e


def load_script(path: Path, device: torch.device | None = None) -> Any:
    """A TorchScript module, ready to run; BundleError if the file is none."""
    try:
        return torch.jit.load(path, map_location=device or "cpu").eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as e:
        why = _last_line(e)
        raise BundleError(
            f"{path} is not a TorchScript model that loads; export or copy it again: {why}"
        ) from e


def tensor_at(script: Any, path: str) -> NDArray[Any]:
    """The memory of a tensor that a module holds, by its dotted path."""
    for name in path.split("."):
        script = getattr(script, name)
    array: NDArray[Any] = script.detach().numpy()
    return array


def set_threads(threads: int) -> None:
    """How many threads torch has for one call, in the whole process."""
    torch.set_num_threads(threads)


def share(inputs: ModelInputs) -> dict[str, torch.Tensor]:
    """The model's tensors, which lie in the two buffers of `inputs`: nothing is copied.

    The few floats are cut by numpy and not by torch, whose every operation lets other threads take over.
    """
    ints = torch.split_with_sizes(torch.from_numpy(inputs.ints), inputs.int_sizes)
    tensors = dict(zip(inputs.int_names, ints, strict=True))
    floats, start = inputs.floats, 0
    for name, size, width in zip(inputs.float_names, inputs.float_sizes, inputs.float_widths, strict=True):
        values = floats[start : start + size]
        # width 0: weights, one per id
        tensors[name] = torch.from_numpy(values.reshape(-1, width) if width else values)
        start += size
    return tensors


class _Signature:
    """What a TorchScript model reads and answers, taken from its graph.

    A model that takes a dict says nowhere which keys it reads, but its graph looks each up by a constant.
    These look-ups are followed from the argument through every block and called module. `complete` is False
    when there is a look-up by a computed key, or another use of the dict.
    """

    def __init__(self, model: Any) -> None:
        arguments = model.forward.schema.arguments[1:]
        graph = model.inlined_graph
        types = [argument.type.annotation_str for argument in arguments]
        self.by_dict = types[:1] == ["Dict[str, Tensor]"]
        self.takes_device = self.by_dict and types[1:2] == ["Device"]
        self.complete = True
        self.optional: tuple[str, ...] = ()
        if self.by_dict:
            keys = _keys_read(list(graph.inputs())[1])
            self.complete = None not in keys
            self.inputs = sorted(key for key in keys if key is not None)
        else:
            named = [argument for argument in arguments if _can_be_sent(argument)]
            self.inputs = [argument.name for argument in named]
            self.optional = tuple(argument.name for argument in named if argument.has_default_value())
        self.outputs = _keys_answered(graph)


def _can_be_sent(argument: Any) -> bool:
    """Whether callers send this argument; one that is no tensor keeps its default."""
    if argument.type.annotation_str in ("Tensor", "Optional[Tensor]"):
        return True
    if argument.has_default_value():
        return False
    raise BundleError(
        f"the model's argument '{argument.name}' is {argument.type.annotation_str}, and only tensors can be "
        "sent: give it a default, or wrap the model"
    )


def _keys_read(data: Any) -> set[str | None]:
    """Keys that the uses of a dict look up; None stands for a use that does not tell its key."""
    nodes = [use.user for use in data.uses()]
    return {_constant(list(node.inputs())[1]) if node.kind() in _LOOK_UPS else None for node in nodes}


_LOOK_UPS = ("aten::__getitem__", "aten::__contains__")


def _keys_answered(graph: Any) -> tuple[str, ...]:
    """Sorted output names; empty where the model builds its answer so that only a call tells."""
    result = next(iter(graph.outputs()))
    if str(result.type()) == "Tensor":
        return ("output_0",)
    node = result.node()
    if node.kind() != "prim::DictConstruct" or len(result.uses()) > 1:
        return ()  # used before it is returned: more may be added
    keys = [_constant(key) for key in list(node.inputs())[::2]]
    return _ordered(key for key in keys if key is not None)


def _constant(value: Any) -> str | None:
    node = value.node()
    return node.s("value") if node.kind() == "prim::Constant" and node.hasAttribute("value") else None


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Sorted, numbers by value: output_2 before output_10."""
    return tuple(
        sorted(names, key=lambda name: (len(name), name) if name.startswith("output_") else (0, name))
    )


def check_device(name: str) -> str:
    """Say what a device is; ConfigError if this machine lacks it."""
    device = _device(name)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as e:
        raise ConfigError(f"device '{name}' is unknown; use cpu or cuda:0") from e
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device '{name}' is not there: torch {torch.__version__} sees no GPU; "
            "use cpu, or pip install 'recserve[torch-cuda]'"
        )
    return device


def _tensor(name: str, array: NDArray[Any]) -> torch.Tensor:
    if array.dtype.kind not in "biuf":
        raise RequestError(f"input '{name}' is {array.dtype}; a TorchScript model takes numbers")
    # A copy where the memory is the request's own: fbgemm writes into ids that are out of range.
    owned = array if array.flags.writeable and array.flags.c_contiguous else array.copy()
    return torch.from_numpy(owned)


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    if tensor.device.type != "cpu" or not tensor.is_contiguous():
        tensor = tensor.cpu().contiguous()
    array: NDArray[Any] = tensor.numpy()
    return array


def _is_empty(given: Mapping[str, NDArray[Any]]) -> bool:
    """No feature has a row."""
    counted = [value for name, value in given.items() if name.endswith(".lengths")]
    counted += [value for name, value in given.items() if name.endswith(".values") and value.ndim == 2]
    return bool(counted) and all(len(value) == 0 for value in counted)


def _last_line(error: Exception) -> str:
    """What went wrong, without the trace of the interpreter above it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("RuntimeError: ") if lines else type(error).__name__
