"""Runs ONNX models by ONNX Runtime. The one file that imports onnxruntime. See `Engine` for the contract.

A file says what it reads: names, types, sizes. So everything that a client sends is compared with that before
the runtime sees it. What the runtime itself refuses when it loads a file: operators that it does not know
(libraries of others are never loaded) and weights outside of the bundle.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recserve.engines import jagged, sizes
from recserve.engines.engine import (
    BATCH_SIZE,
    DTYPES,
    NoRows,
    TensorSpec,
    answer,
    by_name,
    check_deadline,
    check_features,
    check_outputs,
    check_request,
    check_rows,
    tensors,
)
from recserve.errors import BundleError, ConfigError, ModelError

try:
    import onnxruntime
except ImportError as e:
    raise BundleError(
        "onnxruntime is not installed, and ONNX models need it: pip install 'recserve[onnx]'"
    ) from e

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.bundle import Bundle
    from recserve.columns import ModelInputs
    from recserve.messages import TensorRequest, TensorResponse

# Where ONNX does not call a type as numpy does.
_NUMPY = {"float": "float32", "double": "float64"}
WARM_UP_CALLS = 2
FATAL = 4  # what goes wrong is raised; onnxruntime need not print it too


class Onnx:
    """An ONNX model on one device; calls share the session and release the GIL."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        *,
        outputs: Sequence[str],
        features: Mapping[str, TensorSpec] | None,
        limits: Mapping[str, int],
    ) -> None:
        known = {output.name: output.type for output in session.get_outputs()}
        check_outputs(outputs, known)
        self._outputs = tuple(outputs) or tuple(known)
        for name in self._outputs:
            _dtype("output", name, known[name])
        self._declared = {
            argument.name: _spec(argument.name, argument.type, argument.shape)
            for argument in session.get_inputs()
        }
        if features is not None:
            check_features(features, self._declared)
        self._inputs = {name: (features or {}).get(name, spec) for name, spec in self._declared.items()}
        self._jagged = any(name.endswith(".lengths") for name in self._declared)
        self._limits = limits
        self._session = session
        self._no_rows = NoRows()

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
        """Load model.onnx for a device (cpu, cuda:0)."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = FATAL
        # A thread that waits for work must not take a core from requests.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = _session(bundle.model_path, options, _provider(device))
        return cls(session, outputs=outputs, features=features, limits=limits or {})

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Inputs of the graph, in its order; weights that it lets callers override keep their values."""
        return self._inputs

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the answers: as configured, else in the order of the graph."""
        return self._outputs

    def warm_up(self, samples: Iterable[tuple[ModelInputs, int]]) -> None:
        """Run every sample `WARM_UP_CALLS` times: the first call of a size lays its memory out."""
        for inputs, rows in samples:
            for _ in range(WARM_UP_CALLS):
                self.run(inputs, rows=rows)

    def run(
        self, inputs: ModelInputs, *, rows: int, deadline: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name, (rows, ...) each; half precision is widened to float32."""
        check_deadline(deadline)
        if rows == 0:
            return self._no_rows.answer()
        outputs = self._call(tensors(inputs))
        check_rows(outputs, rows)
        return outputs

    def run_tensors(self, request: TensorRequest) -> TensorResponse:
        """Outputs for a caller's tensors; what the graph does not declare is refused before."""
        given = by_name(request, list(self._inputs))
        check_request(given, self._inputs)
        sizes.check(given, self._declared)
        if self._jagged:
            jagged.check(given, tile=BATCH_SIZE in self._inputs, limits=self._limits)
        check_deadline(request.deadline)
        if sizes.has_no_rows(given, self._declared):
            return answer(request, self._no_rows.answer())
        return answer(request, self._call(given))

    def _call(self, given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        try:
            result = self._session.run(self._outputs, {name: given[name] for name in self._inputs})
        except Exception as e:  # its errors have no class in common but this
            raise ModelError(f"the model failed: {_reason(e)}") from e
        outputs = {
            name: output.astype(np.float32) if output.dtype == np.float16 else output
            for name, output in zip(self._outputs, result, strict=True)
        }
        self._no_rows.learn(outputs)
        return outputs


def _session(path: Path, options: Any, provider: Any) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(path, options, providers=[provider])
    except Exception as e:  # its errors have no class in common but this
        raise BundleError(
            f"{path} is not an ONNX model that loads; export or copy it again: {_reason(e)}"
        ) from e


def _provider(device: str) -> Any:
    """What onnxruntime calls a device: the name of its provider, and options."""
    kind, _, number = device.partition(":")
    if device != "cpu" and (kind != "cuda" or not re.fullmatch(r"\d*", number)):
        raise ConfigError(f"device '{device}' is unknown; use cpu or cuda:0")
    name, there = f"{kind.upper()}ExecutionProvider", onnxruntime.get_available_providers()
    if name not in there:
        raise ConfigError(
            f"device '{device}' is not there: onnxruntime {onnxruntime.__version__} has {', '.join(there)}; "
            "use cpu, or pip install onnxruntime-gpu in place of onnxruntime"
        )
    return name if kind == "cpu" else (name, {"device_id": int(number or 0)})


def _spec(name: str, type_: str, shape: Sequence[int | str | None]) -> TensorSpec:
    """What the graph declares: a number is fixed, one name is one size, None is any.

    No sizes stand for a scalar and for an input of any rank: onnxruntime does not tell which.
    """
    dimensions = tuple(
        sizes.exactly(size) if isinstance(size, int) else sizes.Size(size or "") for size in shape
    )
    return TensorSpec(_dtype("input", name, type_), len(dimensions) or -1, dimensions)


def _dtype(side: str, name: str, type_: str) -> str:
    kind = type_.removeprefix("tensor(").removesuffix(")")
    found = _NUMPY.get(kind, kind)
    if found not in DTYPES:
        way_out = ", or name the others in outputs" if side == "output" else ""
        raise BundleError(
            f"the model's {side} '{name}' is {type_}; only tensors of {', '.join(sorted(DTYPES))} "
            f"can be sent: cast it in the model{way_out}"
        )
    return found


def _reason(error: Exception) -> str:
    """What onnxruntime said, in one line without its codes and the file name that stands before it."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    return re.sub(r"^Load model from .*? failed:\s*", "", text)
