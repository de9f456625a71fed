"""Evaluate fg.json row by row: joined rows to results, and results to tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tests.features.referee.bucketize import Bucketizer
from tests.features.referee.cells import (
    Cell,
    Numbers,
    UnspecifiedError,
    float32,
    numbers,
)
from tests.features.referee.config import Config, Feature, Input, Spec, read
from tests.features.referee.normalize import Normalizer
from tests.features.referee.outcome import Ids, Outcome, Token
from tests.features.referee.sequences import element_cells, is_split
from tests.features.referee.tokenizer import encode
from tests.features.referee.types import OPERATORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Tensors = dict[str, NDArray[Any]]
NUMERIC_COLUMNS = ("int32", "int64", "float32", "float64")


@dataclass(frozen=True)
class Result:
    """The final values of one row, or of one element of a sequence."""

    values: list[int] | list[int | float] | list[str]
    weights: list[float] = field(default_factory=list)


# A row of a sequence feature is the list of its elements.
Rows = list[Result] | list[list[Result]]


@dataclass(frozen=True)
class Columns:
    """Joined columns and their declared types; a column of one cell stands for every row."""

    cells: Mapping[str, Sequence[Cell]]
    types: Mapping[str, str]
    rows: int

    def cell(self, name: str, row: int) -> Cell:
        column = self.cells[name]
        return column[0] if len(column) == 1 else column[row]


class Evaluator:
    """One feature over joined columns; `results` holds the features that it reads."""

    def __init__(
        self, feature: Feature, columns: Columns, results: Mapping[str, tuple[Feature, Rows]]
    ) -> None:
        self.feature = feature
        self.columns = columns
        self.results = results
        self.operator = OPERATORS[feature.type]
        text = feature.spec.get("normalizer")
        self.normalizer = Normalizer(text) if text else None
        self.bucketizer: Bucketizer | None = None

    def row(self, row: int) -> Result | list[Result]:
        """The result of one row."""
        feature = self.feature
        cells = {source.argument: self._cell(source, row) for source in feature.inputs}
        if not feature.sequence:
            return self._finish(self.operator(feature, cells)) or self._default()
        if not feature.default:
            raise UnspecifiedError("a sequence feature without a default")
        produced = {
            source.argument: self._produced(source, row)
            for source in feature.inputs
            if source.side == "feature" and is_split(feature, source)
        }
        inputs = element_cells(feature, cells, produced)
        return [
            self._finish(self.operator(feature, element)) or self._default_of() for element in inputs
        ] or [self._default_of()]

    def _cell(self, source: Input, row: int) -> Cell:
        if source.side == "const":
            return source.name
        if source.side != "feature":
            return self.columns.cell(source.name, row)
        producer, rows = self.results[source.name]
        found = rows[row]
        if isinstance(found, Result):
            return cell_of(producer, found)
        flat = [value for element in found for value in element.values]
        return "\x1d".join(map(str, flat)) if producer.text else list(flat)

    def _produced(self, source: Input, row: int) -> list[Cell]:
        producer, rows = self.results[source.name]
        found = rows[row]
        if isinstance(found, list):
            return [cell_of(producer, element) for element in found]
        if len(found.values) > 1:
            raise UnspecifiedError("several values of a plain feature as a sequence")
        return list(found.values)

    def _finish(self, outcome: Outcome) -> Result | None:
        """Normalizer, value_dim, bucketizer (5); None when the operator yielded nothing."""
        if not outcome:
            return None
        if isinstance(outcome, Numbers):
            values = outcome.values
            if self.normalizer is not None:
                values = [float(self.normalizer(value, text=outcome.text)) for value in values]
            return self._numeric(values)
        if isinstance(outcome, Ids):
            return Result(outcome.values[: self._limit])
        return self._tokens(outcome[: self._limit])

    @property
    def _limit(self) -> int | None:
        """Values at most: value_dim, which lookups heed in sequences of one value per element only."""
        feature = self.feature
        if feature.type == "lookup_feature" and not (feature.sequence and feature.value_dim == 1):
            return None
        return feature.value_dim or None

    def _numeric(self, values: list[int | float]) -> Result:
        """Dense and raw results have exactly value_dim values, the others at most their limit."""
        feature = self.feature
        typed = [_typed(value, feature.value_type) for value in values]
        if feature.dense or feature.type == "raw_feature":
            typed = [*typed[: feature.width], *[0.0] * (feature.width - len(typed))]
        else:
            typed = typed[: self._limit]
        if self.bucketizer is None:
            return Result(typed)
        return Result([self.bucketizer.number(value) for value in typed])

    def _tokens(self, found: list[Token]) -> Result:
        weights = [token.weight for token in found]
        if self.bucketizer is None:
            return Result([token.text for token in found], weights)
        return Result([self.bucketizer.token(token.text, token.bare) for token in found], weights)

    def _default(self) -> Result:
        """The result of a missing row; null in a numeric raw column is the number 0 (4.2)."""
        feature = self.feature
        if feature.default:
            return self._default_of()
        if feature.dense:
            return self._numeric([0.0] * feature.width)
        if feature.type in ("overlap_feature", "kv_dot_product"):
            return self._numeric([0.0])
        source = feature.inputs[0]
        column_type = self.columns.types.get(source.name) if source.side not in ("feature", "const") else None
        if feature.type == "raw_feature" and feature.value_dim == 1 and column_type in NUMERIC_COLUMNS:
            return self._numeric([0.0])
        return Result([])

    def _default_of(self) -> Result:
        """`default_value` as one token, or as numbers that are never normalized (4.1, 4.2)."""
        feature = self.feature
        if feature.type == "tokenize_feature":
            return Result(encode(feature, feature.default)[: self._limit])
        if feature.discrete:
            return self._tokens([Token(feature.default, feature.default)])
        parsed = numbers(feature.default, feature.separator)
        if parsed is None:
            raise UnspecifiedError(f"default '{feature.default}' is no number")
        repeated = parsed.values * feature.value_dim if len(parsed.values) == 1 else parsed.values
        return self._numeric(repeated or parsed.values)


def _typed(value: int | float, value_type: str) -> int | float:
    """A number as the feature's value_type: truncated toward zero, rounded to float32, or left alone."""
    if value_type == "double":
        return float(value)
    if value_type != "int":
        return float(float32(value))
    if not math.isfinite(value) or abs(value) >= 2**63:
        raise UnspecifiedError(f"{value} as an integer")
    return math.trunc(value)


def cell_of(producer: Feature, result: Result) -> Cell:
    """A final result as an input cell of another feature (1.3)."""
    if producer.text:
        return "\x1d".join(map(str, result.values))
    if producer.dense and producer.width == 1:
        return result.values[0]
    return list(result.values)


@dataclass(frozen=True)
class Evaluation:
    """The final results of every feature, row by row."""

    config: Config
    results: Mapping[str, tuple[Feature, Rows]]
    rows: int

    def tensors(self, *, tile: bool = False) -> Tensors:
        """The tensors of every output feature, in the order of fg.json.

        With `tile`, user features have the one row that stands for all, and `batch_size` tells the rows.
        """
        user = self.config.user_features() if tile else set()
        tensors: Tensors = {}
        for feature in self.config.features:
            if not feature.stub:
                found = self.results[feature.name][1]
                tensors |= tensors_of(feature, found[:1] if feature.name in user else found)
        if tile:
            tensors["batch_size"] = np.array([self.rows], np.int64)
        return tensors


def evaluate(
    fg: Spec,
    columns: Mapping[str, Sequence[Cell]],
    types: Mapping[str, str],
    rows: int,
    *,
    farm_hash: bool = False,
    files: Mapping[str, str] = MappingProxyType({}),
) -> Evaluation:
    """Every feature over joined rows; `files` are the texts that lie beside fg.json.

    `columns` are named as in a training table: plain columns, and S__X for the sequence inputs of group S.
    """
    config = read(fg, files)
    joined = Columns(columns, types, rows)
    results: dict[str, tuple[Feature, Rows]] = {}
    for feature in config.ordered():
        evaluator = Evaluator(feature, joined, results)
        if feature.bucketizer is not None:
            evaluator.bucketizer = Bucketizer(feature, farm_hash=farm_hash)
        found: list[Any] = [evaluator.row(row) for row in range(rows)]
        results[feature.name] = (feature, found)
    return Evaluation(config, results, rows)


def tensors_of(feature: Feature, rows: Rows) -> Tensors:
    """F.values, F.lengths, F.weights and F.key_lengths, as models take them."""
    flat: list[Result] = []
    lengths: list[int] = []
    for row in rows:
        elements = [row] if isinstance(row, Result) else row
        flat += elements
        lengths.append(len(elements) if feature.sequence else len(elements[0].values))
    values = [value for result in flat for value in result.values]
    if feature.text:
        raise UnspecifiedError(f"{feature.name} yields text")
    if feature.dense:
        numbers32 = [float32(value) for value in values if not isinstance(value, str)]
        tensors: Tensors = {"values": np.array(numbers32, np.float32).reshape(len(flat), feature.width)}
        if feature.sequence:
            tensors["lengths"] = np.array(lengths, np.int64)
    else:
        tensors = {"values": np.array(values, np.int64), "lengths": np.array(lengths, np.int64)}
        if feature.sequence and feature.value_dim != 1:
            tensors["key_lengths"] = np.array([len(result.values) for result in flat], np.int64)
        if feature.weighted:
            weights = [weight for result in flat for weight in result.weights]
            tensors["weights"] = np.array(weights, np.float32)
    return {f"{feature.name}.{kind}": tensor for kind, tensor in tensors.items()}
