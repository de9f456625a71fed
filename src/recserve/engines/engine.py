"""The contract of an engine, and what every engine does alike.

An engine is loaded once and run by many threads at once. It never trusts names: what the features send and
what the model reads are compared when it is loaded, what a caller sends is compared with every request.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from recserve.errors import BundleError, ConfigError, DeadlineError, ModelError, RequestError
from recserve.messages import TensorResponse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from recserve.bundle import Bundle
    from recserve.columns import ModelInputs
    from recserve.engines.sizes import Size
    from recserve.messages import TensorRequest

BATCH_SIZE = "batch_size"
# What requests can bring and answers can hold, as numpy calls it.
DTYPES = frozenset({"float32", "float64", "float16", "int8", "int16", "int32", "int64", "uint8", "bool"})


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Type and number of dimensions of a tensor; "" and -1 where nobody knows."""

    dtype: str = ""  # int64, float32, … as numpy calls it
    rank: int = -1
    shape: tuple[Size, ...] = ()  # `rank` of them, where the model says them


class Engine(Protocol):
    """Runs one model. Every method may be called from many threads at once, and computes without the GIL."""

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Tensors that the model reads, in the order in which positional requests name them."""

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the answers, restricted to the configured ones, in their order; empty until they are
        known.

        A model says them in its file, or with its first call (`warm_up`).
        """

    def warm_up(self, samples: Iterable[tuple[ModelInputs, int]]) -> None:
        """Run every sample (inputs, rows) often enough that the next call of its size is quick."""

    def run(
        self, inputs: ModelInputs, *, rows: int, deadline: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name, (rows, ...) each. No rows: answered without the model."""

    def run_tensors(self, request: TensorRequest) -> TensorResponse:
        """Outputs for a caller's own tensors, by name and, where the caller counts, by position."""


class Loadable(Engine, Protocol):
    """An engine that loads a bundle's model by itself: what `ENGINES` lists."""

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
        """Load the bundle's model.

        `threads` compute one call (of one request; requests run beside one another anyway). `outputs`
        restricts the answers, empty = all. `features` are the tensors that feature generation will send:
        names that differ from what the model reads are a BundleError here and not a surprise later. `limits`
        are the bucket sizes of id features: in bypass an id outside 0 <= id < limit is refused, where fbgemm
        would take row 0 and say nothing. (Ids of feature generation are below their bucket size by
        construction and are not looked at again.)
        """


def specs_by_name(names: Iterable[str]) -> dict[str, TensorSpec]:
    """Types of a model's inputs by the naming of exported models, for want of features that tell.

    F.lengths, F.key_lengths and batch_size are int64, F.weights is float32. F.values is a dense float32 of
    (rows, width) where F.lengths is not read, and else taken for ids, which most such features are.
    """
    names = list(names)
    return {name: _spec(name, dense=f"{name.removesuffix('.values')}.lengths" not in names) for name in names}


def _spec(name: str, *, dense: bool) -> TensorSpec:
    if name.endswith(".values"):
        return TensorSpec("float32", 2) if dense else TensorSpec("int64", 1)
    if name.endswith(".weights"):
        return TensorSpec("float32", 1)
    if name.endswith((".lengths", ".key_lengths")) or name == BATCH_SIZE:
        return TensorSpec("int64", 1)
    return TensorSpec()


def tensors(inputs: ModelInputs) -> dict[str, NDArray[Any]]:
    """The tensors by name, as views of the two buffers; floats are (rows, width), weights (ids,)."""
    views: dict[str, NDArray[Any]] = {}
    start = 0
    for name, size in zip(inputs.int_names, inputs.int_sizes, strict=True):
        views[name] = inputs.ints[start : start + size]
        start += size
    start = 0
    for name, size, width in zip(inputs.float_names, inputs.float_sizes, inputs.float_widths, strict=True):
        view = inputs.floats[start : start + size]
        views[name] = view.reshape(-1, width) if width else view
        start += size
    return views


def check_features(features: Collection[str], reads: Iterable[str]) -> None:
    """Refuse a model that reads other tensors than the features send. `batch_size` harms no model.

    Nor does a tensor beside one that the model reads: an export keeps the lengths of one member of a sequence
    group and drops those of the others, and drops weights that nothing uses.
    """
    reads = set(reads)
    read_features = {_feature_of(name) for name in reads}
    spare = {name for name in features if name not in reads and _feature_of(name) in read_features}
    difference = _difference(set(features) - spare, reads)
    if difference:
        raise BundleError(
            f"model inputs differ: {difference}; use the fg.json that was exported with the model"
        )


def _feature_of(tensor: str) -> str:
    return tensor.rpartition(".")[0]


def check_request(sent: Iterable[str], reads: Iterable[str]) -> None:
    """Refuse a request that sends other tensors than the model reads."""
    difference = _difference(sent, reads)
    if difference:
        raise RequestError(f"model inputs differ: {difference}")


def _difference(sent: Iterable[str], reads: Iterable[str]) -> str:
    sent, reads = set(sent), set(reads)
    parts = {"sent extra": sent - reads - {BATCH_SIZE}, "missing": reads - sent}
    return ", ".join(f"{side} {{{_quoted(names)}}}" for side, names in parts.items() if names)


def check_outputs(wanted: Sequence[str], known: Iterable[str]) -> None:
    """Refuse a configured output that the model does not have."""
    unknown = set(wanted) - set(known)
    if unknown:
        raise ConfigError(f"outputs: unknown {_quoted(unknown)}; the model has {_quoted(known)}")


def check_deadline(deadline: float | None) -> None:
    """Do not start what nobody waits for."""
    if deadline is not None and time.monotonic() >= deadline:
        raise DeadlineError("the time budget was spent before the model was called")


def check_rows(outputs: Mapping[str, NDArray[Any]], rows: int) -> None:
    """Refuse an answer that cannot be aligned with the rows of the request."""
    for name, output in outputs.items():
        if output.ndim == 0 or output.shape[0] != rows or output.size < rows:  # (rows, 0) is short too
            raise ModelError(f"output '{name}' has shape {output.shape} for {rows} rows")


class NoRows:
    """The answer for no rows, for which no model is called: the outputs of an earlier call, emptied."""

    def __init__(self) -> None:
        self._outputs: dict[str, NDArray[Any]] = {}

    def learn(self, outputs: Mapping[str, NDArray[Any]]) -> None:
        """Keep types and shapes, once."""
        if not self._outputs:
            self._outputs = {name: np.atleast_1d(output)[:0].copy() for name, output in outputs.items()}

    def answer(self) -> dict[str, NDArray[Any]]:
        """Outputs of no rows."""
        if not self._outputs:
            raise ModelError("a request for no rows came before the model was called once; warm it up first")
        return dict(self._outputs)


def by_name(request: TensorRequest, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Inputs of a request by name; position k is the k-th of the model's `names`, a gap is no input."""
    if len(request.inputs) > len(names):
        raise RequestError(
            f"{len(request.inputs)} inputs by position, the model has {len(names)}: {_list(names)}"
        )
    given = {name: value for name, value in zip(names, request.inputs, strict=False) if value is not None}
    twice = given.keys() & request.named_inputs.keys()
    if twice:
        raise RequestError(f"input {_quoted(twice)} is sent by name and by position")
    return {**given, **request.named_inputs}


def answer(request: TensorRequest, outputs: Mapping[str, NDArray[Any]]) -> TensorResponse:
    """Outputs by name; also by position where the caller sent by position or asks for positions.

    With a filter `outputs[k]` is what `output_filter[k]` counts, duplicates kept.
    """
    names = list(outputs)
    for position in request.output_filter:
        if not 0 <= position < len(names):
            raise RequestError(
                f"output_filter {position}: the model has {len(names)} outputs: {_list(names)}"
            )
    if request.output_filter:
        positional = [outputs[names[position]] for position in request.output_filter]
    else:
        positional = list(outputs.values()) if request.inputs else []
    return TensorResponse(positional, dict(outputs))


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"{position} '{name}'" for position, name in enumerate(names))
