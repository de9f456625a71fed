"""Made-up rows of a training table for a plan: right in form, random in value, the same for the same seed.

They are for timing: tokens are drawn from few words, so that keys are found in maps, and a sequence has at
most twenty elements. Distributions of real data are another matter; use a sample of it where there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable

    from recserve.features.plan import Plan, PlannedFeature

_WORDS = [f"w{place}" for place in range(50)]
_ELEMENTS = 20

#: feature_type → what its inputs are, in their order, the last for all others; what is not here reads tokens.
_CELLS: dict[str, tuple[str, ...]] = {
    "raw_feature": ("number",),
    "expr_feature": ("number",),
    "combine_feature": ("number",),
    "lookup_feature": ("map", "token"),
    "match_feature": ("nested map", "token"),
    "overlap_feature": ("words",),
    "kv_dot_product": ("map",),
    "bool_mask_feature": ("words", "flags"),
    "tokenize_feature": ("sentence",),
    "text_normalizer": ("sentence",),
}
#: A column that several features read is what the first of these needs that one of them asks for.
_ORDER = ("nested map", "map", "flags", "sentence", "words", "vector", "number", "integer", "token")


def made_up_rows(plan: Plan, *, rows: int = 1000, seed: int = 0) -> pa.Table:
    """Make a training table with every column that the plan reads."""
    random = np.random.default_rng(seed)
    asked: dict[str, list[tuple[str, PlannedFeature, bool]]] = {}
    for feature in plan.features:
        for place, source in enumerate(feature.inputs):
            if source.source not in ("feature", "const"):
                asked.setdefault(source.joined, []).append((_cell(feature, place), feature, source.sequence))
    columns = {}
    for name, readers in asked.items():
        kind, feature, sequence = min(readers, key=lambda reader: _ORDER.index(reader[0]))
        columns[name] = _column(random, kind, feature, sequence, rows)
    return pa.table(columns)


def _cell(feature: PlannedFeature, place: int) -> str:
    record = feature.feature.type
    kinds = _CELLS.get(feature.type.removeprefix("sequence_"), ("token",))
    kind = kinds[min(place, len(kinds) - 1)]
    if kind == "number" and record.width > 1:
        return "vector"
    return "integer" if kind == "token" and record.buckets.key == "num_buckets" else kind


def _column(
    random: np.random.Generator, kind: str, feature: PlannedFeature, sequence: bool, rows: int
) -> pa.Array:
    cells = _Cells(random, feature)
    make: Callable[[int], list[str]] = getattr(cells, kind.replace(" ", "_"))
    if not sequence:
        types = {"number": pa.float32(), "integer": pa.int64()}
        return pa.array(make(rows)).cast(types.get(kind, pa.string()))
    length = min(feature.feature.length or _ELEMENTS, _ELEMENTS)
    elements = make(rows * length)
    delimiter = feature.feature.delimiter or ";"
    return pa.array([delimiter.join(elements[at : at + length]) for at in range(0, rows * length, length)])


class _Cells:
    """Cells as text, `count` of them, that a feature can do something with."""

    def __init__(self, random: np.random.Generator, feature: PlannedFeature) -> None:
        self._random = random
        self._record = feature.feature.type
        self._words = list(self._record.buckets.words[:1000]) or _WORDS

    def number(self, count: int) -> list[str]:
        return [f"{x:.4g}" for x in self._random.lognormal(size=count)]

    def vector(self, count: int) -> list[str]:
        return self._joined(self._record.separator, count, self._record.width, self.number)

    def integer(self, count: int) -> list[str]:
        return [str(x) for x in self._random.integers(0, max(1, self._record.buckets.size), count)]

    def token(self, count: int) -> list[str]:
        return [self._words[place] for place in self._random.integers(0, len(self._words), count)]

    def words(self, count: int) -> list[str]:
        return self._joined("\x1d", count, 4, self.token)

    def flags(self, count: int) -> list[str]:
        return self._joined("\x1d", count, 4, lambda n: [str(x) for x in self._random.integers(0, 2, n)])

    def sentence(self, count: int) -> list[str]:
        return self._joined(" ", count, 8, self.token)

    def map(self, count: int) -> list[str]:
        return self._joined("\x1d", count, 20, self._pairs)

    def nested_map(self, count: int) -> list[str]:
        inner = self._joined(",", count * 5, 4, self._pairs)
        outer = [f"{word}^{pairs}" for word, pairs in zip(self.token(count * 5), inner, strict=True)]
        return ["|".join(outer[at : at + 5]) for at in range(0, count * 5, 5)]

    def _pairs(self, count: int) -> list[str]:
        return [f"{word}:{x}" for word, x in zip(self.token(count), self.number(count), strict=True)]

    @staticmethod
    def _joined(separator: str, count: int, length: int, make: Callable[[int], list[str]]) -> list[str]:
        parts = make(count * length)
        return [separator.join(parts[at : at + length]) for at in range(0, count * length, length)]
