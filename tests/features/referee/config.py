"""fg.json as a flat list of features with resolved inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from tests.features.referee.cells import UnspecifiedError

Spec = Mapping[str, Any]

BUCKETIZERS = ("hash_bucket_size", "num_buckets", "vocab_list", "vocab_dict", "vocab_file", "boundaries")
ALIASES = {
    "value_dimension": "value_dim",
    "need_discrete": "needDiscrete",
    "need_key": "needKey",
    "match_type": "matchType",
}
INTEGER_TYPES = ("int", "integer", "int32", "int64", "bigint")
SINGLE_INPUT_TYPES = (
    *("id_feature", "raw_feature", "tokenize_feature", "text_normalizer"),
    *("combine_feature", "regex_replace_feature", "slice_feature"),
)
LISTED_INPUT_TYPES = ("combo_feature", "bool_mask_feature", "custom_feature")
NAMED_INPUTS = {
    "lookup_feature": ("map", "key"),
    "overlap_feature": ("query", "title"),
    "kv_dot_product": ("query", "document"),
}
NUMERIC_TYPES = ("raw_feature", "expr_feature", "overlap_feature", "kv_dot_product", "combine_feature")
ONE_VALUE_TYPES = ("custom_feature", "overlap_feature", "kv_dot_product", "combine_feature")
TEXT_OPERATORS = ("RegexReplace",)


@dataclass(frozen=True)
class Input:
    """One input: what the operator calls it, and where the cell is."""

    argument: str
    side: str
    name: str  # of a column (with the group's prefix) or a feature; the literal text of a const
    sequence: bool


@dataclass(frozen=True)
class Feature:
    """One feature; `spec` keeps the keys as they stand in fg.json, under their canonical names."""

    name: str
    type: str
    spec: Spec
    inputs: list[Input]
    group: str | None
    sequence: bool
    delimiter: str
    length: int
    files: Mapping[str, str]  # what lies beside fg.json: name to text

    @property
    def stub(self) -> bool:
        return bool(self.spec.get("stub_type", False))

    @property
    def separator(self) -> str:
        return str(self.spec.get("separator", "\x1d"))

    @property
    def default(self) -> str:
        return str(self.spec.get("default_value", ""))

    @property
    def bucketizer(self) -> str | None:
        return next((key for key in BUCKETIZERS if key in self.spec), None)

    @property
    def discrete(self) -> bool:
        """Whether the operator yields tokens rather than numbers (3)."""
        if self.type in NUMERIC_TYPES:
            return False
        value_type = self.spec.get("value_type", "").lower()
        if self.type == "custom_feature":
            return bool(value_type == "string" or (not value_type and self.operator in TEXT_OPERATORS))
        if self.type in ("lookup_feature", "match_feature"):
            absent = self.type == "match_feature"
            return bool(self.spec.get("needDiscrete", absent)) or value_type == "string"
        return True

    @property
    def operator(self) -> str:
        """What a custom feature runs (6.13)."""
        return str(self.spec.get("operator_name", ""))

    @property
    def splits_all(self) -> bool:
        """Every input is cut into elements, whatever its side and sequence_fields (6.13)."""
        return self.sequence and self.operator == "SeqExpr"

    @property
    def dense(self) -> bool:
        return self.bucketizer is None and not self.discrete

    @property
    def text(self) -> bool:
        """Whether the final result is text, as that of a discrete stub; a tokenizer yields ids (6.8)."""
        return self.bucketizer is None and self.discrete and self.type != "tokenize_feature"

    @property
    def weighted(self) -> bool:
        return bool(self.spec.get("weighted", False))

    @property
    def value_type(self) -> str:
        """`string`, `int`, `float` or `double` (1.2)."""
        name = str(self.spec.get("value_type", "string" if self.discrete else "float")).lower()
        return "int" if name in INTEGER_TYPES else name

    @property
    def value_dim(self) -> int:
        """Values per row; 0 is any number, of which a raw feature has no use (6.2)."""
        asked = int(self.spec.get("value_dim", 1 if self.type in ONE_VALUE_TYPES else 0))
        return max(1, asked) if self.type == "raw_feature" else asked

    @property
    def width(self) -> int:
        """Columns of a dense result."""
        return max(1, self.value_dim)


@dataclass(frozen=True)
class Group:
    """A sequence group: whose clicks its members read."""

    name: str
    pk: str  # the user column of item ids
    delimiter: str
    length: int


@dataclass(frozen=True)
class Config:
    """All features in the order of fg.json."""

    features: list[Feature]
    groups: list[Group]

    def by_name(self) -> dict[str, Feature]:
        return {feature.name: feature for feature in self.features}

    def ordered(self) -> list[Feature]:
        """Producers before consumers."""
        known, done, result = self.by_name(), set[str](), list[Feature]()

        def visit(feature: Feature) -> None:
            if feature.name in done:
                return
            done.add(feature.name)
            for source in feature.inputs:
                if source.side == "feature":
                    visit(known[source.name])
            result.append(feature)

        for feature in self.features:
            visit(feature)
        return result

    def user_features(self) -> set[str]:
        """What is passed with one row under INPUT_TILE (3.1)."""
        graph = any(source.side == "feature" for feature in self.features for source in feature.inputs)
        result = set[str]()
        for feature in self.ordered():
            sides = [
                "user"
                if source.side == "user"
                or (graph and source.side == "const")
                or (source.side == "feature" and source.name in result)
                else source.side
                for source in feature.inputs
            ]
            if feature.group is not None or all(side == "user" for side in sides):
                result.add(feature.name)
        return result

    def can_tile(self) -> bool:
        """Whether every group member reads nothing, directly or through features, that differs by item."""
        user = set[str]()
        for feature in self.ordered():
            rates = [
                source.side in ("user", "const")
                or (source.side == "item" and feature.group is not None and source.sequence)
                or (source.side == "feature" and source.name in user)
                for source in feature.inputs
            ]
            if all(rates):
                user.add(feature.name)
            elif feature.group is not None:
                return False
        return True


def read(fg: Spec, files: Mapping[str, str] = MappingProxyType({})) -> Config:
    """Flatten groups and resolve inputs; `files` are the texts that lie beside fg.json."""
    features, groups = list[Feature](), list[Group]()
    for entry in fg["features"]:
        if "sequence_name" not in entry:
            features.append(_plain(entry, files))
            continue
        name = entry["sequence_name"]
        pk = str(entry.get("sequence_pk", f"user:{name}")).split(":", 1)[1]
        group = Group(name, pk, entry.get("sequence_delim", ";"), int(entry.get("sequence_length", 0)))
        groups.append(group)
        features += [_member(member, group, files) for member in entry["features"]]
    produced = {feature.name for feature in features if feature.sequence}
    return Config([_with_sequence_edges(feature, produced) for feature in features], groups)


def _plain(entry: Spec, files: Mapping[str, str]) -> Feature:
    spec = _canonical(entry)
    feature_type = str(spec["feature_type"])
    sequence = _stands_alone(feature_type, spec)
    feature_type = feature_type.removeprefix("sequence_")
    references = _references(feature_type, spec)
    chosen = _sequence_names(feature_type, spec, references) if sequence else set()
    inputs = [
        Input(argument, side, name, sequence=sequence and argument in chosen)
        for argument, side, name in references
    ]
    delimiter, length = spec.get("sequence_delim", ";"), int(spec.get("sequence_length", 0))
    return Feature(spec["feature_name"], feature_type, spec, inputs, None, sequence, delimiter, length, files)


def _stands_alone(feature_type: str, spec: Spec) -> bool:
    """A sequence outside any group (7.4)."""
    if feature_type in ("custom_feature", "regex_replace_feature"):
        return bool(spec.get("is_sequence", False))
    older_form = feature_type == "bool_mask_feature" and "sequence_delim" in spec
    return older_form or feature_type.startswith("sequence_")


def _member(entry: Spec, group: Group, files: Mapping[str, str]) -> Feature:
    spec = _canonical(entry)
    feature_type = str(spec["feature_type"])
    references = _references(feature_type, spec)
    chosen = _sequence_names(feature_type, spec, references)
    siblings = set(spec.get("sequence_fields", ()))
    inputs = []
    for argument, side, name in references:
        sequence = argument in chosen
        prefixed = side != "const" and sequence and (side != "feature" or name in siblings)
        inputs.append(Input(argument, side, f"{group.name}__{name}" if prefixed else name, sequence))
    name = f"{group.name}__{spec['feature_name']}"
    return Feature(name, feature_type, spec, inputs, group.name, True, group.delimiter, group.length, files)


def _canonical(entry: Spec) -> dict[str, Any]:
    return {ALIASES.get(key, key): value for key, value in entry.items()}


def _references(feature_type: str, spec: Spec) -> list[tuple[str, str, str]]:
    """Argument, side and name of every input, in the order of the keys."""
    if feature_type in SINGLE_INPUT_TYPES:
        named = [("value", spec["expression"])]
    elif spec.get("operator_name") == "SeqExpr":  # a formula over the names
        named = [(reference.split(":", 1)[1], reference) for reference in spec["expression"]]
    elif feature_type in LISTED_INPUT_TYPES:
        named = [(str(at), reference) for at, reference in enumerate(spec["expression"])]
    elif feature_type == "expr_feature":
        named = [(reference.split(":", 1)[1], reference) for reference in spec["variables"]]
    elif feature_type in NAMED_INPUTS:
        named = [(key, spec[key]) for key in NAMED_INPUTS[feature_type]]
    elif feature_type == "match_feature":
        named = [(key, spec[key]) for key in ("user", "category", "item") if spec[key] != "ALL"]
    else:
        raise UnspecifiedError(f"feature type {feature_type}")
    return [(argument, *_split(reference)) for argument, reference in named]


def _split(reference: str) -> tuple[str, str]:
    side, name = reference.split(":", 1)
    return side, name


def _sequence_names(feature_type: str, spec: Spec, references: list[tuple[str, str, str]]) -> set[str]:
    """Arguments that are sequences (7.2); edges from sequence features come later."""
    if "sequence_fields" in spec:
        return {argument for argument, _, name in references if name in spec["sequence_fields"]}
    if feature_type in SINGLE_INPUT_TYPES:
        return {argument for argument, side, _ in references if side != "feature"}
    return {argument for argument, side, _ in references if side == "item"}


def _with_sequence_edges(feature: Feature, produced: set[str]) -> Feature:
    """A `feature:` input produced by a sequence feature is a sequence for a sequence feature (7.4)."""
    if not feature.sequence:
        return feature
    inputs = [
        Input(source.argument, source.side, source.name, sequence=True)
        if source.side == "feature" and source.name in produced
        else source
        for source in feature.inputs
    ]
    if not any(source.sequence for source in inputs) and not feature.splits_all:
        raise UnspecifiedError(f"{feature.name} has no sequence input")
    return replace(feature, inputs=inputs)
