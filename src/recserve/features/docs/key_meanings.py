"""What each key of fg.json means, in a sentence: for editors (schema.py) and for hints at typing mistakes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from recserve.features import bucketize
from recserve.features.keys import ALIASES, field_types
from recserve.features.types.feature_type import VALUE_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recserve.features.types.feature_type import FeatureType


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a feature object."""

    sentence: str
    choices: tuple[str, ...] = ()
    #: JSON Schema of its values, where the type of its field does not tell.
    schema: dict[str, Any] | None = None


_COMBINERS = ("sum", "mean", "avg", "min", "max", "count", "gap_min", "gap_max", "")
_METHODS = (
    *("query_common_ratio", "title_common_ratio", "is_contain", "is_equal", "index_of"),
    *("proximity_min_cover", "proximity_min_dist", "proximity_max_dist", "proximity_avg_dist"),
)
_NUMBER_BY_WORD = {"type": "object", "additionalProperties": {"type": "number"}}
_INDEX_BY_WORD = {"type": "object", "additionalProperties": {"type": "integer"}}

#: Keys whose fields stand in the records, by the names of the fields.
FIELDS = {
    "feature_name": Key("The name of the output; of a group's member it is <group>__<name>."),
    "default_value": Key('The result where there is none, before it is bucketized; "" is no default.'),
    "value_type": Key("What a value is before it is bucketized.", tuple(sorted(filter(None, VALUE_TYPES)))),
    "value_dim": Key("0: any number of values; n: exactly n numbers, or at most n ids."),
    "separator": Key("Cuts multi-value text, beside \\x1d; one byte."),
    "need_prefix": Key("Puts <feature_name>_ before each token."),
    "normalizer": Key("method=log10, zscore, minmax or expression, and its parameters; defaults pass it by."),
    "stub_type": Key("The result feeds other features only and has no tensor."),
    "sequence_fields": Key("Which inputs of a sequence feature are sequences, without their sides."),
    "expression": Key("The input, side:name, or several; of an expr_feature the formula."),
    "weighted": Key("Each token is id:weight, or the input is a map of weights."),
    "map": Key("The input that is a map, or text of key:value pairs."),
    "key": Key("The input that is looked up in the map."),
    "need_discrete": Key("Results are tokens rather than numbers."),
    "need_key": Key("Tokens are key_value rather than the value alone."),
    "combiner": Key('What makes one number of several; "" keeps them all.', _COMBINERS),
    "user": Key("The input that is a nested map: k1^a:1,b:2|k2^a:3."),
    "category": Key("The input that is the outer key, or ALL."),
    "item": Key("The input that is the inner key, or ALL."),
    "match_type": Key("hit takes ALL as a key, multihit as every key.", ("hit", "multihit")),
    "show_category": Key("The outer key is part of the token."),
    "show_item": Key("The inner key is part of the token."),
    "variables": Key("The inputs of the formula; each is called as its name behind the side."),
    "fill_missing": Key("Goes on for the shorter of two vectors; NaN if absent."),
    "query": Key("The input whose tokens, or keys and values, are compared with those of the other side."),
    "title": Key("The input in which the tokens of the query are looked for."),
    "document": Key("The input whose values are multiplied by those of the query."),
    "method": Key("How query and title are compared.", _METHODS),
    "kv_delimiter": Key("Stands between key and value; one byte."),
    "value_map": Key("Token to number; without it tokens are read as numbers.", schema=_NUMBER_BY_WORD),
    "regex_pattern": Key(
        "RE2 patterns; several are alternatives.",
        schema={"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    ),
    "replacement": Key("What matches become; \\1 is a group, \\0 the whole match."),
    "replace_all": Key("Every match, rather than the first one, is replaced."),
    "icase": Key("Upper and lower case match one another."),
    "operator_name": Key("Which operator computes the feature."),
    "operator_lib_file": Key("The original's library of the operator; the name alone decides here."),
    "start": Key("The first token kept, from 0; negative counts from the end."),
    "end": Key("The token before which to stop; negative counts from the end; absent: all."),
    "step": Key("Every how many tokens one is kept."),
    "tokenizer_type": Key("bpe (tokenizer.json) or sentencepiece (.model).", ("bpe", "sentencepiece")),
    "output_type": Key("What the tokens are.", ("word_id",)),
    "output_delim": Key("Has no effect."),
    "vocab_file": Key("A file beside fg.json with a word, or a word and its index, per line."),
    "parameter": Key("Sum of bits: 2 upper, 4 lower, 8 half width, 16 simplified, 32 filter, 512 split."),
    "remove_space": Key("Blanks are removed."),
    "max_length": Key("A longer text passes unchanged."),
    "stop_char_file": Key("A file beside fg.json with the characters to drop."),
    "is_sequence": Key("The feature is a sequence; for types without a sequence_ form."),
    "encoding": Key("What an edit distance counts.", ("utf-8", "latin")),
    "formula": Key("A formula over the input names, or spherical_distance."),
}

#: Keys that make buckets: of these at most one.
BUCKETS = {
    "hash_bucket_size": Key("Ids are the hash of the value, modulo this."),
    "num_buckets": Key("The value is the id; 0 if it is not below this."),
    "vocab_list": Key(
        "A word's id is its place in the list.",
        schema={"type": "array", "items": {"type": ["string", "number", "boolean"]}},
    ),
    "vocab_dict": Key("A word's id, by word.", schema=_INDEX_BY_WORD),
    "vocab_file": FIELDS["vocab_file"],
    "boundaries": Key(
        "The id is how many of these are not above the number; they increase.",
        schema={"type": "array", "items": {"type": "number"}, "minItems": 1},
    ),
}
DEFAULT_BUCKET = {"default_bucketize_value": Key("The id of a word that the vocabulary lacks; 0 if absent.")}

#: Keys of what is a sequence: of a group, or of a feature that is one by itself.
SEQUENCE = {
    "sequence_delim": Key("Stands between the elements of a text; `;` if absent."),
    "sequence_length": Key("The first so many elements are kept; 0: all."),
}
GROUP = {
    "sequence_name": Key("The name of the group; its members' outputs are <group>__<name>."),
    "sequence_pk": Key("The user column that lists the items, user:<sequence_name> if absent."),
    **SEQUENCE,
    "features": Key("The members: feature objects whose types have no prefix sequence_."),
}

#: Keys of real files that change no value here.
IGNORED = frozenset(
    {
        *("is_gbk_input", "is_gbk_output", "is_op_thread_safe", "is_multi", "is_sequence", "group"),
        *("shared_name", "sequence_table", "sequence_column", "attribute_delim", "needWeighting"),
        *("operator_lib_file", "output_delim", "output_type"),
    }
)
_IGNORED_PREFIX = "embedding_"

#: Fields that records make of files, and that no key fills.
_MADE = frozenset({"stop_characters"})


def has_no_effect(key: str) -> bool:
    """Real files have the key, and it changes no value."""
    return key in IGNORED or key.startswith(_IGNORED_PREFIX)


def keys_of(record: type[FeatureType]) -> dict[str, Key]:
    """The keys that a type reads, as fg.json spells them: its fields, aliases, buckets and `feature_type`."""
    found = {"feature_type": Key("What computes the feature.")}
    for name in fields_of(record):
        found[name] = FIELDS.get(name, Key(""))
    found |= {alias: found[name] for alias, name in ALIASES.items() if name in found}
    if {"vocab_list", "vocab_dict", "vocab_file"} - set(record.refused_buckets):
        found |= DEFAULT_BUCKET
    taken = [key for key in bucketize.KEYS if key not in record.refused_buckets]
    return found | {key: BUCKETS[key] for key in taken} | SEQUENCE


def fields_of(record: type[FeatureType]) -> dict[str, Any]:
    """The fields that a record reads from fg.json, and their types."""
    types = field_types(record)
    fields = [f.name for f in dataclasses.fields(record) if f.name not in _MADE]
    return {name: types[name] for name in fields if _is_json(types[name])}


def takes_any_key(record: type[FeatureType]) -> bool:
    """The type hands its whole feature object on, to an operator that has keys of its own."""
    return any(f.name == "operator" for f in dataclasses.fields(record))


def _is_json(hint: Any) -> bool:
    return all(kind in (str, bool, int, float, type(None), Ellipsis) for kind in _leaves(hint))


def _leaves(hint: Any) -> Iterator[Any]:
    """The types that a hint is made of: of `tuple[str, ...] | None` str, Ellipsis and None."""
    parts = get_args(hint)
    if not parts:
        yield hint
    for part in parts:
        yield from _leaves(part)
