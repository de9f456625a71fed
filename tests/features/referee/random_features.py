"""One random entry of fg.json: its inputs, whether they are sequences, and the keys that types share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.features.referee.random_data import WORDS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from tests.features.referee.random_columns import Columns

Spec = dict[str, Any]

DISCRETE_DEFAULTS = ("", "", "0", "a", "1|2", "中文")
NUMBER_DEFAULTS = ("", "", "0", "1.5", "-3", "0.1")
NUMERIC_KINDS = ("number", "scalar", "mask", "one mask")
BOUNDARIES = ([0.0], [-1.0, 0.1, 0.3, 2.5], [1, 2, 3, 100], [0.5], [-1e30, 0.0, 1e30])


@dataclass(frozen=True)
class Source:
    """A feature that others may read."""

    name: str
    sequence: bool
    numeric: bool


class Features:
    """Draws one top-level entry of fg.json."""

    def __init__(
        self,
        rng: random.Random,
        columns: Columns,
        files: dict[str, str],
        sources: list[Source],
        draw_type: Callable[[Features], Spec],
    ) -> None:
        self.rng = rng
        self.columns = columns
        self.files = files
        self.sources = sources
        self._draw_type = draw_type
        self.group_name = ""
        self.delimiter = rng.choice((";", ";", "#", "<>"))
        self.sequence = False  # of the feature being drawn
        self.inputs: list[tuple[str, bool]] = []  # its input references, and whether they are sequences

    def feature(self) -> Spec:
        """A plain feature, or a stand-alone sequence."""
        self.sequence = self.rng.random() < 0.25
        spec = self._draw()
        if self.sequence:
            spec |= self._sequence_form(spec["feature_type"])
        return spec

    def _sequence_form(self, feature_type: str) -> Spec:
        """The keys of a stand-alone sequence (7.4)."""
        keys = self._sequence_keys()
        if feature_type in ("custom_feature", "regex_replace_feature"):
            return {"is_sequence": True, **keys}
        if feature_type == "bool_mask_feature" and self.rng.random() < 0.2:
            return {**keys, "sequence_delim": self.delimiter}
        return {"feature_type": f"sequence_{feature_type}", **keys}

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
        self.inputs = []
        spec = {"feature_name": f"f{len(self.sources)}", **self._draw_type(self)}
        if not self._name_sequences(spec):
            return self._draw()
        if self.rng.random() < 0.3:
            spec.setdefault("separator", self.rng.choice(("\x1d", "|", ",")))
        if self.rng.random() < 0.1:
            spec |= {"group": "g", "embedding_dim": 16, "is_multi": True, "needWeighting": False}
        name = f"{self.group_name}__{spec['feature_name']}" if self.group_name else spec["feature_name"]
        self.sources.append(Source(name, self.sequence, spec.pop("numeric")))
        return spec

    # Inputs

    def input(self, kind: str, *, sequence: bool | None = None, types: Sequence[str] = ()) -> str:
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
            if (kind == "word" or (kind in NUMERIC_KINDS and source.numeric))
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

    # Keys that types share

    def value_dim(self, choices: Sequence[int]) -> Spec:
        key = self.rng.choice(("value_dim", "value_dim", "value_dimension"))
        return {key: self.rng.choice(choices)} if self.sequence or self.rng.random() < 0.6 else {}

    def discrete(self, kind: str, *, numbers: bool = True, prefix: bool = True) -> Spec:
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

    def numeric(self, width: int, *, vocabulary: bool = True) -> Spec:
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
