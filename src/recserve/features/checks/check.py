"""Everything that is wrong with an fg.json, at once and not only the first of it.

file ──keys──▶ features ──inputs──▶ order ──rules──▶ the features that stand the test

A feature that fails is told of once; those that read it are left out of the later checks without a word.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from recserve.config.nearest import did_you_mean
from recserve.errors import ConfigError
from recserve.features import config
from recserve.features.assets import Assets
from recserve.features.docs import key_meanings
from recserve.features.generator import native_parts, refuse_texts
from recserve.features.inputs import resolve
from recserve.features.order import in_order
from recserve.features.plan import Plan, shown_circle
from recserve.features.types import FEATURE_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from recserve.features.config import Feature, FeatureConfig

_TOP_LEVEL = ("features", "reserves")


class Note(Protocol):
    """Told of what is found; `ok` None is a remark that keeps nobody from loading the file."""

    def __call__(self, check: str, ok: bool | None, detail: str) -> None:
        """`check` is what was looked at, `detail` what was seen."""


def check(
    path: Path, note: Note, *, farm_hash: bool = False, texts: bool = False, anywhere: bool = False
) -> FeatureConfig | None:
    """Check a whole fg.json, and give what of it is right; None where it cannot be read at all.

    `texts`: outputs may be texts, for runs that are bucketized later. `anywhere`: it may name any file.
    """
    try:
        content = config.read_file(path)
        checked = _Problems(note)
        records = config.read(
            content, Assets(path.parent, anywhere=anywhere), farm_hash=farm_hash, report=checked.report
        )
    except ConfigError as error:
        note("file", False, str(error))
        return None
    note("file", True, f"{path.name}, {path.stat().st_size:,} bytes")
    for remark in _unknown_keys(content):
        note("keys", None, remark)
    members = sum(feature.group is not None for feature in records.features)
    groups = f", {members} of them in {len(records.groups)} sequence groups" if members else ""
    checked.end("features", f"{len(records.features)}{groups}")
    records = _check_inputs(_once(records), note)
    records = _check_rules(records, note, texts=texts)
    _check_plan(records, note)
    return records


class _Problems:
    """Notes problems as they come; `end` notes that there was none."""

    def __init__(self, note: Note, check: str = "features") -> None:
        self._note, self._check = note, check
        self._any = False

    def report(self, error: ConfigError) -> None:
        self._any = True
        self._note(self._check, False, str(error))

    def end(self, check: str, detail: str) -> None:
        if not self._any:
            self._note(check, True, detail)


def _unknown_keys(content: Mapping[str, Any]) -> Iterator[str]:
    for key in content:
        if key not in _TOP_LEVEL:
            hint = did_you_mean(key, _TOP_LEVEL) or ": it has no effect"
            yield f"unknown key '{key:.60}' of the file{hint}"
    for entry in content["features"]:
        if not isinstance(entry, dict):
            continue
        if "sequence_name" not in entry:
            yield from _unknown_keys_of(entry)
            continue
        where = f"sequence group '{entry['sequence_name']!s:.60}'"
        yield from _unknown(entry, key_meanings.GROUP, where)
        members = entry.get("features")
        for member in members if isinstance(members, list) else ():
            if isinstance(member, dict):
                yield from _unknown_keys_of(member)


def _unknown_keys_of(entry: Mapping[str, Any]) -> Iterator[str]:
    record = FEATURE_TYPES.get(str(entry.get("feature_type")).removeprefix("sequence_"))
    if record is not None and not key_meanings.takes_any_key(record):
        where = f"feature '{entry.get('feature_name')!s:.60}' ({entry['feature_type']})"
        yield from _unknown(entry, key_meanings.keys_of(record), where)


def _unknown(entry: Mapping[str, Any], known: Mapping[str, object], where: str) -> Iterator[str]:
    for key in entry:
        if key not in known and not key_meanings.has_no_effect(key):
            hint = did_you_mean(key, [name for name in known if name not in entry])
            yield f"{where}: unknown key '{key:.60}'{hint or ': it has no effect'}"


def _once(records: FeatureConfig) -> FeatureConfig:
    """Of features of one name, which were reported, the first."""
    by_name = {feature.name: feature for feature in reversed(records.features)}
    kept = [feature for feature in records.features if by_name[feature.name] is feature]
    return dataclasses.replace(records, features=tuple(kept))


def _check_inputs(records: FeatureConfig, note: Note) -> FeatureConfig:
    """What features read is there, and no circle."""
    by_name = {feature.name: feature for feature in records.features}
    problems = _Problems(note, "inputs")
    reads: dict[str, list[str]] = {}
    for name, feature in by_name.items():
        try:
            reads[name] = [i.name for i in resolve(feature, by_name) if i.source == "feature"]
        except ConfigError as error:
            problems.report(error)
    sides = Counter(r.side for name in reads for r in by_name[name].type.inputs())
    sound = _that_stand(reads)
    problems.end("inputs", ", ".join(f"{count} {side}" for side, count in sorted(sides.items())))

    circles = _Problems(note, "order")
    bad: set[str] = set()

    def circle(names: Sequence[str]) -> None:
        bad.update(names)
        circles.report(ConfigError(f"features read one another in a circle: {shown_circle(names)}"))

    order = in_order({name: producers for name, producers in reads.items() if name in sound}, circle)
    circles.end("order", "no circles")
    return _only(records, _that_stand({name: reads[name] for name in order if name not in bad}))


def _check_rules(records: FeatureConfig, note: Note, *, texts: bool) -> FeatureConfig:
    """Formulas, normalizers, buckets and defaults."""
    problems = _Problems(note, "rules")
    sound: list[str] = []
    for feature in records.features:
        try:
            native_parts(feature, farm_hash=records.farm_hash)
            sound.append(feature.name)
            if not texts and not feature.type.stub_type:
                refuse_texts(feature)
        except ConfigError as error:
            problems.report(error)
    problems.end("rules", _buckets(records.features))
    by_name = {feature.name: feature for feature in records.features}
    reads = {
        name: [i.name for i in resolve(by_name[name], by_name) if i.source == "feature"] for name in sound
    }
    return _only(records, _that_stand(reads))


def _buckets(features: Sequence[Feature]) -> str:
    counts = Counter(feature.type.buckets.key or "no buckets" for feature in features)
    return ", ".join(f"{count} {key}" for key, count in counts.most_common())


def _check_plan(records: FeatureConfig, note: Note) -> None:
    rates = Counter(feature.rate for feature in Plan(records, tile=False).features)
    note("plan", True, ", ".join(f"{count} {rate}" for rate, count in sorted(rates.items())) or "no features")
    try:
        Plan(records, tile=True)
    except ConfigError as error:
        note("plan", None, str(error))


def _that_stand(reads: Mapping[str, Sequence[str]]) -> set[str]:
    """Of features and what they read, those all of whose producers, however far, are among them."""
    readers: dict[str, list[str]] = {}
    for name, producers in reads.items():
        for producer in producers:
            readers.setdefault(producer, []).append(name)
    falling = [producer for producer in readers if producer not in reads]
    fallen = set(falling)
    while falling:
        for reader in readers.get(falling.pop(), ()):
            if reader not in fallen:
                fallen.add(reader)
                falling.append(reader)
    return reads.keys() - fallen


def _only(records: FeatureConfig, names: set[str]) -> FeatureConfig:
    kept = [feature for feature in records.features if feature.name in names]
    return dataclasses.replace(records, features=tuple(kept))
