"""A feature config on a sample of its data: what is missing, cut, unknown, out of range, or never hit.

    fg.json ─┐
             ├─probes──▶ one native plan ──batch by batch──▶ FeatureSample per feature
    Parquet ─┘

Memory is constant but for a bit per bucket. Nothing is computed in Python that the native core decides.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recserve.columns import batch_from_arrow, storage_type
from recserve.errors import DataError, RecserveError
from recserve.features.bucketize import Buckets
from recserve.features.checks.probes import (
    DEFAULTS,
    MARK,
    PRESENT,
    differs,
    leaves,
    lengths,
    probe,
    units,
    with_defaults,
)
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from recserve.columns import Batch
    from recserve.features.checks.check import Note
    from recserve.features.config import Feature, FeatureConfig

_MOST_BUCKETS = 1 << 20
_MOST_EXAMPLES = 3
_WIDEST = 2**63 - 1


@dataclass(slots=True)
class FeatureSample:
    """What one feature did with the sample. A unit is a row, of a sequence an element."""

    feature: str
    rows: int = 0
    units: int = 0
    defaults: int = 0  # units without a value of their own; -1: unknown (random)
    unparsable: int = 0  # texts that had to be numbers
    out_of_range: int = 0  # values outside of num_buckets
    unknown_words: int = 0
    cut_values: int = 0  # units with more than value_dim values
    cut_elements: int = 0  # rows with more than sequence_length elements
    examples: list[str] = field(default_factory=list)  # of unknown words, or of what is out of range
    problem: str = ""  # the first text that is no number
    hits: NDArray[np.bool_] | None = None  # by bucket, but of hash buckets

    @property
    def default_rate(self) -> float:
        """Share of units that have no value of their own."""
        return max(0, self.defaults) / self.units if self.units else 0.0

    def as_json(self) -> dict[str, Any]:
        """The counts, with buckets as how many there are and how many were hit."""
        numbers = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "hits"}
        buckets = (
            {} if self.hits is None else {"buckets": len(self.hits), "buckets_hit": int(self.hits.sum())}
        )
        return numbers | {"default_rate": self.default_rate} | buckets


class Sampler:
    """Feeds batches to the features of a config and counts what becomes of them."""

    def __init__(self, records: FeatureConfig) -> None:
        self._records = records
        self.samples = {feature.name: FeatureSample(feature.name) for feature in records.features}
        self.failed: dict[str, str] = {}  # feature → what the data did to it
        self._random = set[str]()
        self._build(records.features)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count one batch; a feature that its columns do not fit is left out from here on."""
        columns = batch_from_arrow(batch, self._columns or {""})
        before = self._unparsable()
        try:
            results = self._generator.generate_columns(columns, names=self._names)
        except RecserveError:
            self._drop_what_fails(columns)
            before = self._unparsable()
            results = self._generator.generate_columns(columns, names=self._names)
        for feature in self._features:
            _Counting(feature, results, batch.num_rows).into(self.samples[feature.name])
        self._count_unparsable(columns, before)

    def _build(self, features: Iterable[Feature]) -> None:
        self._features = list(features)
        probes = [p for feature in self._features for p in probes_of(feature)]
        records = dataclasses.replace(self._records, features=(*self._features, *probes))
        self._generator = Generator(records, texts=True)
        self._names = [feature.name for feature in records.features]
        plan = self._generator.plan
        self._columns = plan.user_inputs | plan.item_inputs | plan.context_inputs
        for planned in plan.features:
            if planned.random and MARK not in planned.name:
                self._random.add(planned.name)
                self.samples[planned.name].defaults = -1

    def _drop_what_fails(self, columns: Batch) -> None:
        sound = []
        for feature in self._features:
            try:
                self._generator.generate_columns(columns, names=[feature.name])
                sound.append(feature)
            except RecserveError as error:
                self.failed[feature.name] = str(error)
        self._build(sound)

    def _count_unparsable(self, columns: Batch, before: dict[str, int]) -> None:
        """Add what the batch had of texts that are no numbers, and keep the first of them."""
        for name, count in self._unparsable().items():
            sample = self.samples[name]
            sample.unparsable += count - before.get(name, 0)
            if sample.unparsable and not sample.problem:
                try:
                    self._generator.generate_columns(columns, names=[name], strict=True)
                except DataError as error:
                    sample.problem = str(error)

    def _unparsable(self) -> dict[str, int]:
        """By feature; probes meet the same texts again."""
        counts = self._generator.counters_by_feature
        return {
            name: count
            for (name, kind), count in counts.items()
            if kind == "unparsable_number" and MARK not in name
        }


def probes_of(feature: Feature) -> list[Feature]:
    """The probes that a sample counts with."""
    record, buckets = feature.type, feature.type.buckets
    bare: dict[str, Any] = {"buckets": Buckets(), "default_value": ""}
    probes = [*with_defaults(feature), probe(feature, "tokens", **bare, need_prefix=False)]
    if buckets.key == "num_buckets":
        wide = dataclasses.replace(buckets, size=_WIDEST)
        probes.append(probe(feature, "wide", buckets=wide, default_value=""))
    if buckets.vocabulary:
        strange = dataclasses.replace(buckets, unknown=_no_index(buckets))
        probes.append(probe(feature, "unknown", buckets=strange, default_value=""))
    if not record.discrete:
        width = max(1, record.value_dim) + 1
        probes.append(probe(feature, "more", **bare, normalizer=PRESENT, value_dim=width))
    elif record.value_dim > 0:
        probes.append(probe(feature, "more", **bare, value_dim=0))
    if feature.length > 0:
        probes.append(probe(feature, "whole", length=0))
    return probes


def _no_index(buckets: Buckets) -> int:
    return min(0, buckets.vocabulary.least if buckets.vocabulary else 0) - 1


class _Counting:
    """One feature and one batch."""

    def __init__(self, feature: Feature, results: Batch, rows: int) -> None:
        self._feature = feature
        self._results = results
        self._rows = rows

    def into(self, sample: FeatureSample) -> None:
        """Add to what was counted before."""
        feature, record = self._feature, self._feature.type
        result = self._array("")
        own = units(result, sequence=feature.is_sequence)
        sample.rows += self._rows
        sample.units += len(own)
        if sample.defaults >= 0:
            one, two = (self._units(f"default {text}") for text in DEFAULTS)
            sample.defaults += int(differs(one, two).sum())
        if record.buckets.key == "num_buckets":
            self._count_out_of_range(sample)
        if record.buckets.vocabulary:
            self._count_unknown(sample)
        if not record.discrete:
            sample.cut_values += int(self._beyond_width().sum())
        elif record.value_dim > 0:
            sample.cut_values += int((lengths(self._units("more")) > lengths(self._units("tokens"))).sum())
        if feature.length > 0:
            sample.cut_elements += int((lengths(self._array("whole")) > lengths(result)).sum())
        if record.bucketized and record.buckets.key != "hash_bucket_size":
            self._hit(sample, leaves(own))

    def _array(self, what: str) -> pa.Array:
        name = f"{self._feature.name}{MARK}{what}" if what else self._feature.name
        array = pa.array(self._results[name])
        if len(array) == self._rows:
            return array
        return array.take(pa.array(np.zeros(self._rows, np.int64)))  # one row that stands for all

    def _units(self, what: str) -> pa.Array:
        return units(self._array(what), sequence=self._feature.is_sequence)

    def _beyond_width(self) -> NDArray[np.bool_]:
        """Units with a number where the one after the last that is kept would stand."""
        values = leaves(self._units("more")).to_numpy().reshape(-1, max(1, self._feature.type.value_dim) + 1)
        beyond: NDArray[np.bool_] = values[:, -1] == 1
        return beyond

    def _count_unknown(self, sample: FeatureSample) -> None:
        ids = leaves(self._units("unknown"))
        strange = pc.fill_null(pc.equal(ids, _no_index(self._feature.type.buckets)), False)
        self._note(sample, strange)
        sample.unknown_words += strange.true_count

    def _count_out_of_range(self, sample: FeatureSample) -> None:
        """Too large is what a wider range keeps; negative is what the value itself says."""
        ids, values = leaves(self._units("wide")), leaves(self._units("tokens"))
        outside = pc.greater_equal(ids, self._feature.type.buckets.size)
        if len(values) == len(ids):
            if pa.types.is_string(values.type):
                negative = pc.match_substring_regex(values, r"^\s*-\s*0*[1-9]")
            else:
                negative = pc.less_equal(values, -1)
            outside = pc.or_kleene(outside, negative)
        outside = pc.fill_null(outside, False)
        self._note(sample, outside)
        sample.out_of_range += outside.true_count

    def _note(self, sample: FeatureSample, mask: pa.Array) -> None:
        """Keep a few of the values at hand as examples."""
        values = leaves(self._units("tokens"))
        if len(values) == len(mask) and len(sample.examples) < _MOST_EXAMPLES and mask.true_count:
            for value in values.filter(mask).slice(0, 1000).unique().to_pylist():
                shown = f"{value!s:.40}"
                if shown not in sample.examples and len(sample.examples) < _MOST_EXAMPLES:
                    sample.examples.append(shown)

    def _hit(self, sample: FeatureSample, ids: pa.Array) -> None:
        if sample.hits is None:
            size = _bucket_count(self._feature)
            if not 0 < size <= _MOST_BUCKETS:
                return
            sample.hits = np.zeros(size, np.bool_)
        sample.hits[ids.drop_null().to_numpy()] = True


def _bucket_count(feature: Feature) -> int:
    return int(feature.type.buckets.native(farm_hash=False).size)


def check_columns(records: FeatureConfig, schema: pa.Schema, note: Note) -> None:
    """The columns that features read are there, and of types that can be read."""
    generator = Generator(records, texts=True)
    plan = generator.plan
    readers: dict[str, list[str]] = {}
    for feature in plan.features:
        for source in feature.inputs:
            if source.source not in ("feature", "const"):
                readers.setdefault(source.joined, []).append(feature.name)
    wrong = False
    for column in sorted(readers):
        by = ", ".join(f"'{name}'" for name in readers[column][:3]) + (
            ", …" if len(readers[column]) > 3 else ""
        )
        if column not in schema.names:
            near = _near(column, schema.names)
            note("columns", False, f"the data has no column '{column}', which {by} reads{near}")
            wrong = True
            continue
        try:
            storage_type(schema.field(column).type, column)
        except DataError as error:
            note("columns", False, str(error))
            wrong = True
    if not wrong:
        note("columns", True, f"{len(readers)} of {len(schema.names)} are read")


def _near(column: str, names: list[str]) -> str:
    from recserve.config.nearest import did_you_mean

    return did_you_mean(column, names)


def remarks(sampler: Sampler, note: Note) -> None:
    """Say of each feature what a person should look at."""
    for name, why in sampler.failed.items():
        note("types", False, why if name in why else f"feature '{name}': {why}")
    if not sampler.failed:
        note("types", True, "every column fits what reads it")
    for sample in sampler.samples.values():
        if sample.feature in sampler.failed:
            continue
        for text in _remarks_of(sample):
            note("sample", None, f"feature '{sample.feature}' {text}")


def _remarks_of(sample: FeatureSample) -> list[str]:
    examples = f", such as {', '.join(map(repr, sample.examples))}" if sample.examples else ""
    counts: Mapping[str, int] = {
        f"met {sample.unparsable:,} texts that are no numbers: {sample.problem}": sample.unparsable,
        f"has {sample.out_of_range:,} values outside of its num_buckets{examples}": sample.out_of_range,
        f"has {sample.unknown_words:,} words that its vocabulary lacks{examples}": sample.unknown_words,
        f"cut {sample.cut_values:,} of {sample.units:,} to its value_dim": sample.cut_values,
        f"cut {sample.cut_elements:,} of {sample.rows:,} rows to its sequence_length": sample.cut_elements,
    }
    found = [text for text, count in counts.items() if count > 0]
    if 0 < sample.units == sample.defaults:
        found.append("never has a value of its own")
    elif sample.hits is not None and not sample.hits.all():
        never = np.flatnonzero(~sample.hits)
        shown = ", ".join(map(str, never[:8].tolist())) + (", …" if len(never) > 8 else "")
        found.append(f"never hits {len(never):,} of its {len(sample.hits):,} buckets: {shown}")
    return found


def missing_cells(column: pa.Array | pa.ChunkedArray) -> int:
    """Cells that are null, an empty text, an empty list or an empty map."""
    size: Any = column.null_count
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return int(size + (pc.sum(pc.equal(pc.binary_length(column), 0)).as_py() or 0))
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return int(size + (pc.sum(pc.equal(pc.list_value_length(column), 0)).as_py() or 0))
    if pa.types.is_map(column.type):
        return int((lengths(column) == 0).sum())
    return int(size)
