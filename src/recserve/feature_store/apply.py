"""What a registry changes since it was last applied, and whether its tables are as it says.

The state is a file beside the registry, `<registry>.applied.json`, meant for git like the registry itself: it
holds what the registry said, and no passwords.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recserve.errors import ConfigError, DataError, LoadError
from recserve.feature_store.feature_table import stored
from recserve.feature_store.sequences import packed_schema
from recserve.feature_store.types import TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from recserve.feature_store.places import MakeTable, Tables
    from recserve.feature_store.records import Registry, View

_PASSWORD = re.compile(r"(://[^/@:]*:)(?!\$\{)[^@]*@")
#: Leaves whose change means that what was trained or written before does not fit any more.
_BREAKING = re.compile(
    r"(\.(fields|features)\.|\.(key|join_id|entity|kind|event_time|time_unit|item|event)$)"
)
_NAMED = ("entities", "views", "labels", "models")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; `sign` is + for new, - for gone, ~ for other."""

    sign: str
    what: str
    detail: str
    breaking: bool = False


@dataclass(frozen=True, slots=True)
class TableCheck:
    """One table of a view: is it there, and of the right columns?"""

    view: str
    store: str  # offline or online
    state: str  # ok, made, missing, wrong or unreachable
    detail: str = ""

    @property
    def is_fine(self) -> bool:
        """A table that is not there yet is no mistake."""
        return self.state in ("ok", "made", "missing")


def state_path(registry: Path) -> Path:
    """Where what was applied is kept."""
    return registry.with_name(f"{registry.stem}.applied.json")


def applied(path: Path) -> dict[str, Any]:
    """What was applied last; empty when nothing was."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} cannot be read ({type(error).__name__}); remove it and apply again"
        ) from error
    return found if isinstance(found, dict) else {}


def remember(path: Path, registry: Registry) -> None:
    """Keep what the registry says as applied."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(described(registry), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def described(registry: Registry) -> dict[str, Any]:
    """The registry as plain values, without passwords and without what is left at its default."""
    found: dict[str, Any] = asdict(registry)
    del found["path"]
    for store in ("offline", "online"):
        found["project"][store]["url"] = without_password(found["project"][store]["url"])
    for section in _NAMED:
        for record in found[section].values():
            del record["name"]  # what it is found by
            for sequence in record.get("sequences", {}).values():
                del sequence["name"]
    for model in found["models"].values():
        model["features"] = {f["alias"]: f"{f['view']}.{f['feature']}" for f in model["features"]}
    pruned: dict[str, Any] = _pruned(found)
    return {section: pruned.get(section, {}) for section in ("project", *_NAMED)}


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    return _PASSWORD.sub(r"\1…@", url)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """What is new, gone and other; a new or gone entity, view, label table or model is one change."""
    found = list(_differences("project", before.get("project", {}), after["project"]))
    for section in _NAMED:
        old, new = before.get(section, {}), after[section]
        for name in [*new, *(name for name in old if name not in new)]:
            path = f"{section}.{name}"
            if name not in old:
                found.append(Change("+", path, _size(new[name])))
            elif name not in new:
                found.append(Change("-", path, _size(old[name]), breaking=True))
            else:
                found += _differences(path, old[name], new[name])
    return found


def check_tables(tables: Tables, make_table: MakeTable | None = None) -> Iterator[TableCheck]:
    """Look at every table of the registry; with `make_table`, online tables that lack are made."""
    for view in tables.registry.views.values():
        yield _check(view, "offline", tables, _fields(view), None)
        if view.online:
            yield _check(view, "online", tables, online_schema(view), make_table)


def online_schema(view: View) -> pa.Schema:
    """The columns of the online table of a view."""
    if view.kind == "sequence":
        return packed_schema(view, TYPES[view.fields[view.key]])
    return _fields(view)


def _fields(view: View) -> pa.Schema:
    return pa.schema([(name, TYPES[kind]) for name, kind in view.fields.items()])


def _check(
    view: View,
    store: str,
    tables: Tables,
    wanted: pa.Schema,
    make_table: MakeTable | None,
) -> TableCheck:
    source = None
    try:
        source = tables.online(view) if store == "online" else tables.offline(view)
        try:
            have = source.schema()
        except DataError as error:
            if make_table is None:
                return TableCheck(view.name, store, "missing", str(error))
            tables.make_online(view, wanted, make_table)
            return TableCheck(view.name, store, "made", f"{source.name}: {len(wanted)} columns")
        problems = list(_problems(view, wanted, have))
        state = "wrong" if problems else "ok"
        return TableCheck(
            view.name, store, state, "; ".join(problems) or f"{source.name}: about {source.rows():,} rows"
        )
    except LoadError as error:
        return TableCheck(view.name, store, "unreachable", str(error))
    finally:
        if source is not None:
            source.close()


def _problems(view: View, wanted: pa.Schema, have: pa.Schema) -> Iterator[str]:
    for field in wanted:
        if field.name not in have.names:
            yield f"no column '{field.name}'; columns: {', '.join(have.names)}"
            continue
        kind = view.fields.get(field.name)
        if kind is None:
            continue
        try:
            stored(pa.nulls(0, have.field(field.name).type), kind, f"column '{field.name}'")
        except DataError as error:
            yield str(error)


def _differences(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    flat_old, flat_new = _flat(path, old), _flat(path, new)
    for name in [*flat_new, *(name for name in flat_old if name not in flat_new)]:
        before, after = flat_old.get(name), flat_new.get(name)
        if before == after:
            continue
        breaking = before is not None and bool(_BREAKING.search(name))
        if before is None:
            yield Change("+", name, str(after))
        elif after is None:
            yield Change("-", name, str(before), breaking)
        else:
            yield Change("~", name, f"{before} → {after}", breaking)


def _flat(path: str, values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        here = f"{path}.{name}"
        found |= _flat(here, value) if isinstance(value, dict) else {here: value}
    return found


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        pruned = {name: _pruned(inner) for name, inner in value.items()}
        return {n: v for n, v in pruned.items() if v not in ("", None, {}, [], ())}
    if isinstance(value, tuple):
        return list(value)
    return value


def _size(record: Mapping[str, Any]) -> str:
    for part in ("features", "sequences", "fields"):
        if record.get(part):
            return f"{len(record[part])} {part}"
    return str(record.get("join_id", ""))
