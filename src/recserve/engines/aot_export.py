"""Runs exports that TorchEasyRec compiled itself, on the kind of processor that they were compiled for.

    ENABLE_AOT=1   scripted_sparse_model.pt ──embeddings by name──▶ aoti/aoti_model.pt2      two halves
    ENABLE_AOT=2   aoti/aoti_model.pt2                                                       the whole model

Such a package takes its inputs by position, in the sorted order of their names, and looks neither at names
nor at types. It says its names, so they are compared when it is loaded; types and ranks are compared with
every request. How wide a dense input has to be it does not say: that is the features' word.

Ours: packages for a GPU are refused (export without ENABLE_AOT and set device cuda). The native runner is
built by `recserve compile`, as for models that it compiles itself.
"""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any, Self

from recserve.cores import cores
from recserve.engines import compiled, jagged, sizes
from recserve.engines.engine import (
    BATCH_SIZE,
    NoRows,
    TensorSpec,
    answer,
    by_name,
    check_deadline,
    check_features,
    check_outputs,
    check_request,
    check_rows,
    specs_by_name,
    tensors,
)
from recserve.engines.torch_arrays import array, reason, tensor, torch
from recserve.engines.torch_runner import ANY, LEAST_RUNNERS, TorchRunner, expected, filled, fitting
from recserve.engines.torchscript import WARM_UP_CALLS, Signature, load_script, set_threads
from recserve.errors import BundleError, ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from recserve.bundle import Bundle
    from recserve.columns import ModelInputs
    from recserve.messages import TensorRequest, TensorResponse

SPARSE = "scripted_sparse_model.pt"


class AotExport:
    """A package, behind the half of the model that looks embeddings up, if it is only the other half."""

    def __init__(
        self,
        runner: TorchRunner,
        sparse: SparseHalf | None,
        *,
        outputs: Sequence[str],
        features: Mapping[str, TensorSpec] | None,
        limits: Mapping[str, int],
    ) -> None:
        reads = sorted(runner.inputs) if sparse is None else sparse.inputs
        if features is not None:
            check_features(features, reads)
        check_outputs(outputs, runner.outputs)
        self._specs = specs_by_name(reads)
        self._inputs = {name: (features or {}).get(name, spec) for name, spec in self._specs.items()}
        self._wanted = tuple(outputs)
        self._runner, self._sparse, self._limits, self._no_rows = runner, sparse, limits, NoRows()
        named = self._specs if sparse is None else {}
        specs = [named.get(name, TensorSpec()) for name in runner.inputs]
        runner.expect(expected([spec.dtype or ANY for spec in specs], [_any_size(spec) for spec in specs]))

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
        """Load the package; `threads` is torch's, for the whole process."""
        if device != "cpu":
            raise ConfigError(f"device '{device}': compiled models run on the CPU; export without ENABLE_AOT")
        check_machine(bundle.model_path)
        library = compiled.folder_of(bundle) / compiled.RUNNER
        if not library.is_file():
            raise BundleError(
                f"{bundle.model_path} has no runner for {compiled.Machine.this().key}; "
                f"run `recserve compile {bundle.path}`"
            )
        set_threads(threads)
        sparse = SparseHalf(bundle.path / SPARSE) if (bundle.path / SPARSE).is_file() else None
        runner = TorchRunner(library, bundle.model_path, max(LEAST_RUNNERS, cores()))
        return cls(runner, sparse, outputs=outputs, features=features, limits=limits or {})

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """Tensors that the model reads, sorted by name."""
        return self._inputs

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the answers: as configured, else sorted."""
        return self._wanted or sorted(self._runner.outputs)

    def warm_up(self, samples: Iterable[tuple[ModelInputs, int]]) -> None:
        """Run every sample often enough for the half that is TorchScript."""
        for inputs, rows in samples:
            for _ in range(1 if self._sparse is None else WARM_UP_CALLS):
                self.run(inputs, rows=rows)

    def run(
        self, inputs: ModelInputs, *, rows: int, deadline: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """Outputs by name, (rows, ...) each."""
        check_deadline(deadline)
        if rows == 0:
            return self._no_rows.answer()
        outputs = self._run(tensors(inputs))
        check_rows(outputs, rows)
        return outputs

    def run_tensors(self, request: TensorRequest) -> TensorResponse:
        """Outputs for a caller's tensors, once types, ranks and lengths are as they have to be."""
        given = by_name(request, list(self._specs))
        check_request(given, self._specs)
        given = {name: fitting(given[name], spec) for name, spec in self._specs.items()}
        jagged.check(given, tile=BATCH_SIZE in self._specs, limits=self._limits)
        sizes.check(given, self._specs)
        check_deadline(request.deadline)
        if not any(len(value) for name, value in given.items() if name.endswith((".lengths", ".values"))):
            return answer(request, self._no_rows.answer())
        return answer(request, self._run(given))

    def _run(self, given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        if self._sparse is not None:
            given = self._sparse.run(given)
        absent = [name for name in self._runner.inputs if name not in given]
        if absent:
            raise ModelError(f"the model failed: its first half does not answer '{absent[0]}'")
        ordered = [given[name] for name in self._runner.inputs]
        answered = dict(zip(self._runner.outputs, self._runner.run(filled(ordered)), strict=True))
        outputs = {name: answered[name] for name in self.outputs}
        self._no_rows.learn(outputs)
        return outputs


class SparseHalf:
    """The half of an AOTInductor export that looks embeddings up: forward(data, device) -> (dict, dict)."""

    def __init__(self, path: Path) -> None:
        self._script = load_script(path)
        signature = Signature(self._script)
        if not signature.by_dict:
            raise BundleError(f"{path} takes no dict of tensors; export it again")
        self._more = (torch.device("cpu"),) if signature.takes_device else ()
        #: Tensors that it reads, sorted.
        self.inputs = signature.inputs

    def run(self, given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Embeddings, and what is handed on as it is, by name."""
        try:
            with torch.inference_mode():
                data = {name: tensor(name, value) for name, value in given.items()}
                embedded, _ = self._script(data, *self._more)
                return {name: array(value) for name, value in embedded.items()}
        except (RuntimeError, TypeError, ValueError, torch.jit.Error) as e:
            raise ModelError(f"the model failed: {reason(e)}") from e


def check_machine(package: Path) -> None:
    """Refuse a package of another device or architecture; BundleError names both."""
    made_for = _metadata(package)
    device, machine = made_for.get("AOTI_DEVICE_KEY", "cpu"), made_for.get("AOTI_MACHINE", "")
    here = compiled.Machine.this().processor
    if device != "cpu":
        capability = made_for.get("AOTI_COMPUTE_CAPABILITY", "")
        named = f"{device} {capability}".strip()
        raise BundleError(f"{package} is compiled for {named}, and this is a CPU; export without ENABLE_AOT")
    if machine and not here.startswith(f"{machine}-"):
        raise BundleError(
            f"{package} is compiled for {machine}, and this is {here}; export it on this machine"
        )


def _metadata(package: Path) -> dict[str, str]:
    """What a package says of where it was made."""
    found: dict[str, str] = {}
    try:
        with zipfile.ZipFile(package) as archive:
            for name in archive.namelist():
                if name.endswith("_metadata.json"):
                    found |= json.loads(archive.read(name))
    except (zipfile.BadZipFile, ValueError, OSError) as e:
        raise BundleError(f"{package} is no package of AOTInductor; export or copy it again: {e}") from e
    return found


def _any_size(spec: TensorSpec) -> list[int] | None:
    return None if spec.rank == -1 else [-1] * spec.rank
