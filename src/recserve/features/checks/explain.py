"""One value, step by step: from the raw cells to the bucket id.

    price = 19.9 ──operator──▶ 19.9 ──normalizer──▶ 1.29885 ──bucketizer──▶ 3

Each step is what the native core gives for the same feature with the later rules taken away (probes.py): it
is what serving computes, not a description of it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from recserve.columns import batch_from_arrow
from recserve.config.nearest import did_you_mean
from recserve.errors import ConfigError
from recserve.features.bucketize import Buckets
from recserve.features.checks.probes import DEFAULTS, MARK, differs, probe, with_defaults
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recserve.columns import Batch
    from recserve.features.config import Feature, FeatureConfig
    from recserve.features.inputs import PlannedInput
    from recserve.features.plan import PlannedFeature


@dataclass(frozen=True, slots=True)
class Read:
    """One input of the feature."""

    source: str  # user, item, context, const, feature; group: an item column at the user's keys
    name: str  # the column, the feature, or the constant
    type: str  # of the column in Arrow's words; "absent" where the row lacks it
    value: Any
    sequence: bool  # cut into elements


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a rule made of it; of a sequence one entry per element."""

    step: str  # operator, default, normalizer, value_dim, need_prefix, or the key of the bucketizer
    rule: str  # what fg.json says of it
    value: Any


@dataclass(frozen=True, slots=True)
class Explanation:
    """How one feature came to its value."""

    feature: str
    feature_type: str
    rate: str
    inputs: tuple[Read, ...]
    steps: tuple[StepResult, ...]
    result: Any
    producers: tuple[Explanation, ...] = ()  # the features that it reads, and those that they read

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        return dataclasses.asdict(self)


def explain(records: FeatureConfig, row: pa.RecordBatch, name: str) -> Explanation:
    """Explain a feature of a config for the one row of a training table."""
    features = {feature.name: feature for feature in records.features}
    if name not in features:
        raise ConfigError(f"fg.json has no feature '{name}'{did_you_mean(name, features)}")
    generator = Generator(records, texts=True)
    planned = {feature.name: feature for feature in generator.plan.features}
    below = [other for other in _producers(planned, name) if other != name]
    stages = _stages(features[name])
    probes = [p for feature in (name, *below) for p in with_defaults(features[feature])]
    probes += [stage for _, _, stage in stages if stage is not None and stage.name != name]
    generator = Generator(dataclasses.replace(records, features=(*records.features, *probes)), texts=True)
    columns = batch_from_arrow(row, set(row.schema.names) or {""})
    results = generator.generate_columns(columns, names=[name, *below, *(p.name for p in probes)])
    one = _Row(row, results)
    return Explanation(
        **one.outline(planned[name]),
        steps=tuple(one.steps(features[name], stages)),
        producers=tuple(
            Explanation(**one.outline(planned[other]), steps=tuple(one.default(features[other])))
            for other in below
        ),
    )


def _producers(planned: dict[str, PlannedFeature], name: str) -> Iterator[str]:
    """A feature and all that it reads, nearest first, each once."""
    seen, waiting = {name: None}, [name]
    while waiting:
        current = waiting.pop(0)
        yield current
        for source in planned[current].inputs:
            if source.source == "feature" and source.name not in seen:
                seen[source.name] = None
                waiting.append(source.name)


def _stages(feature: Feature) -> list[tuple[str, str, Feature | None]]:
    """Step, what fg.json says of it, and the probe that shows it: each has one rule more than the one before.

    None stands for the default, which is shown only where it is taken.
    """
    record = feature.type
    plain: dict[str, Any] = {
        "buckets": Buckets(),
        "default_value": "",
        "normalizer": "",
        "need_prefix": False,
    }
    if record.discrete:
        plain["value_dim"] = 0
    stages: list[tuple[str, str, Feature | None]] = [("operator", "", probe(feature, "operator", **plain))]
    stages.append(("default_value", record.default_value, None))
    plain["default_value"] = record.default_value
    for key in ("normalizer", "value_dim", "need_prefix"):
        rule = getattr(record, key)
        if key in plain and rule:
            plain[key] = rule
            shown = "" if rule is True else str(rule)
            stages.append((key, shown, probe(feature, key, **plain)))
    if record.bucketized:
        stages.append((record.buckets.key, _rule(record.buckets), feature))
    return stages


def _rule(buckets: Buckets) -> str:
    """The bucketizer as fg.json has it, the start of a long one."""
    if buckets.size:
        return str(buckets.size)
    if buckets.boundaries:
        return f"{[*buckets.boundaries]}"[:60]
    return f"{len(buckets.words):,} words, others {buckets.unknown}"


class _Row:
    """The row, and what was generated of it."""

    def __init__(self, row: pa.RecordBatch, results: Batch) -> None:
        self._row = row
        self._results = results

    def outline(self, feature: PlannedFeature) -> dict[str, Any]:
        return {
            "feature": feature.name,
            "feature_type": feature.type,
            "rate": feature.rate,
            "inputs": tuple(self._read(source) for source in feature.inputs),
            "result": self._value(feature.name),
        }

    def steps(self, feature: Feature, stages: list[tuple[str, str, Feature | None]]) -> Iterator[StepResult]:
        missing = self._missing(feature)
        for step, rule, stage in stages:
            if step == "operator":
                assert stage is not None
                yield StepResult(step, feature.feature_type, _without(self._value(stage.name), missing))
            elif stage is None:
                yield from self.default(feature)
            else:
                yield StepResult(step, rule, self._value(stage.name))

    def default(self, feature: Feature) -> Iterator[StepResult]:
        """The step that is there only where the operator gave nothing."""
        missing = self._missing(feature)
        if any(missing):
            taken = feature.type.default_value or None
            shown = [taken if gone else "…" for gone in missing] if feature.is_sequence else taken
            yield StepResult("default_value", feature.type.default_value, shown)

    def _read(self, source: PlannedInput) -> Read:
        if source.source == "const":
            return Read("const", source.name, "string", source.name, source.sequence)
        if source.source == "feature":
            kind = str(pa.array(self._results[source.name]).type)
            return Read("feature", source.name, kind, self._value(source.name), source.sequence)
        if source.joined not in self._row.schema.names:
            return Read(source.source, source.joined, "absent", None, source.sequence)
        column = self._row.column(source.joined)
        return Read(source.source, source.joined, str(column.type), _plain(column), source.sequence)

    def _value(self, name: str) -> Any:
        return _plain(pa.array(self._results[name]))

    def _missing(self, feature: Feature) -> list[bool]:
        """Whether the operator gave nothing; of a sequence by element."""
        if feature.type.random:
            return [False]  # two runs differ anyway
        one, two = (pa.array(self._results[f"{feature.name}{MARK}default {text}"]) for text in DEFAULTS)
        if feature.is_sequence:
            one, two = one.flatten(), two.flatten()
        return [bool(gone) for gone in differs(one, two)]


def _plain(array: pa.Array) -> Any:
    """The one cell of an array; a map as an object, and a float32 with the digits that it has."""
    value = _short(array[0].as_py()) if "float" in str(array.type) else array[0].as_py()
    if pa.types.is_map(array.type) and value is not None:
        return dict(value)
    return value


def _short(value: Any) -> Any:
    """The shortest numbers that are these float32; a double keeps its digits."""
    if isinstance(value, float):
        single = float(np.float32(value))
        return float(str(np.float32(value))) if single == value else value
    return [_short(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _without(value: Any, missing: list[bool]) -> Any:
    """The operator's value, with null where it has none and the core laid a zero out in its place."""
    if not any(missing):
        return value
    if len(missing) == 1 and not isinstance(value, list):
        return None
    if isinstance(value, list) and len(value) == len(missing):
        return [None if gone else entry for entry, gone in zip(value, missing, strict=True)]
    return None
