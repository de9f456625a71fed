"""Where item features come from, as `model_config` says it: tables, a feature store, or requests alone.

    {"remote_type": "hologres", "url": "postgresql://user:secret@host/db", "period": 1440,
     "tables": [{"name": "public.items", "key": "item_id", "timekey": "updated_at"}]}

    {"fs_project": "shop", "fs_model": "rank_v1", "fs_entity": "item"}

Sources: the hosted TorchEasyRec and EasyRec processors' pages, "Item Feature Cache" and "FeatureStore";
spec keys that are ours say so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from recserve.config.concealed import Concealed, kept, shown
from recserve.config.settings import DOCS, EASYREC, PROCESSOR, read, setting
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_FILE_EXAMPLE = '"remote_type": "file", "tables": [{"name": "items.parquet", "key": "item_id"}]'
_NEEDS_URL = {
    "hologres": "postgresql://user:password@host:5432/database",
    "postgresql": "postgresql://user:password@host:5432/database",
    "redis": "redis://:password@host:6379/0",
}

#: Where a URL has its password: behind the user, up to the last @ (not all encode it), or in the query.
_PASSWORDS = (re.compile(r"(://[^:/@]*:)(.*)(?=@)"), re.compile(r"(\bpassword=)([^&\s]*)"))


@dataclass(frozen=True, slots=True)
class Table:
    """One entry of `model_config.tables`. Where two tables have a column, the later one's cell counts."""

    name: str = setting(
        "",
        "The table, also as schema.table; of files the file, directory or URL.",
        required=True,
        source=EASYREC,
    )
    key: str = setting("", "The column that holds the item id.", required=True, source=EASYREC)
    value: tuple[str, ...] = setting(
        (), "Columns to load, separated by commas; none named = those that features read.", source=EASYREC
    )
    condition: str = setting("", "Which rows to load: what stands behind WHERE in SQL.", source=EASYREC)
    timekey: str = setting(
        "",
        "A column that grows with every change, timestamp or integer: newer rows are followed.",
        source=EASYREC,
    )
    static: bool = setting(
        False, "Load once and never again; a `timekey` beside it is not followed.", source=EASYREC
    )

    def __repr__(self) -> str:  # a name may be a URL
        return f"Table(name={shown_url(self.name)!r}, key={self.key!r})"


@dataclass(frozen=True, slots=True)
class ItemSettings:
    """The keys of `model_config` about the item store."""

    remote_type: str = setting(
        "none",
        "Where `tables` are: file, hologres or postgresql, redis, feast; none: requests bring item features.",
        choices=("none", "file", "hologres", "postgresql", "redis", "feast"),
        source=EASYREC,
    )
    url: str = setting(
        "", "How the database is reached; a password in it is never shown.", secret=True, source=EASYREC
    )
    tables: tuple[Table, ...] = ()
    period_minutes: float = setting(
        0.0,
        "Minutes between full refreshes; 0 = only at start.",
        unit="min",
        key="period",
        least=0,
        source=EASYREC,
    )
    poll_interval_ms: int = setting(
        1000, "How often a table with a `timekey` is asked for newer rows.", unit="ms", least=10
    )
    timekey_overlap_s: float = setting(
        60.0, "How far behind the newest timestamp rows are read again, for late commits.", unit="s", least=0
    )
    refresh_mode: str = setting(
        "diff",
        "diff: a full refresh writes what changed, near 1x memory; swap: it builds a second store, 2x.",
        choices=("diff", "swap"),
    )
    null_overwrites: bool = setting(
        True, "Whether a null of a later table hides the value of an earlier one; false: it does not."
    )
    keep_raw_items: bool = setting(
        True,
        "False: drop raw columns that only single-input item features read; then requests cannot send them.",
    )
    item_columns: str = setting(
        "warn",
        "When the item tables lack a column that features read: warn, or refuse to start (strict).",
        choices=("warn", "strict"),
    )
    load_timeout_s: float = setting(
        3600.0,
        "How long the first load may take before the start fails.",
        unit="s",
        key="load_timeout",
        least=1,
    )
    min_rows_percent: float = setting(
        50.0,
        "A full refresh with fewer rows than this share of the present ones is refused.",
        unit="%",
        least=0,
    )
    max_null_increase_percent: float = setting(
        50.0,
        "A full refresh in which a column has more nulls than now, by these percentage points, is refused.",
        unit="%",
        least=0,
    )
    item_snapshot: str = setting(
        "", "A file that keeps the item store, for a start in seconds; relative to the service file."
    )
    item_watermarks: bool = setting(
        False, "Answers say how fresh the items are, in the header X-Recserve-Item-Watermark."
    )


@dataclass(frozen=True, slots=True)
class FeatureStoreSettings:
    """The keys of `model_config` about the feature store."""

    project: str = setting("", "The project in the registry file.", key="fs_project", source=PROCESSOR)
    model: str = setting(
        "",
        "The model feature: which columns are read, and under which names.",
        key="fs_model",
        source=PROCESSOR,
    )
    entities: tuple[str, ...] = setting(
        ("item",),
        "The entities whose features are held in memory, separated by commas.",
        key="fs_entity",
        source=PROCESSOR,
    )
    offline: bool = setting(
        False,
        "Load from the offline store; false: from the online store, whose changes are followed.",
        key="load_feature_from_offlinestore",
        source=PROCESSOR,
    )
    registry: str = setting(
        "feature_store.yaml", "The registry file, relative to the service file.", key="fs_registry"
    )
    region: str = setting("", "Handed to providers that want it.", source=PROCESSOR)
    access_key_id: str = setting("", "Handed to providers that want it.", secret=True, source=PROCESSOR)
    access_key_secret: str = setting("", "Handed to providers that want it.", secret=True, source=PROCESSOR)
    featuredb_username: str = setting("", "Handed to providers that want it.", source=PROCESSOR)
    featuredb_password: str = setting("", "Handed to providers that want it.", secret=True, source=PROCESSOR)
    featuredb_passwd: str = setting("", "The same as featuredb_password.", secret=True, source=DOCS)
    user_entity: str = setting(
        "", "Look user features up too, of this entity; empty: requests bring them.", key="fs_user_entity"
    )
    user_key: str = setting(
        "", "The request's column with the user id; empty = the entity's join id.", key="fs_user_key"
    )
    user_timeout_ms: int = setting(
        20, "A user look-up that takes longer gives defaults.", unit="ms", key="fs_user_timeout_ms", least=1
    )
    user_cache_s: float = setting(
        10.0, "How long a user's features are kept; 0 = not at all.", unit="s", key="fs_user_cache_s", least=0
    )


def item_settings(values: Mapping[str, Any], entries: list[dict[str, Any]]) -> ItemSettings:
    """Read the keys of `model_config` and its tables.

    Raises ConfigError where they contradict one another.
    """
    items = read(ItemSettings, values, "model_config")
    _check_place(items, entries, feature_store=bool(values.get("fs_project")))
    tables = tuple(read(Table, entry, "model_config.tables") for entry in entries)
    for table in tables:
        _check_table(table, tables)
    if len(tables) > 1 and not items.keep_raw_items:
        raise ConfigError(
            "model_config.keep_raw_items is false, but rows of several tables are merged from them; "
            "join the tables into one, or keep the raw columns"
        )
    return replace(items, url=_tidy(items.url), tables=tables)


def _check_place(items: ItemSettings, entries: list[dict[str, Any]], *, feature_store: bool) -> None:
    if entries and items.remote_type == "none":
        beside = "; fs_project names a feature store, which says itself what is read" if feature_store else ""
        raise ConfigError(
            'model_config.tables is given, but remote_type is "none"; '
            f'write "remote_type": "file" or remove the tables{beside}'
        )
    if not entries and items.remote_type != "none":
        raise ConfigError(
            f'model_config.remote_type is "{items.remote_type}", but there are no tables; '
            'write "tables": [{"name": "items.parquet", "key": "item_id"}]'
        )
    if not items.url.strip() and items.remote_type in _NEEDS_URL:
        raise ConfigError(
            f'model_config.url is missing: "{items.remote_type}" is reached by one, such as '
            f'"{_NEEDS_URL[items.remote_type]}"'
        )


def _check_table(table: Table, tables: tuple[Table, ...]) -> None:
    where = f"model_config.tables: '{shown_url(table.name)}'"
    if not table.name.strip() or not table.key.strip():
        raise ConfigError(f"{where}: name and key are empty; name the table and the column with the item id")
    if tables.count(table) > 1:
        raise ConfigError(f"{where} is listed twice; list it once, or with other columns or conditions")


def _tidy(url: str) -> str:
    """The hosted product's page prints a blank behind the scheme."""
    return kept(re.sub(r"(?<=://)\s+", "", url.strip()), url)


def shown_url(url: str) -> str:
    """A URL as messages may show it, without its password and what came from elsewhere."""
    url = shown(url)
    for pattern in _PASSWORDS:
        url = pattern.sub(r"\1***", url)
    return url


def feature_store_settings(values: Mapping[str, Any]) -> FeatureStoreSettings | None:
    """The feature store, if `fs_project` names one and `remote_type` no other place.

    Raises ConfigError where something of it is asked for that could not be had.
    """
    if "remote_type" in values:
        if values.get("fs_user_entity"):
            raise ConfigError(
                "model_config.fs_user_entity asks for look-ups in the feature store, but remote_type is "
                f'"{values["remote_type"]}"; remove one of the two'
            )
        return None
    for key in ("fs_model", "fs_user_entity"):
        if values.get(key) and not values.get("fs_project"):
            raise ConfigError(
                f"model_config.{key} is given, but fs_project is not; name the project of the registry file"
            )
    if not values.get("fs_project"):
        return None
    return _feature_store(values)


def _feature_store(values: Mapping[str, Any]) -> FeatureStoreSettings:
    store = read(FeatureStoreSettings, values, "model_config")
    password, short = store.featuredb_password, store.featuredb_passwd
    if password and short and password != short:
        raise ConfigError(
            "model_config.featuredb_password and featuredb_passwd mean the same and differ; keep one of them"
        )
    store = replace(store, featuredb_password=password or short, featuredb_passwd=password or short)
    if not store.model:
        raise ConfigError(
            "model_config.fs_model is missing: the model feature says which columns are read; or write "
            + _FILE_EXAMPLE
        )
    return store


def passwords_of(texts: Iterable[str]) -> tuple[str, ...]:
    """The passwords inside of URLs, and what of them came from elsewhere."""
    secrets = []
    for text in texts:
        secrets += [*_passwords(text), *(text.secrets if isinstance(text, Concealed) else ())]
    return tuple(secrets)


def secrets_of(items: ItemSettings, store: FeatureStoreSettings | None) -> tuple[str, ...]:
    """Everything in the settings that nobody may read in a log: keys, and the passwords inside of URLs."""
    secrets = list(passwords_of((items.url, *(table.name for table in items.tables))))
    if store is not None:
        secrets += [store.access_key_id, store.access_key_secret, store.featuredb_password]
    return tuple(dict.fromkeys(secret for secret in secrets if secret))


def _passwords(url: str) -> Iterator[str]:
    """The password of a URL as it is written there, and as it is."""
    for pattern in _PASSWORDS:
        for _, password in pattern.findall(url):
            yield from (password, unquote(password))
