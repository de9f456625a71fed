"""Runs models of torch.export, tensors in and tensors out. See `Engine` for the contract.

An archive says what it reads: names, types, and sizes with their limits. A client's tensors are compared with
that before the model sees them. How an archive is read without running what it brings: `export_archive`.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Self

from recserve.engines import export_archive, first_sizes, jagged, sizes
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
from recserve.engines.export_signature import Signature
from recserve.engines.torch_arrays import array, device_of, know_sizes, reason, share, tensor, torch
from recserve.errors import BundleError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.bundle import Bundle
    from recserve.columns import ModelInputs
    from recserve.engines.engine import TensorSpec
    from recserve.messages import TensorRequest, TensorResponse

WARM_UP_CALLS = 2


class TorchExport:
    """A torch.export model on one device; calls share it, and its operators release the GIL."""

    def __init__(
        self,
        program: torch.export.ExportedProgram,
        *,
        device: torch.device,
        outputs: Sequence[str],
        features: Mapping[str, TensorSpec] | None,
        limits: Mapping[str, int],
    ) -> None:
        self._signature = signature = Signature(program)
        check_outputs(outputs, signature.outputs)
        self._outputs = tuple(outputs) or signature.outputs
        if features is not None:
            check_features(features, signature.inputs)
        self._inputs = {name: (features or {}).get(name, spec) for name, spec in signature.inputs.items()}
        self._jagged = any(name.endswith(".lengths") for name in self._inputs)
        self._limits = limits
        self._sizes = first_sizes.FirstSizes(first_sizes.limits(signature.first_sizes))
        self._device = device
        #: Its tensors lie at dotted paths.
        self.module = program.module(check_guards=False)
        self._forward = _forward(self.module)
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
        """Load the archive onto `device` (cpu, cuda:0); `threads` is torch's, for the whole process."""
        place = device_of(device)
        torch.set_num_threads(threads)
        program = load_program(bundle.model_path)
        if place.type != "cpu":
            program = torch.export.passes.move_to_device_pass(program, place)
        return cls(program, device=place, outputs=outputs, features=features, limits=limits or {})

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Arguments of the model in their order; those of a dict by its keys."""
        return self._inputs

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the answers: as configured, else in the model's order."""
        return self._outputs

    def warm_up(self, samples: Iterable[tuple[ModelInputs, int]]) -> None:
        """Run every sample `WARM_UP_CALLS` times."""
        for inputs, rows in samples:
            for _ in range(WARM_UP_CALLS):
                self.run(inputs, rows=rows)

    def run(
        self, inputs: ModelInputs, *, rows: int, deadline: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name, (rows, ...) each, on the CPU; half precision is widened to float32.

        RequestError for more rows, or values, than the archive was exported for.
        """
        check_deadline(deadline)
        if rows == 0:
            return self._no_rows.answer()
        self._sizes.check(inputs, rows)
        outputs = self._call(share(inputs, self._device))
        check_rows(outputs, rows)
        return outputs

    def run_tensors(self, request: TensorRequest) -> TensorResponse:
        """Outputs for a caller's tensors; what the archive does not declare is refused before."""
        given = self.accepted(request)
        check_deadline(request.deadline)
        return answer(request, self.run_arrays(given))

    def accepted(self, request: TensorRequest) -> dict[str, NDArray[Any]]:
        """The tensors of a request by name; RequestError for those that the archive does not declare."""
        given = by_name(request, list(self._inputs))
        check_request(given, self._inputs)
        self._signature.check(given)
        if self._jagged:
            jagged.check(given, tile=BATCH_SIZE in self._inputs, limits=self._limits)
        return given

    def run_arrays(self, given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs for tensors that were accepted."""
        if sizes.has_no_rows(given, self._signature.inputs):
            return self._no_rows.answer()
        return self._call({name: tensor(name, value) for name, value in given.items()})

    def _call(self, given: Mapping[str, torch.Tensor]) -> dict[str, NDArray[Any]]:
        arguments = self._signature.arguments(given, self._device)
        try:
            with torch.inference_mode():
                result = self._forward(*arguments)
                by_name = dict(zip(self._signature.outputs, result, strict=True))
                outputs = {name: array(by_name[name]) for name in self._outputs}
        except (RuntimeError, IndexError, ValueError, TypeError) as e:
            raise ModelError(f"the model failed: {reason(e)}") from e
        self._no_rows.learn(outputs)
        return outputs


def _forward(module: Any) -> Callable[..., tuple[torch.Tensor, ...]]:
    """A program's module as a function of flat arguments that answers flat outputs.

    Names and sizes are ours to look after, and torch's own look at them takes longer than a small model.
    """
    module.graph.set_codegen(torch.fx.graph.CodeGen())
    module.recompile()
    forward: Callable[..., tuple[torch.Tensor, ...]] = module.forward
    return forward


def load_program(path: Path) -> torch.export.ExportedProgram:
    """Load an archive of which `export_archive` has seen everything but tensors; else a BundleError."""
    copy = export_archive.cleaned(path)
    know_sizes()
    try:
        for content in copy.pickled.values():
            # What this reads, torch.export.load reads in the same way: it tries this first.
            torch.load(io.BytesIO(content), weights_only=True)
        return torch.export.load(copy.archive)
    except Exception as e:  # torch's own come from anywhere: assert, KeyError, pickle, sympy
        raise BundleError(
            f"{path} is not a torch.export model that loads; export or copy it again: {reason(e)}"
        ) from e
