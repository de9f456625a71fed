"""Drawn requests of a bundle's features: every size, every length, both ends.

A model can be wrong for sizes that nobody tried. So tensors are drawn, and not generated from raw columns,
which have their habits: ids at both ends of their tables, no values, sequences of one step and full ones.

    shortest   no values, sequences of one step, id 0, floats 0
    longest    five values, full sequences, the last id of each table, large floats
    drawn      anything between, differently for each row
    outside    as drawn, with ids that no table has among them, negative ones included
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recserve.engines.engine import BATCH_SIZE
from recserve.features.generator import native_parts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from numpy.random import Generator as Random
    from numpy.typing import NDArray

    from recserve.features.generator import Generator
    from recserve.features.plan import PlannedFeature

KINDS = ("shortest", "longest", "drawn")
OUTSIDE = "outside"
MOST_VALUES = 5  # of one cell
STEPS = 50  # of a sequence whose length nothing limits
UNKNOWN_IDS = 10  # ids below this are in every table, where nothing says how large it is
LARGE = 10.0


class Requests:
    """Draws tensors as the features would lay them out, those of them that the model reads."""

    def __init__(
        self, features: Generator, reads: Collection[str], *, users_once: bool | None = None
    ) -> None:
        """`users_once`: user features have one row; unless told, as the bundle's model takes them."""
        self._tile = features.plan.tile if users_once is None else users_once
        self._reads = {*reads, BATCH_SIZE} if self._tile else {*reads}
        self._features = [feature for feature in features.plan.features if feature.is_output]
        self._limits = features.id_limits
        self._single = {
            feature.name: native_parts(feature.feature, farm_hash=features.plan.config.farm_hash)[1].single
            for feature in self._features
        }

    @property
    def rates(self) -> dict[str, str]:
        """What each tensor depends on: user, item or pair.

        User features are those of which TorchEasyRec's models take one row. What reads no column is theirs
        or the items', as their exports have it.
        """
        found: dict[str, str] = {}
        for feature in self._features:
            rate = "user" if feature.is_user else "item" if feature.rate in ("const", "item") else "pair"
            found |= dict.fromkeys(self._tensors_of(feature), rate)
        return found | ({BATCH_SIZE: "user"} if BATCH_SIZE in self._reads else {})

    def _tensors_of(self, feature: PlannedFeature) -> list[str]:
        parts = ("lengths", "key_lengths", "values", "weights")
        return [name for part in parts if (name := f"{feature.name}.{part}") in self._reads]

    def alike(self) -> list[list[str]]:
        """Names of tensors that are as long as one another in every request, beside those with rows.

        What always has one value has as many values as rows, and members of a group as many as steps.
        """
        groups: dict[tuple[str, str], list[str]] = {}
        for feature in self._features:
            name, values = feature.name, f"{feature.name}.values"
            if feature.feature.is_sequence:
                if f"{name}.key_lengths" not in self._reads:
                    group = feature.feature.group.name if feature.feature.group else name
                    groups.setdefault(("steps of", group), []).append(values)
            elif self._has_one_value(feature) and feature.feature.type.sparse:
                side = "user" if self._tile and feature.is_user else "items"
                groups.setdefault(("rows of", side), []).extend([f"{name}.lengths", values])
        found = [[name for name in names if name in self._reads] for names in groups.values()]
        return [names for names in found if len(names) > 1]

    def example(self, rows: int, seed: int = 1) -> dict[str, NDArray[Any]]:
        """Tensors to export with: what may vary has sizes that are no special cases."""
        return self._draw("drawn", rows, np.random.default_rng(seed), least=2)

    def all(self, rows: tuple[int, ...], drawn: int) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
        """Every kind in every size, `drawn` requests of the last kind."""
        for count in rows:
            for kind in KINDS:
                for seed in range(drawn if kind == "drawn" else 1):
                    yield count, self._draw(kind, count, np.random.default_rng([count, seed]))

    def outside(self, rows: int, seed: int = 3) -> Iterator[dict[str, NDArray[Any]]]:
        """Requests with ids outside of all tables, and one for each feature with ids: models may refuse some.

        What they look up in tables they take for row 0, and what they look up otherwise they refuse.
        """
        yield self._draw(OUTSIDE, rows, np.random.default_rng(seed))
        inside = self._draw("drawn", rows, np.random.default_rng(seed))
        for name in inside:
            if name.endswith(".values") and inside[name].dtype.kind == "i" and len(inside[name]):
                limit = self._limits.get(name.removesuffix(".values"), UNKNOWN_IDS)
                values = _ids(OUTSIDE, len(inside[name]), limit, np.random.default_rng(seed))
                yield inside | {name: values}

    def _draw(self, kind: str, rows: int, random: Random, least: int = 0) -> dict[str, NDArray[Any]]:
        tensors: dict[str, NDArray[Any]] = {}
        steps: dict[str, NDArray[np.int64]] = {}  # members of a group are as long as one another
        for feature in self._features:
            count = 1 if self._tile and feature.is_user else rows
            group = feature.feature.group.name if feature.feature.group else feature.name
            if feature.feature.is_sequence and group not in steps:
                most = feature.feature.length or STEPS
                steps[group] = _counts(kind, count, max(1, least), most, random)
            tensors |= self._tensors(feature, kind, count, steps=steps.get(group), random=random, least=least)
        if self._tile:
            tensors[BATCH_SIZE] = np.array([rows])
        return {name: tensor for name, tensor in tensors.items() if name in self._reads}

    def _tensors(
        self,
        feature: PlannedFeature,
        kind: str,
        rows: int,
        *,
        steps: NDArray[np.int64] | None,
        random: Random,
        least: int,
    ) -> Mapping[str, NDArray[Any]]:
        name, record = feature.name, feature.feature.type
        if not record.sparse:
            cells = rows if steps is None else int(steps.sum())
            values = {f"{name}.values": _floats(kind, (cells, max(1, record.width)), random)}
            return values if steps is None else values | {f"{name}.lengths": steps}
        if steps is None:
            if self._single[name]:
                lengths = _counts(kind, rows, int(self._has_one_value(feature)), 1, random)
            else:
                lengths = _counts(kind, rows, least, MOST_VALUES, random)
            tensors = {f"{name}.lengths": lengths}
        else:
            tensors = {f"{name}.lengths": steps}
            lengths = steps
            if f"{name}.key_lengths" in self._reads:
                lengths = _counts(kind, int(steps.sum()), max(1, least), MOST_VALUES, random)
                tensors[f"{name}.key_lengths"] = lengths
        total = int(lengths.sum())
        tensors[f"{name}.values"] = _ids(kind, total, self._limits.get(name, UNKNOWN_IDS), random)
        if record.is_weighted:
            return tensors | {f"{name}.weights": np.abs(_floats(kind, (total,), random))}
        return tensors

    def _has_one_value(self, feature: PlannedFeature) -> bool:
        """Neither more nor less: what is missing is its default, and models rely on that."""
        return self._single[feature.name] and bool(getattr(feature.feature.type, "default_value", ""))


def _counts(kind: str, count: int, least: int, most: int, random: Random) -> NDArray[np.int64]:
    match kind:
        case "shortest":
            return np.full(count, least)
        case "longest":
            return np.full(count, most)
        case _:
            return random.integers(least, most + 1, count)


def _ids(kind: str, count: int, limit: int, random: Random) -> NDArray[np.int64]:
    match kind:
        case "shortest":
            return np.zeros(count, np.int64)
        case "longest":
            return np.full(count, limit - 1)
        case "outside":
            values = random.integers(-5, 2 * limit + 5, count)
            above = (count + 1) // 2
            values[:above] = limit + np.arange(above)
            return values
        case _:
            return random.integers(0, limit, count)


def _floats(kind: str, shape: tuple[int, ...], random: Random) -> NDArray[np.float32]:
    drawn: NDArray[np.float32] = random.standard_normal(shape, np.float32)
    match kind:
        case "shortest":
            return np.zeros(shape, np.float32)
        case "longest":
            return np.float32(LARGE) * np.sign(drawn)
        case _:
            return drawn
