"""Random configs with the data of one request: `case(seed)`; everything that the specification allows."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.features.referee.evaluate import Request, Table
from tests.features.referee.random_columns import Columns
from tests.features.referee.random_data import NUMBER_LISTS, SCALAR_NUMBERS, WORDS
from tests.features.referee.random_formulas import formula, reduction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Spec = dict[str, Any]

DISCRETE_DEFAULTS = ("", "", "0", "a", "1|2", "中文")
NUMBER_DEFAULTS = ("", "", "0", "1.5", "-3", "0.1")
BOUNDARIES = ([0.0], [-1.0, 0.1, 0.3, 2.5], [1, 2, 3, 100], [0.5], [-1e30, 0.0, 1e30])
NORMALIZERS = (
    "method=log10",
    "method=log10,threshold=0.5,default=-1",
    "method=log10,threshold=1e-6,default=-10",
    "method=zscore,mean=0.1,standard_deviation=0.3",
    "method=zscore,mean=2,standard_deviation=10.5",
    "method=minmax,min=0.1,max=7.3",
    "method=minmax,min=-1,max=100",
    "method=expression,expr=sign(x)",
    "method=expression,expr=x * 0.1 + max(x, 2)",
    "method=expression,expr=log(1 + abs(x))",
)
COMBINERS = ("sum", "sum", "mean", "avg", "min", "max", "count", "gap_min", "gap_max", "")


@dataclass
class Case:
    """One request against one config and one item table; `files` lie beside fg.json."""

    fg: Spec
    table: Table
    request: Request
    files: dict[str, str] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()  # columns that are null because they do not come at all
    farm_hash: bool = False


@dataclass(frozen=True)
class _Source:
    """A feature that others may read."""

    name: str
    sequence: bool
    numeric: bool


def case(seed: int) -> Case:
    """The case of a seed, always the same."""
    rng = random.Random(seed)
    int_keys = rng.random() < 0.3
    keys = [str(100 + at) if int_keys else f"i{at}" for at in range(rng.randint(0, 6))]
    rows = 0 if rng.random() < 0.02 else rng.randint(1, 6)
    columns = Columns(rng, keys, rows)
    files: dict[str, str] = {}
    features: list[Spec] = []
    sources: list[_Source] = []
    for _ in range(rng.randint(1, 5)):
        drawing = _Features(rng, columns, files, sources)
        features.append(drawing.group(int_keys) if rng.random() < 0.3 else drawing.feature())
    rng.shuffle(features)
    ids = [rng.choice([*keys, *keys, "7"]) for _ in range(rows)]
    item_features = columns.overrides(rng.choice((0.0, 0.0, 0.4)))
    item_types = {name: columns.types[name] for name in columns.items}
    request = Request(columns.user, columns.context, ids, item_features, columns.types)
    table = Table(keys, columns.items, item_types)
    fg: Spec = {"features": features, **({"reserves": ["x"]} if rng.random() < 0.1 else {})}
    return Case(fg, table, request, files, frozenset(columns.absent), rng.random() < 0.1)


class _Features:
    """Draws one top-level entry of fg.json."""

    def __init__(
        self, rng: random.Random, columns: Columns, files: dict[str, str], sources: list[_Source]
    ) -> None:
        self.rng = rng
        self.columns = columns
        self.files = files
        self.sources = sources
        self.group_name = ""
        self.delimiter = rng.choice((";", ";", "#", "<>"))
        self.sequence = False  # of the feature being drawn
        self.inputs: list[tuple[str, bool]] = []  # its input references, and whether they are sequences

    def feature(self) -> Spec:
        """A plain feature, or a stand-alone sequence."""
        self.sequence = self.rng.random() < 0.25
        spec = self._draw()
        if self.sequence:
            spec["feature_type"] = f"sequence_{spec['feature_type']}"
            spec |= self._sequence_keys()
        return spec

    def group(self, int_keys: bool) -> Spec:
        """A sequence group with one to four members."""
        self.sequence, self.group_name = True, f"s{len(self.sources)}_{self.rng.randint(0, 999)}"
        spec: Spec = {"sequence_name": self.group_name, **self._sequence_keys()}
        pk = self.group_name
        if self.rng.random() < 0.7:
            pk = f"pk_{self.group_name}"
            spec["sequence_pk"] = f"user:{pk}"
        self.columns.clicks(pk, self.delimiter, int_keys=int_keys)
        spec["features"] = [self._draw() for _ in range(self.rng.randint(1, 4))]
        return spec

    def _sequence_keys(self) -> Spec:
        spec: Spec = {}
        if self.delimiter != ";" or self.rng.random() < 0.5:
            spec["sequence_delim"] = self.delimiter
        if self.rng.random() < 0.6:
            spec["sequence_length"] = self.rng.choice((0, 1, 2, 3, 10))
        return spec

    def _draw(self) -> Spec:
        kinds: tuple[Callable[[], Spec], ...] = (
            *(self._id, self._raw, self._combo),
            *(self._lookup, self._match, self._expr),
        )
        self.inputs = []
        spec = {"feature_name": f"f{len(self.sources)}", **self.rng.choice(kinds)()}
        if not self._name_sequences(spec):
            return self._draw()
        if self.rng.random() < 0.3:
            spec.setdefault("separator", self.rng.choice(("\x1d", "|", ",")))
        if self.rng.random() < 0.1:
            spec |= {"group": "g", "embedding_dim": 16, "is_multi": True, "needWeighting": False}
        name = f"{self.group_name}__{spec['feature_name']}" if self.group_name else spec["feature_name"]
        self.sources.append(_Source(name, self.sequence, spec.pop("numeric")))
        return spec

    # Inputs

    def _input(self, kind: str, *, sequence: bool | None = None, types: Sequence[str] = ()) -> str:
        """One more input; in a sequence feature the first is a sequence, the others may be."""
        if sequence is None:
            sequence = self.sequence and (not self.inputs or self.rng.random() < 0.4)
        reference = self._edge(kind, sequence=sequence) if not types else None
        if reference is None and kind == "word" and not sequence and self.rng.random() < 0.1:
            reference = f"const:{self.rng.choice(WORDS)}"
        if reference is None and sequence:
            reference = self.columns.sequence(kind, self.delimiter, self.group_name)
        taken = [other.split(":", 1)[1] for other, _ in self.inputs]
        if reference is None or reference.split(":", 1)[1] in taken:
            reference = self.columns.plain(kind, taken=taken, types=types)
            sequence = False
        self.inputs.append((reference, sequence))
        return reference

    def _edge(self, kind: str, *, sequence: bool) -> str | None:
        """A `feature:` input now and then, where what the producer yields can be read as the kind."""
        fitting = [
            source
            for source in self.sources
            if (kind == "word" or (kind in ("number", "scalar") and source.numeric))
            and source.sequence == ((self.sequence and sequence) or (not self.sequence and source.sequence))
        ]
        if not fitting or self.rng.random() < 0.7:
            return None
        source = self.rng.choice(fitting)
        sibling = source.name.removeprefix(f"{self.group_name}__")
        if self.group_name and sibling != source.name and self.rng.random() < 0.5:
            return f"feature:{sibling}"
        return f"feature:{source.name}"

    def _name_sequences(self, spec: Spec) -> bool:
        """Name the sequence inputs, unless the rules without `sequence_fields` find the same.

        False when neither can be done: in a group, a feature named in full cannot be listed (7.3).
        """
        if not self.sequence:
            return True
        listed = [reference for reference, sequence in self.inputs if sequence]
        edges = {text.removeprefix("feature:") for text in listed if text.startswith("feature:")}
        prefix = f"{self.group_name}__"
        siblings = {
            source.name.removeprefix(prefix) for source in self.sources if source.name.startswith(prefix)
        }
        plain = [pair for pair in self.inputs if not pair[0].startswith("feature:")]
        implied = "expression" in spec and isinstance(spec["expression"], str) and "variables" not in spec
        implied = implied or all(text.startswith("item:") == sequence for text, sequence in plain)
        if self.group_name and edges - siblings:
            return implied and not edges & siblings
        implied = implied and not edges
        if not implied or self.rng.random() < 0.3:
            spec["sequence_fields"] = [text.split(":", 1)[1] for text in listed]
        return True

    # Types

    def _id(self) -> Spec:
        spec: Spec
        if not self.sequence and self.rng.random() < 0.1:
            number = self._input("number", types=SCALAR_NUMBERS + NUMBER_LISTS)
            spec = {
                "feature_type": "id_feature",
                "expression": number,
                "boundaries": self.rng.choice(BOUNDARIES),
            }
            return spec | {"numeric": False, "default_value": self.rng.choice(NUMBER_DEFAULTS)}
        weighted = not self.sequence and self.rng.random() < 0.2
        kind = "weighted" if weighted else self.rng.choice(("word", "word", "integer", "weighted"))
        kind = "word" if kind == "weighted" and self.sequence else kind
        spec = {"feature_type": "id_feature", "expression": self._input(kind)}
        spec |= {"weighted": True} if weighted else {}
        return spec | self._discrete(kind) | self._value_dim((0, 1, 1, 2))

    def _raw(self) -> Spec:
        spec: Spec = {"feature_type": "raw_feature", "expression": self._input("number")}
        width = self.rng.choice((1, 1, 1, 0, 2, 3))
        if width != 1:
            spec["value_dim"] = width
        if self.rng.random() < 0.4:
            spec["normalizer"] = self.rng.choice(NORMALIZERS)
        return spec | self._numeric(width)

    def _combo(self) -> Spec:
        inputs = [self._input("word") for _ in range(self.rng.choice((2, 2, 3)))]
        spec: Spec = {"feature_type": "combo_feature", "expression": inputs}
        return spec | self._discrete("word", numbers=False) | self._value_dim((0, 0, 1, 2))

    def _lookup(self) -> Spec:
        numeric = self.rng.random() < 0.5
        key_first = self.sequence and self.rng.random() < 0.7
        kind = "number pairs" if numeric else self.rng.choice(("pairs", "number pairs"))
        if key_first:
            key = self._input("word", sequence=True)
            table = self._input(kind, sequence=False)
        else:
            table = self._input(kind, sequence=False if not self.sequence else None)
            key = self._input("word")
        spec: Spec = {"feature_type": "lookup_feature", "map": table, "key": key}
        if not numeric:
            spec["needDiscrete"] = True
            bucketized = self._discrete("word")
            if "num_buckets" not in bucketized and self.rng.random() < 0.4:
                spec["needKey"] = True
            dims = (0, 2) if self.sequence else (0, 1, 2)
            return spec | bucketized | {"value_dim": self.rng.choice(dims)}
        spec |= self.rng.choice(({"needDiscrete": False}, {"need_discrete": False}, {}))
        if self.rng.random() < 0.8:
            spec["combiner"] = self.rng.choice(COMBINERS)
        if self.rng.random() < 0.3:
            spec["normalizer"] = self.rng.choice(NORMALIZERS)
        return spec | self._numeric(1) | {"value_dim": self.rng.choice((0, 1)) if not self.sequence else 0}

    def _match(self) -> Spec:
        numeric = self.rng.random() < 0.4
        wild = self.rng.choice(("", "", "category", "item", "both"))
        spec: Spec = {"feature_type": "match_feature"}
        nested = "number nested" if numeric else "nested"
        if wild != "both":
            first = "item" if wild == "category" else "category"
            spec[first] = self._input("word", sequence=self.sequence)
            if not wild:
                spec["item"] = self._input("word")
            spec["user"] = self._input(nested, sequence=False)
        else:
            spec["user"] = self._input(nested, sequence=self.sequence)
        spec |= {"category": spec.get("category", "ALL"), "item": spec.get("item", "ALL")}
        spec |= self.rng.choice(({"matchType": "multihit"}, {"matchType": "hit"}, {"match_type": "hit"}, {}))
        if numeric:
            spec["needDiscrete"] = False
            if self.rng.random() < 0.3:
                spec["normalizer"] = self.rng.choice(NORMALIZERS)
            return (
                spec | self._numeric(1) | {"value_dim": self.rng.choice((0, 1)) if not self.sequence else 0}
            )
        for key in ("needDiscrete", "show_category", "show_item", "need_prefix"):
            if self.rng.random() < 0.4:
                spec[key] = key == "needDiscrete" or self.rng.random() < 0.5
        return spec | self._discrete("word", prefix=False) | self._value_dim((0, 0, 1, 2))

    def _expr(self) -> Spec:
        reduces = not self.sequence and self.rng.random() < 0.25
        kind = "number" if reduces or self.rng.random() < 0.3 else "scalar"
        variables = [
            self._input(kind, types=()) for _ in range(self.rng.choice((1, 2) if reduces else (1, 2, 3)))
        ]
        names = [reference.split(":", 1)[1] for reference in variables]
        text = reduction(self.rng, names) if reduces else formula(self.rng, names)
        spec: Spec = {"feature_type": "expr_feature", "expression": text, "variables": variables}
        if self.rng.random() < 0.3:
            spec["fill_missing"] = self.rng.choice((0, 1.5, -1))
        if self.rng.random() < 0.1:
            spec["normalizer"] = self.rng.choice(NORMALIZERS)
        numeric = self._numeric(1, vocabulary=False)
        return spec | numeric | self._value_dim((0, 1, 1, 2))

    # Keys that types share

    def _value_dim(self, choices: Sequence[int]) -> Spec:
        key = self.rng.choice(("value_dim", "value_dim", "value_dimension"))
        return {key: self.rng.choice(choices)} if self.sequence or self.rng.random() < 0.6 else {}

    def _discrete(self, kind: str, *, numbers: bool = True, prefix: bool = True) -> Spec:
        """Bucketizer, default and prefix of a feature that yields tokens; a stub may have no bucketizer."""
        defaults = [text for text in DISCRETE_DEFAULTS if text or not self.sequence]
        spec: Spec = {"numeric": False, "default_value": self.rng.choice(defaults)}
        drawn = self.rng.random()
        if drawn < 0.2:
            return spec | {"stub_type": True}
        if drawn < 0.5 or (not numbers and drawn < 0.7):
            spec["hash_bucket_size"] = self.rng.choice((1, 10, 1000, 1000003, 2**63 - 1))
        elif drawn < 0.7 and (kind == "integer" or self.rng.random() < 0.2):
            integers = ("", "0", "3", "999", "-1") if not self.sequence else ("0", "3", "999", "-1")
            return spec | {
                "num_buckets": self.rng.choice((1, 10, 101)),
                "default_value": self.rng.choice(integers),
            }
        else:
            spec |= self._vocabulary()
        if prefix and self.rng.random() < 0.2:
            spec["need_prefix"] = True
        return spec

    def _vocabulary(self) -> Spec:
        words = [self.rng.choice((*WORDS, "a_b", "<OOV>")) for _ in range(self.rng.randint(1, 10))]
        spec: Spec = (
            {"default_bucketize_value": self.rng.choice((0, 1, 7))} if self.rng.random() < 0.7 else {}
        )
        drawn = self.rng.random()
        if drawn < 0.4:
            return spec | {"vocab_list": words}
        if drawn < 0.7:
            return spec | {"vocab_dict": {word: self.rng.randint(0, 20) for word in words}}
        name = f"vocab_{len(self.files)}.txt"
        words = [word.replace(" ", "_") for word in words]
        if self.rng.random() < 0.5:
            words = [f"{word} {self.rng.randint(0, 20)}" for word in words]
        self.files[name] = self.rng.choice(("\n", "\r\n")).join(words) + self.rng.choice(("", "\n"))
        return spec | {"vocab_file": name}

    def _numeric(self, width: int, *, vocabulary: bool = True) -> Spec:
        """Bucketizer, default and value_type of a feature that yields numbers."""
        default = self.rng.choice([text for text in NUMBER_DEFAULTS if text or not self.sequence])
        separator = {}
        if width > 1 and default and self.rng.random() < 0.5:
            separator = {"separator": self.rng.choice(("\x1d", ",", "|"))}
            default = separator["separator"].join([default] * width)
        spec: Spec = {"numeric": True, "default_value": default, **separator}
        if self.rng.random() < 0.2:
            spec["value_type"] = self.rng.choice(("float", "Double", "double", "int64", "Integer", "int32"))
        drawn = self.rng.random()
        if drawn < 0.3:
            spec["boundaries"] = self.rng.choice(BOUNDARIES)
        elif drawn < 0.4:
            spec["num_buckets"] = self.rng.choice((1, 10, 101))
        elif drawn < 0.5:
            spec["hash_bucket_size"] = self.rng.choice((10, 1000, 2**63 - 1))
        elif drawn < 0.55 and vocabulary:
            spec |= self._vocabulary()
        if self.rng.random() < 0.15:
            spec["stub_type"] = True
        return spec
