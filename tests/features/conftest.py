"""One feature, a few columns, its tensors as Python lists: what the tables of cases are written in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pytest
from tests.features import tokenizer_files

from recserve.columns import batch_from_arrow
from recserve.features import config
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.columns import ModelInputs

Tensors = dict[str, list[Any]]


class Generate(Protocol):
    def __call__(self, feature: dict[str, Any], columns: dict[str, Any]) -> Tensors: ...


def tensors_of(inputs: ModelInputs) -> Tensors:
    """Name → values; dense tensors row by row."""
    tensors: Tensors = {}
    ends = np.cumsum([0, *inputs.int_sizes])
    for name, start, end in zip(inputs.int_names, ends[:-1], ends[1:], strict=True):
        tensors[name] = inputs.ints[start:end].tolist()
    ends = np.cumsum([0, *inputs.float_sizes])
    widths = zip(inputs.float_names, inputs.float_widths, strict=True)
    for (name, width), start, end in zip(widths, ends[:-1], ends[1:], strict=True):
        values = inputs.floats[start:end]
        tensors[name] = (values.reshape(-1, width) if width > 1 else values).tolist()
    return tensors


@pytest.fixture
def generate() -> Generate:
    """Generate one feature, called f, over rows of a table; its tensors without their `f.`."""

    def run(feature: dict[str, Any], columns: dict[str, Any]) -> Tensors:
        arrays = {name: a if isinstance(a, pa.Array) else pa.array(a) for name, a in columns.items()}
        keys = {"feature_name": "f", **feature}
        entry = keys.pop("group", None)
        if entry is not None:
            entry = {"sequence_name": "s", **entry, "features": [keys]}
        generator = Generator(config.load({"features": [entry or keys]}))
        tensors = tensors_of(generator.generate_joined(batch_from_arrow(arrays)))
        return {name.removeprefix("s__").removeprefix("f."): values for name, values in tensors.items()}

    return run


@pytest.fixture
def files_of_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in a folder with the files that the tables of cases and the contract's examples name."""
    tokenizer_files.words().save(str(tmp_path / "words.json"))
    monkeypatch.chdir(tmp_path)
