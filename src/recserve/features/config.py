"""fg.json ──config──▶ records: what the file says, checked key by key, before anything is planned.

`load` reads the whole file or refuses it, naming the feature and the key.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.config.document import read_json
from recserve.config.nearest import did_you_mean
from recserve.errors import ConfigError
from recserve.features import limits
from recserve.features.assets import Assets
from recserve.features.keys import read_flag
from recserve.features.types import FEATURE_TYPES, REFUSED_TYPES
from recserve.features.types.feature_type import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from recserve.features.types.feature_type import FeatureType


@dataclass(frozen=True, slots=True)
class Group:
    """A sequence group: members are read at the items that the user's key column lists, newest first."""

    name: str
    key: str  # the user column that holds item ids, `sequence_pk` without its side
    delimiter: str
    length: int  # elements kept, from the front; 0: all


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature: its record, its name among the outputs and, if it is a sequence, how it is cut."""

    name: str  # of a group's member: "S__NAME"
    feature_type: str  # as in fg.json
    type: FeatureType
    delimiter: str | None = None  # None: no sequence
    length: int = 0
    group: Group | None = None
    bucketize: bool = True  # False: the result is what its bucketizer would read, in columns of the same rows
    column: str = ""  # of an offline run, where it is not the name

    @property
    def is_sequence(self) -> bool:
        """The result is one value, or several, per element."""
        return self.delimiter is not None

    @contextmanager
    def named_errors(self) -> Iterator[None]:
        """Put this feature's name before what a ConfigError says."""
        with _named_errors(f"feature '{self.name}' ({self.feature_type})"):
            yield


@dataclass(frozen=True, slots=True)
class FeatureConfig:
    """A checked fg.json."""

    features: tuple[Feature, ...]  # in output order
    groups: tuple[Group, ...]
    farm_hash: bool = False  # text is hashed by FarmHash (USE_FARM_HASH_TO_BUCKETIZE), else by MurmurHash
    reserves: tuple[str, ...] = ()  # columns that an offline run passes through


def load(
    source: Path | str | Mapping[str, Any],
    *,
    farm_hash: bool = False,
    folder: Path | None = None,
    anywhere: bool = False,
) -> FeatureConfig:
    """Read fg.json, a path or its parsed content; files that it names are relative to it, or to `folder`.

    They lie in that folder, unless `anywhere`: who trains may name any file, a bundle may not.
    """
    if isinstance(source, (str, Path)):
        path = Path(source)
        content = read_file(path)
        folder = folder or path.parent
    else:
        content = dict(source)

    def refuse(error: ConfigError) -> None:
        raise error

    return read(content, Assets(folder or Path(), anywhere=anywhere), farm_hash=farm_hash, report=refuse)


def read_file(path: Path) -> dict[str, Any]:
    """Read the JSON of an fg.json."""
    if path.is_file():
        limits.check_file(path, "fg.json", limits.MAX_FILE_BYTES)
    return read_json(path)


def read(
    content: Mapping[str, Any],
    assets: Assets,
    *,
    farm_hash: bool = False,
    report: Callable[[ConfigError], None],
) -> FeatureConfig:
    """Read the content of an fg.json; features of which `report` is told, and lets pass, are left out."""
    entries = content.get("features")
    if not isinstance(entries, list):
        raise ConfigError("fg.json has no list 'features'")
    limits.check_count(sum(_count(entry) for entry in entries))
    features: list[Feature] = []
    groups: list[Group] = []
    for group, entry in _flat(entries, groups, report):
        try:
            features.append(_read_feature(entry, assets, group))
        except ConfigError as error:
            report(error)
    _refuse_twice("feature", [feature.name for feature in features], report)
    _refuse_twice("sequence group", [group.name for group in groups], report)
    return FeatureConfig(tuple(features), tuple(groups), farm_hash, _read_reserves(content, report))


def _count(entry: object) -> int:
    members = entry.get("features") if isinstance(entry, dict) and "sequence_name" in entry else None
    return len(members) if isinstance(members, list) else 1


def _read_reserves(content: Mapping[str, Any], report: Callable[[ConfigError], None]) -> tuple[str, ...]:
    reserves = content.get("reserves") or []
    if not isinstance(reserves, list) or not all(isinstance(name, str) for name in reserves):
        report(ConfigError(f"fg.json: reserves {reserves!r:.60} is not a list of column names"))
        return ()
    return tuple(reserves)


def _flat(
    entries: list[Any], groups: list[Group], report: Callable[[ConfigError], None]
) -> Iterator[tuple[Group | None, Mapping[str, Any]]]:
    """All feature objects, each with its group, which is added to `groups`."""
    for entry in entries:
        try:
            if not isinstance(entry, dict):
                raise ConfigError(f"fg.json: {entry!r:.60} among the features is not an object")
            if "sequence_name" in entry:
                groups.append(_read_group(entry))
        except ConfigError as error:
            report(error)
            continue
        if "sequence_name" not in entry:
            yield None, entry
            continue
        for member in entry["features"]:
            yield groups[-1], member


def _read_group(entry: Mapping[str, Any]) -> Group:
    name = limits.check_name("sequence_name", entry["sequence_name"])
    with _named_errors(f"sequence group '{name}'"):
        limits.check_keys(entry)
        pk = entry.get("sequence_pk") or f"user:{name}"
        if not isinstance(pk, str):
            raise ConfigError(f"sequence_pk is {pk!r:.60}; an input of side user is wanted")
        key = Reference.parse(pk)
        delimiter, length = _read_cut(entry)
        if key.side != "user":
            raise ConfigError(f"sequence_pk '{key}' is not on side user")
        members = entry.get("features")
        if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
            raise ConfigError("'features' is not a list of feature objects")
    return Group(name, key.name, delimiter, length)


def _read_cut(entry: Mapping[str, Any]) -> tuple[str, int]:
    delimiter, length = entry.get("sequence_delim", ";"), entry.get("sequence_length") or 0
    if not isinstance(delimiter, str) or not delimiter:
        raise ConfigError(f"sequence_delim {delimiter!r} is not text")
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise ConfigError(f"sequence_length {length!r} is not a number of elements")
    return delimiter, length


def _read_feature(entry: Mapping[str, Any], assets: Assets, group: Group | None = None) -> Feature:
    feature_type = entry.get("feature_type")
    if not entry.get("feature_name"):
        raise ConfigError(f"a feature of type {feature_type!r:.60} has no feature_name")
    own_name = limits.check_name("feature_name", entry["feature_name"])
    name = own_name if group is None else f"{group.name}__{own_name}"
    if not isinstance(feature_type, str):
        raise ConfigError(f"feature '{name}': missing keys ['feature_type']")
    plain = feature_type if group is not None else feature_type.removeprefix("sequence_")
    if plain not in FEATURE_TYPES:
        raise ConfigError(f"feature '{name}': " + _unknown(feature_type, plain, group))
    with _named_errors(f"feature '{name}' ({feature_type})"):
        limits.check_keys(entry)
        record = FEATURE_TYPES[plain].parse(entry, assets)
        delimiter, length = None, 0
        if group is not None:
            delimiter, length = group.delimiter, group.length
        elif _is_sequence(entry, record, prefixed=plain != feature_type):
            delimiter, length = _read_cut(entry)
        if delimiter is not None:
            _check_sequence(record)
    return Feature(name, feature_type, record, delimiter, length, group)


def _unknown(feature_type: str, plain: str, group: Group | None) -> str:
    if plain in REFUSED_TYPES:
        return f"feature_type '{feature_type}' is not supported: {REFUSED_TYPES[plain]}"
    return (
        f"unknown feature_type '{feature_type:.60}'; known: "
        + ", ".join(FEATURE_TYPES)
        + (", each also as sequence_…" if group is None else " (in a group without the prefix sequence_)")
        + did_you_mean(plain.removeprefix("sequence_"), FEATURE_TYPES)
    )


def _is_sequence(entry: Mapping[str, Any], record: FeatureType, *, prefixed: bool) -> bool:
    """Whether a feature that stands alone is a sequence: by its type's prefix, or by a key of its own."""
    key = record.sequence_key
    if prefixed and key == "is_sequence":
        raise ConfigError(
            "there is no sequence_ form of it; give the type without prefix and is_sequence true"
        )
    if key == "is_sequence":
        return read_flag(entry, key)
    return prefixed or (key != "" and entry.get(key) is not None)


@contextmanager
def _named_errors(name: str) -> Iterator[None]:
    try:
        yield
    except ConfigError as e:
        raise ConfigError(f"{name}: {e}") from e


def _check_sequence(record: FeatureType) -> None:
    if not record.default_value and not record.zero_default:
        raise ConfigError("a sequence needs a default_value: an element without a value takes it")
    if record.is_weighted:
        raise ConfigError("weighted ids have no place in a sequence; the model takes no weights for it")


def _refuse_twice(what: str, names: list[str], report: Callable[[ConfigError], None]) -> None:
    if twice := sorted(name for name, times in Counter(names).items() if times > 1):
        report(ConfigError(f"{what} names {twice} are there twice"))
