"""Runs exported TorchScript models. They need fbgemm, and never torchrec.

An exported model is called as forward(Dict[str, Tensor] data, Device device) -> Dict[str, Tensor]. Other
TorchScript models, with tensors as arguments, are served in fg_mode bypass. See `Engine` for the contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from recserve.engines import jagged
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
from recserve.engines.fed_model import FedModel
from recserve.engines.torch_arrays import array, device_of, reason, share, tensor, torch
from recserve.errors import BundleError, ModelError

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
        _check_answers_tensors(model.forward.schema.returns[0].type)
        signature = Signature(model)
        #: Its tensors lie at dotted paths.
        self.module = model
        self._forward: Callable[..., Any] = model.forward
        self._by_dict = signature.by_dict
        self._takes_device = signature.takes_device
        self._optional = signature.optional
        self._device = device
        # A GPU's buffers are cut in Python: what crosses to it is decided there (`share`).
        fed = signature.by_dict and signature.answers_dict and device.type == "cpu"
        self._fed = FedModel(model, takes_device=signature.takes_device) if fed else None
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
        place = device_of(device)
        set_threads(threads)
        # Not frozen: torch.jit.freeze gives the same bits, and at rank-200 neither wall nor CPU time.
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
        outputs = self._answered(lambda: self._fed_or_called(inputs))
        check_rows(outputs, rows)
        return outputs

    def run_tensors(self, request: TensorRequest) -> TensorResponse:
        """Outputs for a caller's tensors; everything that could upset native code is refused before."""
        given = self.accepted(request)
        check_deadline(request.deadline)
        return answer(request, self.run_arrays(given))

    def accepted(self, request: TensorRequest) -> dict[str, NDArray[Any]]:
        """The tensors of a request by name; RequestError for everything that could upset native code."""
        given = by_name(request, list(self._inputs))
        check_request({*given, *self._optional}, self._reads(given))
        if self._by_dict:
            jagged.check(given, tile=BATCH_SIZE in self._inputs, limits=self._limits)
        return given

    def run_arrays(self, given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs for tensors that were accepted."""
        if self._by_dict and _is_empty(given):
            return self._no_rows.answer()
        tensors = {name: tensor(name, value) for name, value in given.items()}
        return self._answered(lambda: self._called(tensors))

    def _fed_or_called(self, inputs: ModelInputs) -> Any:
        if self._fed is not None and self._fed.takes(inputs):
            return self._fed(inputs)
        return self._called(share(inputs, self._device))

    def _called(self, tensors: dict[str, torch.Tensor]) -> Any:
        if self._takes_device:
            return self._forward(tensors, self._device)
        tensors = {name: value.to(self._device) for name, value in tensors.items()}
        return self._forward(tensors) if self._by_dict else self._forward(**tensors)

    def _answered(self, call: Callable[[], Any]) -> dict[str, NDArray[Any]]:
        try:
            with torch.inference_mode():
                outputs = {name: array(output) for name, output in self._named(call()).items()}
        except (RuntimeError, TypeError, torch.jit.Error) as e:
            raise ModelError(f"the model failed: {reason(e)}") from e
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


def load_script(path: Path, device: torch.device | None = None) -> Any:
    """A TorchScript module, ready to run; BundleError if the file is none."""
    try:
        return torch.jit.load(path, map_location=device or "cpu").eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as e:
        why = reason(e)
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


class Signature:
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
        (returned,) = model.forward.schema.returns
        self.answers_dict = returned.type.annotation_str == "Dict[str, Tensor]"
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


def _check_answers_tensors(answered: Any) -> None:
    """A tensor, or a dict, tuple or list of them; what has no type is looked at when it is there."""
    if answered.annotation_str in ("Tensor", "Any"):
        return
    parts = {
        "DictType": lambda: [answered.getValueType()],
        "ListType": lambda: [answered.getElementType()],
        "TupleType": lambda: list(answered.elements()),
    }
    inside = parts.get(answered.kind(), list)()
    if not inside or any(part.annotation_str != "Tensor" for part in inside):
        raise BundleError(
            f"the model answers {answered.annotation_str}; tensors are served, alone or in a dict, tuple or "
            "list: wrap the model"
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


def _is_empty(given: Mapping[str, NDArray[Any]]) -> bool:
    """No feature has a row."""
    counted = [value for name, value in given.items() if name.endswith(".lengths")]
    counted += [value for name, value in given.items() if name.endswith(".values") and value.ndim == 2]
    return bool(counted) and all(len(value) == 0 for value in counted)
