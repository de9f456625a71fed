"""Bundles that are compiled once for all tests: each takes a compiler some seconds.

Torch is imported where it is needed: this is loaded with every test run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.bundle import Bundle
    from recserve.engines.compiled import Compiled
    from recserve.features.generator import Generator


@dataclass(frozen=True, slots=True)
class CompiledBundle:
    """A bundle, what was made of it, and what `recserve compile` printed."""

    bundle: Bundle
    made: Compiled
    printed: str = ""


def fg() -> dict[str, Any]:
    """The features of tests/engines/models.py Rank."""
    from tests.engines.models import STEPS, TABLES

    clicks = _id("item_id", "item:item_id", TABLES["item_id"]) | {"value_dim": 1}
    price = {
        "feature_type": "raw_feature",
        "feature_name": "price",
        "expression": "item:price",
        "value_dim": 2,
    }
    group = {
        "sequence_name": "clicks",
        "sequence_length": STEPS,
        "sequence_delim": ";",
        "sequence_pk": "user:clicks",
        "features": [clicks],
    }
    ids = [
        _id("user_id", "user:user_id", TABLES["user_id"]),
        _id("item_id", "item:item_id", TABLES["item_id"]),
        _id("tags", "item:tags", TABLES["tags"]),
    ]
    return {"features": [*ids, price | {"default_value": "0\x1d0"}, group]}


def _id(name: str, column: str, size: int) -> dict[str, Any]:
    return {
        "feature_type": "id_feature",
        "feature_name": name,
        "expression": column,
        "num_buckets": size,
        "value_type": "int64",
        "default_value": "0",
    }


def write_rank(folder: Path, *, tile: bool = False) -> Bundle:
    """The ranking model of the engines' tests, with its features."""
    from tests.engines import models

    from recserve.bundle import Bundle

    models.write_rank(folder, tile=tile)
    (folder / "fg.json").write_text(json.dumps(fg()))
    return Bundle.open(folder)


def features_of(bundle: Bundle) -> Generator:
    """The plan of a bundle's fg.json."""
    from recserve.config.service import load
    from recserve.processors.load import load_features

    return load_features(bundle, load(None))


@pytest.fixture(scope="session")
def compiled_rank(tmp_path_factory: pytest.TempPathFactory) -> CompiledBundle:
    """Machine code of the graph as it is: it takes what the export takes."""
    from recserve.compile.bundle import compile_bundle
    from recserve.engines.compiled import FLAT

    bundle = write_rank(tmp_path_factory.mktemp("compiled") / "rank")
    made = compile_bundle(bundle, features_of(bundle), engines=("aotinductor",), graphs=(FLAT,))
    return CompiledBundle(bundle, made)


@pytest.fixture(scope="session")
def compiled_tile(tmp_path_factory: pytest.TempPathFactory) -> CompiledBundle:
    """Machine code at the model's own rates; the export takes users of one row too."""
    from recserve.compile.bundle import compile_bundle

    bundle = write_rank(tmp_path_factory.mktemp("compiled") / "tile", tile=True)
    return CompiledBundle(bundle, compile_bundle(bundle, features_of(bundle), engines=("aotinductor",)))


@pytest.fixture(scope="session")
def rewritten_rank(tmp_path_factory: pytest.TempPathFactory) -> CompiledBundle:
    """What the command makes unless told otherwise: TorchScript at the model's own rates."""
    from recserve.cli.app import app
    from recserve.engines.compiled import Compiled, folder_of

    bundle = write_rank(tmp_path_factory.mktemp("compiled") / "rewritten")
    result = CliRunner().invoke(app, ["compile", str(bundle.path), "--explain"])
    assert result.exit_code == 0, result.output
    return CompiledBundle(bundle, Compiled.read(folder_of(bundle)), result.stdout)
