"""records ──plan──▶ order and rates: what is generated when, from which columns.

A value's rate says how often its inputs change: const (with the model), item (with a row of the item table),
user (with the request), pair (with the candidate). The rate of a feature joins those of its inputs:

            pair   (context:, user x item, rnd)
           /    \\
       user      item
           \\    /
           const
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from recserve.errors import ConfigError
from recserve.features.inputs import resolve
from recserve.features.order import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from recserve.features.config import Feature, FeatureConfig
    from recserve.features.inputs import PlannedInput

#: How a finished column is called in an item row: no raw column's name starts so.
FINISHED = "="

_JOIN = {
    frozenset[str](): "const",
    frozenset({"user"}): "user",
    frozenset({"item"}): "item",
    frozenset({"user", "item"}): "pair",
}


@dataclass(frozen=True, slots=True)
class PlannedFeature:
    """One feature, resolved."""

    feature: Feature
    inputs: tuple[PlannedInput, ...]
    rate: str  # const, item, user, pair
    is_user: bool  # TorchEasyRec's user feature: one row under INPUT_TILE
    random: bool
    shortened: bool  # a sequence that may have fewer elements than its group's other members
    finished: str = ""  # the column that holds the result in an item row
    element: str = ""  # sequences: the finished column that holds their elements

    @property
    def name(self) -> str:
        """Its name among the outputs."""
        return self.feature.name

    @property
    def column(self) -> str:
        """Its column in an offline run."""
        return self.feature.column or self.feature.name

    @property
    def type(self) -> str:
        """Its feature_type as in fg.json."""
        return self.feature.feature_type

    @property
    def is_output(self) -> bool:
        """It has tensors: it is no stub."""
        return not self.feature.type.stub_type

    @property
    def python_step(self) -> bool:
        """Python computes it, over whole columns; all other features are native."""
        return self.feature.type.python_step


@dataclass(frozen=True, slots=True)
class SequenceKey:
    """What to gather for a sequence group: the rows of the items that a user column lists."""

    column: str  # of the user
    delimiter: str
    length: int  # elements kept, from the front; 0: all
    raw: frozenset[str]  # raw item columns that its members read for every request
    finished: frozenset[str]  # finished columns of its element features


class Plan:
    """Order, rate and inputs of every feature of a config.

    `tile`: the model takes user features with one row (INPUT_TILE 2 or 3).
    """

    def __init__(self, config: FeatureConfig, *, tile: bool) -> None:
        self.config = config
        self.tile = tile
        self._by_name = {feature.name: feature for feature in config.features}
        self._inputs = {name: resolve(feature, self._by_name) for name, feature in self._by_name.items()}
        self._producers = {
            name: [i.name for i in inputs if i.source == "feature"] for name, inputs in self._inputs.items()
        }
        self.order = self._sorted()
        self._random = {name: _is_random(feature) for name, feature in self._by_name.items()}
        self._users = self._user_features()
        self._shortened = self._shortened_sequences()
        self._rates: dict[str, frozenset[str]] = {}
        for name in self.order:
            self._rates[name] = self._rate(name)
        self._element_of: dict[str, str] = {}
        #: element features: finished column → the sequence feature that it holds elements of
        self.elements: dict[str, str] = {}
        self._finished = self._finished_features()
        self._add_elements()
        self.features = tuple(self._planned(feature) for feature in config.features)
        if tile:
            self.check_users_once()

    # -- what is read ---------------------------------------------------------------------------------------

    @property
    def user_inputs(self) -> frozenset[str]:
        """User columns, named as in the training table, and the key columns of the groups."""
        return self._columns("user") | {group.key for group in self.config.groups}

    @property
    def item_inputs(self) -> frozenset[str]:
        """Item columns, named as in the training table ("S__X" in a group)."""
        return self._columns("item") | self._columns("group")

    @property
    def context_inputs(self) -> frozenset[str]:
        """Context columns."""
        return self._columns("context")

    @property
    def raw_columns(self) -> frozenset[str]:
        """Item columns that anything reads: what the row store keeps."""
        return frozenset(i.name for _, i in self._all_inputs() if i.source in ("item", "group"))

    @cached_property
    def finished(self) -> Mapping[str, frozenset[str]]:
        """Columns that are finished in the item rows → the raw columns that they are made of."""
        made_of = self._item_columns()
        columns = {self._finished[name]: made_of[name] for name in self.order if name in self._finished}
        for column, name in self.elements.items():
            columns.setdefault(column, self._group_columns(name))
        return columns

    @cached_property
    def pair_columns(self) -> frozenset[str]:
        """Raw item columns that every request needs, because a feature that is not finished reads them."""
        raw, _ = self.read_of_items([f.name for f in self.features if f.is_output])
        return raw

    def read_of_items(self, names: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
        """What a request reads of its items for these features: raw columns, and finished ones."""
        seen: set[str] = set()
        raw: set[str] = set()
        finished: set[str] = set()
        wanted = list(names)
        while wanted:
            name = wanted.pop()
            if name in self._finished:
                finished.add(self._finished[name])
                continue
            if name in seen:
                continue
            seen.add(name)
            for source in self._inputs[name]:
                if source.source == "item":
                    raw.add(source.name)
                elif source.source == "feature":
                    wanted.append(source.name)
        return frozenset(raw), frozenset(finished)

    @cached_property
    def sequence_keys(self) -> Mapping[str, SequenceKey]:
        """What to gather for each group that reads item columns."""
        keys = {}
        members: dict[str, list[PlannedFeature]] = {group.name: [] for group in self.config.groups}
        for feature in self.features:
            if feature.feature.group is not None:
                members[feature.feature.group.name].append(feature)
        for group in self.config.groups:
            raw: set[str] = set()
            finished: set[str] = set()
            for feature in members[group.name]:
                columns = {i.name for i in feature.inputs if i.source == "group"}
                if feature.element:
                    finished.add(feature.element)
                # A request may bring one of several columns itself; then the others are needed as they are.
                if not feature.element or len(columns) > 1:
                    raw |= columns
            if raw or finished:
                keys[group.name] = SequenceKey(
                    group.key, group.delimiter, group.length, frozenset(raw), frozenset(finished)
                )
        return keys

    def absent_types(self) -> dict[str, dict[str, str]]:
        """Side → column → its type when no schema and no value tells: that of the features reading it."""
        types: dict[str, dict[str, str]] = {"user": {}, "context": {}, "item": {}}
        for feature in self.features:
            wanted = feature.feature.type.absent_type()
            for source in feature.inputs:
                if source.source in types and (wanted != "string" or source.name not in types[source.source]):
                    types[source.source][source.name] = wanted if not source.sequence else "string"
        return types

    # -- order and rates ------------------------------------------------------------------------------------

    def _sorted(self) -> tuple[str, ...]:
        """Features behind those that they read; otherwise in the order of the file."""

        def refuse(circle: Sequence[str]) -> None:
            raise ConfigError(f"features read one another in a circle: {shown_circle(circle)}")

        return in_order(self._producers, refuse)

    def _rate(self, name: str) -> frozenset[str]:
        rate: set[str] = set()
        for source in self._inputs[name]:
            match source.source:
                case "user" | "group":
                    rate.add("user")
                case "item":
                    rate.add("item")
                case "context":
                    rate |= {"user", "item"}
                case "feature":
                    rate |= self._rates[source.name]
        if self._random[name]:
            # Drawn for every candidate, but for a model that takes one row of it.
            rate = rate | {"user"} if self.tile and name in self._users else {"user", "item"}
        return frozenset(rate)

    def _user_features(self) -> frozenset[str]:
        """User features as TorchEasyRec decides them at export."""
        linked = any(i.source == "feature" for _, i in self._all_inputs())
        users: set[str] = set()
        for name in self.order:
            inputs = self._inputs[name]
            if self._by_name[name].group is not None:
                users.add(name)
            elif linked:
                if all(
                    i.source in ("user", "const") or (i.source == "feature" and i.name in users)
                    for i in inputs
                ):
                    users.add(name)
            elif all(i.source == "user" for i in inputs):
                users.add(name)
        return frozenset(users)

    def _shortened_sequences(self) -> frozenset[str]:
        """Sequences that a mask shortens, and those that read them."""
        shortened: set[str] = set()
        for name in self.order:
            feature = self._by_name[name]
            masked = any(
                i.sequence and i.name in shortened for i in self._inputs[name] if i.source == "feature"
            )
            if feature.is_sequence and (feature.type.shortens or masked):
                shortened.add(name)
        return frozenset(shortened)

    def _finished_features(self) -> dict[str, str]:
        """Item-rate features kept in the item rows: outputs, and what features of another rate read."""
        items = [name for name in self.order if self._rates[name] == {"item"}]
        read = {
            i.name
            for name, i in self._all_inputs()
            if i.source == "feature" and self._rates[name] != {"item"}
        }
        return {
            name: FINISHED + name for name in items if name in read or not self._by_name[name].type.stub_type
        }

    def _add_elements(self) -> None:
        """Give the members that read item columns (and constants) only an element feature each.

        Members of several groups, and candidate features, share a column where their definitions agree.
        """
        columns: dict[object, str] = {}
        for name, column in self._finished.items():
            if not self._by_name[name].is_sequence:
                columns.setdefault(self._definition(name), column)
        for name in self.order:
            inputs = self._inputs[name]
            alone = all(i.source == "group" or (i.source == "const" and not i.sequence) for i in inputs)
            feature = self._by_name[name]
            if not alone or feature.group is None or feature.type.shortens or self._random[name]:
                continue
            if all(i.source == "const" for i in inputs):
                continue
            column = columns.setdefault(self._definition(name), FINISHED + name)
            self._element_of[name] = column
            if column == FINISHED + name:
                self.elements[column] = name

    def _definition(self, name: str) -> object:
        """What a feature computes for one item, apart from what it is called."""
        feature = self._by_name[name]
        record = feature.type
        own_name = record.feature_name if record.need_prefix else ""
        record = dataclasses.replace(record, feature_name=own_name, stub_type=False, sequence_fields=None)
        inputs = tuple((i.source == "const", i.name) for i in self._inputs[name])
        one_value = feature.is_sequence and record.value_dim == 1
        return record, inputs, 1 if one_value else record.limit(sequence=feature.is_sequence)

    # -- helpers in the order of their use ------------------------------------------------------------------

    def _planned(self, feature: Feature) -> PlannedFeature:
        name = feature.name
        return PlannedFeature(
            feature,
            self._inputs[name],
            _JOIN[self._rates[name]],
            name in self._users,
            self._random[name],
            name in self._shortened,
            self._finished.get(name, ""),
            self._element_of.get(name, ""),
        )

    def check_users_once(self) -> None:
        """Refuse a plan whose user features have no one row for all candidates, by a ConfigError."""
        for feature in self.features:
            if feature.is_user and feature.rate not in ("const", "user"):
                raise ConfigError(
                    f"feature '{feature.name}' is a user feature to a model exported with INPUT_TILE, and "
                    f"reads {[i.joined for i in feature.inputs]}, which differ by candidate; export without "
                    "INPUT_TILE"
                )

    def _all_inputs(self) -> Iterator[tuple[str, PlannedInput]]:
        return ((name, source) for name, inputs in self._inputs.items() for source in inputs)

    def _columns(self, source: str) -> frozenset[str]:
        return frozenset(i.joined for _, i in self._all_inputs() if i.source == source)

    def _item_columns(self) -> dict[str, frozenset[str]]:
        """Feature of rate item → the raw columns that it is made of, those of its producers included."""
        made_of: dict[str, frozenset[str]] = {}
        for name in self.order:
            if self._rates[name] <= {"item"}:
                own = {i.name for i in self._inputs[name] if i.source == "item"}
                made_of[name] = frozenset(
                    own.union(*(made_of[producer] for producer in self._producers[name]))
                )
        return made_of

    def _group_columns(self, name: str) -> frozenset[str]:
        return frozenset(i.name for i in self._inputs[name] if i.source == "group")


def shown_circle(names: Sequence[str], most: int = 20) -> str:
    """A circle for a message: the start of a long one."""
    return " -> ".join(names if len(names) <= most else [*names[: most - 1], "…", names[-1]])


def _is_random(feature: Feature) -> bool:
    with feature.named_errors():
        return feature.type.random
