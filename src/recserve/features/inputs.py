"""Where a feature reads each of its inputs, and which of them are sequences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recserve.config.nearest import did_you_mean
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve.features.config import Feature
    from recserve.features.types.feature_type import Reference


@dataclass(frozen=True, slots=True)
class PlannedInput:
    """Where one input of a feature is read."""

    source: str  # user, item, context, const, feature; group: an item column at the user's keys
    name: str  # the column, the feature, the constant; group: the item column
    sequence: bool  # its cells are cut into elements
    joined: str  # the column's name in the training table and, if sent, in a request


def resolve(feature: Feature, features: Mapping[str, Feature]) -> tuple[PlannedInput, ...]:
    """Resolve the inputs of one feature among all `features` of the file.

    Which inputs of a sequence feature are sequences: those in `sequence_fields`; else the input of a
    single-input type and the item inputs of another; and any feature that is a sequence itself. In a group
    their columns have its prefix; a type that cuts every input has others, without it.

    A reference to a feature reads its final result: ids, numbers in its value_type (0.0 rather than missing),
    or texts, which the reader cuts at its own separator. Of a weighted feature it reads the ids; of a
    sequence, if the reader is none, all elements as one multi-value cell.
    """
    with feature.named_errors():
        references = feature.type.inputs()
        fields = feature.type.sequence_fields
        if feature.is_sequence and fields is not None:
            unknown = set(fields) - {reference.name for reference in references}
            if unknown:
                hint = did_you_mean(min(unknown), {reference.name for reference in references})
                raise ConfigError(f"sequence_fields {sorted(unknown)} are not among its inputs{hint}")
        inputs = tuple(_resolve_input(feature, reference, features) for reference in references)
        if feature.is_sequence and feature.type.cuts_every_input:
            return tuple(replace(i, sequence=True) for i in inputs)
        if feature.is_sequence and not any(i.sequence for i in inputs):
            raise ConfigError("none of its inputs is a sequence; name them in sequence_fields")
    return inputs


def _resolve_input(feature: Feature, reference: Reference, features: Mapping[str, Feature]) -> PlannedInput:
    side, name = reference.side, reference.name
    fields = feature.type.sequence_fields
    listed = feature.is_sequence and fields is not None and name in fields
    prefixed = name if feature.group is None else f"{feature.group.name}__{name}"
    if side == "feature":
        producer = prefixed if listed else name
        if producer not in features:
            hint = did_you_mean(producer, features.keys())
            raise ConfigError(f"reads the feature '{producer}', which fg.json does not have{hint}")
        if feature.is_sequence and fields is None:
            listed = features[producer].is_sequence
        return PlannedInput("feature", producer, listed, producer)
    sequence = listed
    if feature.is_sequence and fields is None:
        sequence = feature.type.single_input or side == "item"
    if side == "const" or not sequence or feature.group is None:
        return PlannedInput(side, name, sequence, name)
    if side == "item":
        return PlannedInput("group", name, True, prefixed)
    return PlannedInput(side, prefixed, True, prefixed)
