"""The wiring: a bundle and a service file become a processor. Whatever does not fit together is found here.

Bundle ──▶ features (fg.json) ──▶ engine (do its inputs fit the features?)
               │
ServiceSpec ──▶ items (does the table have the columns that features read?) ──▶ Normal
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from recserve.engines import find
from recserve.engines.engine import TensorSpec
from recserve.errors import ConfigError, LoadError
from recserve.features import config
from recserve.features.generator import Generator
from recserve.items.store import ItemStore, column_types, key_type
from recserve.messages import InputSchema
from recserve.processors.bypass import Bypass
from recserve.processors.normal import Normal
from recserve.source import TableSpec
from recserve.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from recserve.bundle import Bundle
    from recserve.config.items import Table
    from recserve.config.service import ServiceSpec
    from recserve.engines.engine import Engine
    from recserve.items.store import KeyType
    from recserve.source import Source

logger = logging.getLogger("recserve.load")


class Progress(Protocol):
    """Told how far a step is; `total` 0 means that nobody knows."""

    def __call__(self, step: str, done: int, total: int, memory_bytes: int = 0) -> None:
        """The first call of a step begins it, the one with done == total ends it.

        `memory_bytes` is what the rows take that have been read so far; 0 where it is not about rows.
        """


def silent(step: str, done: int, total: int, memory_bytes: int = 0) -> None:
    """A Progress that nobody watches."""


def load(bundle: Bundle, spec: ServiceSpec, progress: Progress = silent) -> Normal | Bypass:
    """Load everything that answers need.

    Raises LoadError with one line that says how to mend it: a feature of an unknown type, a model whose
    inputs differ from the features, an item table without its key, a broken torch and fbgemm pair.
    """
    described = {
        "bundle": bundle.path.name,
        "engine": bundle.engine,
        "input_tile": str(tile_of(bundle, spec)),
    }
    if not spec.model.generates_features(bundle.fg_path is not None):
        progress("loading the model", 0, 1)
        engine = load_engine(bundle, spec, None)
        progress("loading the model", 1, 1)
        return Bypass(engine, described_as={**described, "fg_mode": "bypass"})
    features = load_features(bundle, spec)
    progress("loading the model", 0, 1)
    engine = load_engine(bundle, spec, features)
    progress("loading the model", 1, 1)
    items = load_items(features, spec, progress)
    return Normal(
        items,
        features,
        engine,
        empty_score=spec.model.item_empty_score,
        schema=schema_of(bundle),
        described_as={**described, "fg_mode": "normal"},
    )


def tile_of(bundle: Bundle, spec: ServiceSpec) -> int:
    """INPUT_TILE: what the bundle says, else the service file, else the environment."""
    return bundle.input_tile(str(spec.environment.input_tile))


def schema_of(bundle: Bundle) -> InputSchema | None:
    """The types of request columns, where the bundle declares them."""
    return InputSchema.load(bundle.schema_path) if bundle.schema_path else None


def load_features(bundle: Bundle, spec: ServiceSpec) -> Generator:
    """Compile the feature plan of the bundle's fg.json."""
    records = config.load(bundle.require_fg(), farm_hash=spec.environment.farm_hash)
    return Generator(records, tile=tile_of(bundle, spec) > 0, schema=schema_of(bundle), equal_steps=True)


def load_engine(bundle: Bundle, spec: ServiceSpec, features: Generator | None) -> Engine:
    """Load the model; with features, check that it reads what they send."""
    engine, model = find(bundle.engine), spec.model
    if features is None:
        limits = _id_limits(bundle, spec)
        return engine.load(bundle, device=model.device, outputs=model.outputs, limits=limits)
    return engine.load(bundle, device=model.device, outputs=model.outputs, features=sent_by(features))


def _id_limits(bundle: Bundle, spec: ServiceSpec) -> Mapping[str, int]:
    """What ids have to be below when clients send them; unknown where the bundle's features are."""
    if bundle.fg_path is None:
        return {}
    try:
        return load_features(bundle, spec).id_limits
    except LoadError as error:
        logger.warning(
            "ids that clients send are not checked: fg.json cannot be read", extra={"reason": str(error)}
        )
        return {}


def sent_by(features: Generator) -> dict[str, TensorSpec]:
    """The tensors that features send, as an engine compares them."""
    return {name: TensorSpec(dtype, rank) for name, (dtype, rank) in features.tensors.items()}


def load_items(features: Generator, spec: ServiceSpec, progress: Progress = silent) -> ItemStore:
    """Read the item table of the service file and finish its features; without a table the store is empty."""
    tables = spec.items.tables
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables)
        raise ConfigError(f"model_config.tables: {names}: one table is read; join them into one file")
    if not tables:
        return _store(features, "string", {})
    table = tables[0]
    source = table_source(spec, table)
    schema = source.schema()
    wanted = features.raw_columns & set(table.value or features.raw_columns)
    _check_columns(features, table, schema, wanted, strict=spec.items.item_columns == "strict")
    key = key_type(schema.field(table.key).type, table.key)
    store = _store(features, key, column_types(schema, sorted(wanted)))
    step, total, done = f"loading {source.name}", source.rows(), 0
    progress(step, 0, total)

    def loaded(rows: int) -> None:
        nonlocal done
        done += rows
        progress(step, done, total)

    report = store.load(source.snapshot(wanted), key=table.key, progress=loaded)
    if report.repeated:
        logger.warning(
            "the item table repeats keys; the last row of each counts",
            extra={"table": table.name, "key": table.key, "repeated": report.repeated},
        )
    return store


def table_source(spec: ServiceSpec, table: Table) -> Source:
    """Open one table of the service file; nothing is read yet."""
    return open_source(
        spec.items.remote_type,
        TableSpec(
            name=table.name,
            key=table.key,
            url=spec.items.url,
            condition=table.condition,
            timekey=table.timekey,
            overlap_seconds=spec.items.timekey_overlap_s,
            base_dir=spec.base_dir,
        ),
    )


def missing_columns(features: Generator, schema: pa.Schema, table: Table) -> list[str]:
    """Item columns that features read and the table does not give."""
    given = set(schema.names) & set(table.value or schema.names)
    return sorted(features.raw_columns - given)


def _check_columns(
    features: Generator, table: Table, schema: pa.Schema, wanted: frozenset[str], *, strict: bool
) -> None:
    for name in sorted(set(table.value) - set(schema.names)):
        raise ConfigError(
            f"model_config.tables: '{table.name}' has no column '{name}', which `value` asks for"
        )
    lacking = missing_columns(features, schema, table)
    if not lacking:
        return
    names = ", ".join(lacking)
    if strict:
        raise ConfigError(
            f"item table '{table.name}' lacks columns that features read: {names}; "
            'add them, or write "item_columns": "warn" to take their defaults'
        )
    logger.warning(
        "the item table lacks columns that features read; they are missing unless a request brings them",
        extra={"table": table.name, "columns": names},
    )


def _store(features: Generator, key: KeyType, raw: dict[str, str]) -> ItemStore:
    return ItemStore(
        key,
        raw,
        finisher=features.finisher,
        hides=features.finished,
        always_raw=features.pair_columns,
        limits=features.finished_limits,
    )
