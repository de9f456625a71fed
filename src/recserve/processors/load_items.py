"""The wiring of the item side: tables and features become a store that is kept equal to the tables.

ItemTable ──columns that features read──▶ KeptTable ──▶ Keeper ──rows──▶ ItemStore ◀──finisher── features
"""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from recserve import __version__
from recserve.errors import ConfigError
from recserve.items.keeper import Keeper
from recserve.items.store import ItemStore
from recserve.items.tables import KeptTable
from recserve.items.upkeep import KeeperOptions
from recserve.processors.item_tables import check_values, open_tables, posted_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from recserve.config.service import ServiceSpec
    from recserve.features.generator import Generator
    from recserve.items.image import Image
    from recserve.items.store import KeyType
    from recserve.messages import InputSchema
    from recserve.processors.item_tables import ItemTable
    from recserve.processors.load import Progress

logger = logging.getLogger("recserve.load")


def load_items(
    features: Generator,
    spec: ServiceSpec,
    progress: Progress,
    *,
    declared: InputSchema | None = None,
    fingerprint: str = "",
) -> Keeper | ItemStore:
    """Read the item tables of a service file and finish their features.

    Gives a keeper that has loaded and does not follow its tables yet (`start`); whoever calls closes it.
    Without a table, and without an admin port to post items to, the store is empty and nobody writes it.
    `fingerprint` says what the rows of `item_snapshot` were made by; without it the file is not used.
    """
    with ExitStack() as opened:
        tables = open_tables(spec)
        for table in tables:
            opened.callback(table.source.close)
        if not tables and not spec.rpc.admin_port:
            return _MakeStore(features, spec, ())("string", {})
        check_values(tables)
        keeper = _keeper(features, spec, tables, fingerprint, declared)
        opened.pop_all()  # the keeper closes its sources
        opened.callback(keeper.close)

        def loaded(step: str, done: int, total: int) -> None:
            progress(step, done, total, keeper.figures().bytes)

        keeper.load(loaded)
        opened.pop_all()
        return keeper


def _keeper(
    features: Generator,
    spec: ServiceSpec,
    tables: Sequence[ItemTable],
    fingerprint: str,
    declared: InputSchema | None,
) -> Keeper:
    snapshot = spec.items.item_snapshot
    make_store = _MakeStore(features, spec, [table.source.name for table in tables])
    return Keeper(
        [
            KeptTable(
                table.source,
                table.gives(features.raw_columns),
                static=table.static,
                order=table.timekey,
                condition=table.condition,
            )
            for table in tables or [posted_table(features, declared)]
        ],
        make_store,
        KeeperOptions.from_settings(spec.items),
        image_path=spec.base_dir / snapshot if snapshot and fingerprint else None,
        fingerprint=fingerprint,
        restore_store=make_store.restore,
    )


class _MakeStore:
    """Makes stores for a feature plan; the first one shows which columns the tables have."""

    def __init__(self, features: Generator, spec: ServiceSpec, tables: Sequence[str]) -> None:
        self._features = features
        self._tables = tables
        self._strict = spec.items.item_columns == "strict"
        self._dropped = frozenset() if spec.items.keep_raw_items else droppable(features)
        self._said = not tables

    def __call__(self, key: KeyType, raw: Mapping[str, str]) -> ItemStore:
        """Make an empty one."""
        return ItemStore(key, self._kept(raw), **self._options(raw))

    def restore(self, image: Image, key: KeyType, raw: Mapping[str, str]) -> ItemStore:
        """Make one of an image that these features have finished."""
        return ItemStore.restore(image, key, self._kept(raw), **self._options(raw))

    def _kept(self, raw: Mapping[str, str]) -> dict[str, str]:
        self._check(sorted(self._features.raw_columns - raw.keys()))
        return {name: kind for name, kind in raw.items() if name not in self._dropped}

    def _options(self, raw: Mapping[str, str]) -> dict[str, Any]:
        return {
            "finisher": self._features.finisher,
            "hides": self._features.finished,
            "always_raw": self._features.pair_columns,
            "limits": self._features.finished_limits,
            "dropped": {name: kind for name, kind in raw.items() if name in self._dropped},
        }

    def _check(self, lacking: list[str]) -> None:
        if not lacking or self._said:
            return
        self._said = True
        columns = ", ".join(lacking)
        tables = f"item table '{self._tables[0]}' lacks"
        if len(self._tables) > 1:
            tables = f"the item tables {', '.join(self._tables)} lack"
        if self._strict:
            raise ConfigError(
                f"{tables} columns that features read: {columns}; "
                'add them, or write "item_columns": "warn" to take their defaults'
            )
        logger.warning(
            "%s columns that features read; they are missing unless a request brings them",
            tables,
            extra={"tables": list(self._tables), "columns": columns},
        )


def droppable(features: Generator) -> frozenset[str]:
    """Raw columns that only item features with a single input read: once finished, nothing asks for them."""
    needed = set(features.pair_columns)
    for key in features.sequence_keys.values():
        needed |= key.raw
    for reads in features.finished.values():
        if len(reads) > 1:
            needed |= reads
    return features.raw_columns - needed


def fingerprint_of(fg_path: Path, spec: ServiceSpec) -> str:
    """What decides how rows are finished: features, the files that they name, this version.

    An image that was made by others is finished anew; which tables it holds, it says itself.
    """
    text = fg_path.read_text(encoding="utf-8-sig")
    digest = hashlib.sha256(text.encode())
    for file in sorted(fg_path.parent.rglob("*")):
        if file.is_file() and file != fg_path and file.name in text:  # an asset that fg.json names
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    decides = [__version__, spec.environment.farm_hash, spec.items.keep_raw_items]
    digest.update(json.dumps(decides).encode())
    return digest.hexdigest()
