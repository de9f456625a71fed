"""Runs what `recserve compile` made of a model: machine code by AOTInductor.

    ModelInputs ──addresses──▶ native runner (package/) ──copies──▶ arrays
                                   ▲
    the export's file ──tables─────┘   embeddings stay in the original file; the package holds the rest

Nothing is copied on the way in, and no lock is held while the model computes. Scores differ from the original
by what `recserve compile` measured: the same sums, in another order. See `Engine` for the contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from recserve.cores import cores
from recserve.engines import compiled, find, jagged, sizes
from recserve.engines.compiled import Compiled
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
)
from recserve.engines.torch_runner import LEAST_RUNNERS, TYPES, TorchRunner, expected, filled, fitting
from recserve.engines.torchscript import set_threads, tensor_at
from recserve.errors import BundleError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from recserve.bundle import Bundle
    from recserve.columns import ModelInputs
    from recserve.engines.engine import TensorSpec
    from recserve.messages import TensorRequest, TensorResponse


class AotInductor:
    """A compiled model on the CPU."""

    def __init__(
        self,
        made: Compiled,
        runner: TorchRunner,
        tables: Sequence[NDArray[Any]],
        *,
        outputs: Sequence[str],
        features: Mapping[str, TensorSpec] | None,
        limits: Mapping[str, int],
    ) -> None:
        if features is not None:
            check_features(features, made.inputs)
        check_outputs(outputs, made.outputs)
        self.compiled = made
        self._specs = made.inputs
        self._inputs = {name: (features or {}).get(name, spec) for name, spec in made.inputs.items()}
        self._wanted = tuple(outputs)
        self._runner, self._limits, self._no_rows = runner, limits, NoRows()
        self._tables = tables  # the runner has their addresses
        self._arguments = _Arguments(made.inputs, tables)
        runner.expect(self._arguments.expected)

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
        """Load what was compiled for this machine; `threads` is torch's, for the whole process."""
        folder = compiled.folder_of(bundle)
        if not (folder / compiled.MANIFEST).is_file():
            raise BundleError(not_compiled(bundle))
        made = Compiled.read(folder)
        why_not = made.why_not(bundle)
        if why_not:
            raise BundleError(f"{folder} does not fit: {why_not}; run `recserve compile {bundle.path}` again")
        return cls.open(
            made, bundle, device=device, threads=threads, outputs=outputs, features=features, limits=limits
        )

    @classmethod
    def open(
        cls,
        made: Compiled,
        bundle: Bundle,
        *,
        device: str = "cpu",
        threads: int = 1,
        outputs: Sequence[str] = (),
        features: Mapping[str, TensorSpec] | None = None,
        limits: Mapping[str, int] | None = None,
        module: Any = None,
    ) -> Self:
        """Load a record that is known to fit, wherever it lies.

        `module`: the original where it is loaded already, whose tables are the ones that are read.
        """
        if device != "cpu":
            raise ConfigError(
                f"device '{device}': compiled models run on the CPU; set engine {bundle.engine} for a GPU"
            )
        set_threads(threads)
        if module is None:
            original: Any = find(bundle.engine).load(bundle, threads=threads)
            module = original.module
        tables = [tensor_at(module, path) for path in made.tables]
        runners = max(LEAST_RUNNERS, cores())
        runner = TorchRunner(made.folder / compiled.RUNNER, made.folder / compiled.PACKAGE, runners)
        return cls(made, runner, tables, outputs=outputs, features=features, limits=limits or {})

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Tensors that the model reads, sorted by name."""
        return self._inputs

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the answers: as configured, else sorted."""
        return self._wanted or self.compiled.outputs

    def warm_up(self, samples: Iterable[tuple[ModelInputs, int]]) -> None:
        """Run every sample once: nothing is compiled any more."""
        for inputs, rows in samples:
            self.run(inputs, rows=rows)

    def run(
        self, inputs: ModelInputs, *, rows: int, deadline: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name, (rows, ...) each."""
        check_deadline(deadline)
        if rows == 0:
            return self._no_rows.answer()
        outputs = self._run(self._arguments.of_inputs(inputs))
        check_rows(outputs, rows)
        return outputs

    def run_tensors(self, request: TensorRequest) -> TensorResponse:
        """Outputs for a caller's tensors, once all of them are as the model was compiled for.

        Ours: user features under INPUT_TILE have one row here; TorchScript also takes them repeated.
        """
        given = self.accepted(request)
        check_deadline(request.deadline)
        return answer(request, self.run_arrays(given))

    def accepted(self, request: TensorRequest) -> dict[str, NDArray[Any]]:
        """The tensors of a request by name; RequestError for those that do not agree."""
        given = by_name(request, list(self._specs))
        check_request(given, self._specs)
        jagged.check(given, tile=BATCH_SIZE in self._specs, limits=self._limits)
        return given

    def run_arrays(self, given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs for tensors that agree; RequestError where one is not as the model was compiled for."""
        given = {name: fitting(given[name], spec) for name, spec in self._specs.items()}
        if sizes.has_no_rows(given, self._specs):
            return self._no_rows.answer()
        sizes.check(given, self._specs)
        return self._run(self._arguments.of_arrays(given))

    def _run(self, arguments: NDArray[Any]) -> dict[str, NDArray[Any]]:
        answered = dict(zip(self._runner.outputs, self._runner.run(arguments), strict=True))
        outputs = {name: answered[name] for name in self.outputs}
        self._no_rows.learn(outputs)
        return outputs


class _Arguments:
    """Arrays of TENSOR: what each call hands to the runner. Tables come first, then inputs by name."""

    def __init__(self, specs: Mapping[str, TensorSpec], tables: Sequence[NDArray[Any]]) -> None:
        named: dict[str, int] = {}
        shapes = [list(table.shape) for table in tables]
        shapes += [[_number_of(size, named) for size in spec.shape] for spec in specs.values()]
        types = [table.dtype.name for table in tables] + [spec.dtype for spec in specs.values()]
        self.expected = expected(types, shapes)
        self._template = self.expected.copy()
        self._template["data"][: len(tables)] = [table.ctypes.data for table in tables]
        self._positions = {name: len(tables) + k for k, name in enumerate(specs)}
        self._layout: _Layout | None = None

    def of_inputs(self, inputs: ModelInputs) -> NDArray[Any]:
        """Addresses and sizes in the two buffers of generated inputs, which say themselves what they are."""
        layout = self._layout
        if layout is None or not layout.fits(inputs):
            self._layout = layout = _Layout(inputs, self._positions, self._template)
        return layout.filled(inputs)

    def of_arrays(self, given: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Addresses and sizes of arrays by name."""
        arguments = self._template.copy()
        arguments[[self._positions[name] for name in given]] = filled(list(given.values()))
        return arguments


class _Layout:
    """Where the tensors of feature generation go among the arguments; the same for all requests of a plan.

    Everything is computed for all tensors at once, of both buffers, one behind the other.
    """

    def __init__(self, inputs: ModelInputs, positions: Mapping[str, int], template: NDArray[Any]) -> None:
        self._names = inputs.names
        names = [*inputs.int_names, *inputs.float_names]
        ints = len(inputs.int_names)
        widths = np.array([0] * ints + list(inputs.float_widths), np.int64)  # 0: a flat tensor
        at = np.array([positions.get(name, -1) for name in names], np.int64)
        self._read = np.flatnonzero(at >= 0)  # a model leaves out tensors that it has no use for
        self._at = at[self._read]
        self._is_float = np.arange(len(names)) >= ints
        self._bytes = np.where(self._is_float, 4, 8)
        self._widths = np.maximum(widths, 1)
        self._template = template.copy()
        self._template["type"][self._at] = np.where(self._is_float, TYPES["float32"], TYPES["int64"])[
            self._read
        ]
        self._template["rank"][self._at] = (1 + (widths > 0))[self._read]
        self._template["sizes"][self._at, 1] = widths[self._read]

    def fits(self, inputs: ModelInputs) -> bool:
        """Whether inputs have the names of the first ones."""
        return self._names is inputs.names

    def filled(self, inputs: ModelInputs) -> NDArray[Any]:
        """Addresses and sizes of a request."""
        counts = np.array(inputs.int_sizes + inputs.float_sizes, np.int64)
        ends = counts * self._bytes
        np.cumsum(ends, out=ends)
        ints, floats = inputs.ints, inputs.floats
        starts = np.where(self._is_float, _address(floats) - ints.nbytes, _address(ints))
        arguments = self._template.copy()
        arguments["data"][self._at] = (starts + ends - counts * self._bytes)[self._read]
        arguments["sizes"][self._at, 0] = (counts // self._widths)[self._read]
        return arguments


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _number_of(size: sizes.Size, named: dict[str, int]) -> int:
    """A size as the runner has it: literal, -1 for any, another negative number for each name."""
    if size.fixed is not None:
        return size.fixed
    return named.setdefault(size.name, -2 - len(named)) if size.name else -1


def not_compiled(bundle: Bundle) -> str:
    """What to say when there is nothing for this machine."""
    key, others = compiled.Machine.this().key, compiled.others(bundle)
    beside = f" (it is for {', '.join(others)})" if others else ""
    return (
        f"{bundle.model_path} is not compiled for {key}{beside}; run `recserve compile {bundle.path}`, "
        f"or set engine {bundle.engine}"
    )
