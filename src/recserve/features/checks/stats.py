"""What the features of a table look like, small enough to keep: the baseline for later data.

table ──batch by batch──▶ FeatureStats per feature ──▶ baseline.json ──▶ drift.py, plots.py
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recserve._core import murmur64a
from recserve.columns import batch_from_arrow
from recserve.config.document import read_json
from recserve.errors import ConfigError
from recserve.features.checks.probes import DEFAULTS, MARK, differs, leaves, lengths, units, with_defaults
from recserve.features.checks.sample import missing_cells
from recserve.features.checks.sketches import Distinct, Frequent, Numbers
from recserve.features.generator import Generator

if TYPE_CHECKING:
    from pathlib import Path

    from recserve.features.config import Feature, FeatureConfig

FORMAT = 1
#: Ids that a baseline names; the others are one.
TOP = 50


@dataclass(slots=True)
class FeatureStats:
    """One feature; a unit is a row, of a sequence an element."""

    feature: str
    kind: str  # numbers, ids or texts
    rows: int = 0
    units: int = 0
    defaults: int = 0  # units without a value of their own
    lengths: Numbers = field(default_factory=Numbers)  # values per row
    numbers: Numbers = field(default_factory=Numbers)
    frequent: Frequent = field(default_factory=Frequent)
    distinct: int = 0

    @property
    def default_rate(self) -> float:
        """Share of units without a value of their own, with the default or without any."""
        return self.defaults / self.units if self.units else 0.0

    @property
    def shares(self) -> dict[str, float]:
        """The most frequent ids or texts as shares of all values."""
        return {str(value): count / self.frequent.count for value, count in self.frequent.top(TOP)}

    def as_json(self) -> dict[str, Any]:
        """What a baseline keeps."""
        known: dict[str, Any] = {
            "feature": self.feature,
            "kind": self.kind,
            "rows": self.rows,
            "units": self.units,
            "default_rate": self.default_rate,
            "values_per_row": self.lengths.as_json(),
            "distinct": self.distinct,
        }
        if self.kind == "numbers":
            return known | {"numbers": self.numbers.as_json()}
        return known | {"values": self.frequent.count, "error": self.frequent.error, "top": self.shares}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """Read back one feature of a baseline."""
        made = cls(saved["feature"], saved["kind"], saved["rows"], saved["units"])
        made.defaults = round(saved["default_rate"] * made.units)
        made.lengths = Numbers.from_json(saved["values_per_row"])
        made.distinct = saved["distinct"]
        if made.kind == "numbers":
            made.numbers = Numbers.from_json(saved["numbers"])
        else:
            made.frequent.count, made.frequent.error = saved["values"], saved["error"]
            made.frequent.counts = {v: round(s * saved["values"]) for v, s in saved["top"].items()}
        return made


@dataclass(frozen=True, slots=True)
class Baseline:
    """The features of one table, and how often its columns were missing."""

    rows: int
    missing: dict[str, float]  # input column → share of missing cells
    features: dict[str, FeatureStats]

    def write(self, path: Path) -> None:
        """Write the file that `read` reads."""
        content = {
            "format": FORMAT,
            "rows": self.rows,
            "missing": self.missing,
            "features": [stats.as_json() for stats in self.features.values()],
        }
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what an earlier run wrote."""
        saved = read_json(path)
        if saved.get("format") != FORMAT:
            raise ConfigError(
                f"{path} is no baseline of format {FORMAT}; write it again with recserve features stats"
            )
        try:
            features = [FeatureStats.from_json(entry) for entry in saved["features"]]
            return cls(saved["rows"], saved["missing"], {stats.feature: stats for stats in features})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"{path} is a broken baseline ({error!r}); write it again") from error


class Statistician:
    """Takes the batches of a table and keeps what a baseline says of them."""

    def __init__(self, records: FeatureConfig) -> None:
        self._features = [feature for feature in records.features if not feature.type.stub_type]
        probes = [p for feature in self._features for p in with_defaults(feature)]
        self._generator = Generator(
            dataclasses.replace(records, features=(*records.features, *probes)), texts=True
        )
        self._names = [feature.name for feature in (*self._features, *probes)]
        plan = self._generator.plan
        self.columns = frozenset(
            i.joined for f in plan.features for i in f.inputs if i.source not in ("feature", "const")
        )
        self._random = {planned.name for planned in plan.features if planned.random}
        self._stats = {f.name: FeatureStats(f.name, _kind(f)) for f in self._features}
        self._distinct = {f.name: Distinct() for f in self._features}
        self._missing = dict.fromkeys(sorted(self.columns), 0)
        self._rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Count one batch of the training table."""
        results = self._generator.generate_columns(
            batch_from_arrow(batch, self.columns or {""}), names=self._names
        )
        self._rows += batch.num_rows
        for name in self._missing:
            present = name in batch.schema.names
            self._missing[name] += missing_cells(batch.column(name)) if present else batch.num_rows
        for feature in self._features:
            arrays = [
                _of_rows(pa.array(results[name]), batch.num_rows)
                for name in (feature.name, *(f"{feature.name}{MARK}default {text}" for text in DEFAULTS))
            ]
            self._count(feature, *arrays)

    def baseline(self) -> Baseline:
        """What was counted so far."""
        for name, stats in self._stats.items():
            stats.distinct = self._distinct[name].estimate
        missing = {name: count / max(1, self._rows) for name, count in self._missing.items()}
        return Baseline(self._rows, missing, self._stats)

    def _count(self, feature: Feature, result: pa.Array, one: pa.Array, two: pa.Array) -> None:
        stats = self._stats[feature.name]
        one, two = (units(side, sequence=feature.is_sequence) for side in (one, two))
        stats.rows += len(result)
        stats.units += len(one)
        if feature.name not in self._random:
            stats.defaults += int(differs(one, two).sum())
        values = leaves(result).drop_null()
        stats.lengths.add(lengths(result).astype(np.float64))
        distinct = self._distinct[feature.name]
        if stats.kind == "numbers":
            numbers = values.cast(pa.float64()).to_numpy()
            stats.numbers.add(numbers)
            distinct.add((numbers + 0.0).view(np.int64))  # -0.0 is 0.0
            return
        counted = pc.value_counts(values)
        keys, counts = counted.field("values"), counted.field("counts").to_pylist()
        stats.frequent.add(keys.to_pylist(), counts)
        if stats.kind == "ids":
            distinct.add(keys.to_numpy())
        else:
            hashes = [murmur64a(text) for text in keys.to_pylist()]
            distinct.add(np.array(hashes, np.uint64).view(np.int64))


def _kind(feature: Feature) -> str:
    if feature.type.bucketized:
        return "ids"
    return "texts" if feature.type.discrete else "numbers"


def _of_rows(array: pa.Array, rows: int) -> pa.Array:
    """A result that is the same for all rows may have one."""
    return array if len(array) == rows else array.take(pa.array(np.zeros(rows, np.int64)))
