"""Every engine of the table keeps the contract."""

from __future__ import annotations

from tests.engines import (
    contract,
    test_aot_export,
    test_aotinductor,
    test_column_sum,
    test_onnx,
    test_torch_export,
    test_torchscript,
)

from recserve.bundle import MODEL_FILES
from recserve.engines import ENGINES, find

CONTRACTS: list[type[contract.EngineContract]] = [
    test_torchscript.TestContract,
    test_torch_export.TestContract,
    test_aotinductor.TestContract,
    test_aot_export.TestWhole,
    test_onnx.TestContract,
    test_column_sum.TestContract,
]


def test_the_contract_suite_runs_over_every_engine() -> None:
    assert {suite.name for suite in CONTRACTS} == set(ENGINES)


def test_every_model_file_has_an_engine() -> None:
    assert set(MODEL_FILES.values()) <= set(ENGINES)
    assert {find(name).__name__ for name in ENGINES} == {
        "AotExport",
        "AotInductor",
        "ColumnSum",
        "Onnx",
        "TorchExport",
        "TorchScript",
    }
