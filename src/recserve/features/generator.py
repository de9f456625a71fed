"""plan ──generator──▶ ModelInputs: the native plan, built once when a model is loaded.

One `Generator` serves many threads; `generate` releases the GIL once for all features, but for few rows.
"""

from __future__ import annotations

import pickle
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from recserve._core import FeaturePlan, Output, Side, Step, StepInput
from recserve.errors import ConfigError
from recserve.features.plan import FINISHED, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recserve._core import Kernel, Rules
    from recserve.columns import Batch, ModelInputs, RowFinisher
    from recserve.features.config import Feature, FeatureConfig
    from recserve.features.inputs import PlannedInput
    from recserve.features.plan import PlannedFeature, SequenceKey
    from recserve.messages import InputSchema

#: Why a cell was answered as missing, although it (or its column) should have been there.
PROBLEMS = ("unparsable_number", "missing_column")

_SIDES = {
    "user": Side.USER,
    "item": Side.ITEM,
    "context": Side.CONTEXT,
    "group": Side.GROUP,
    "const": Side.CONST,
    "feature": Side.FEATURE,
}


class Generator:
    """Generates the model's input tensors from raw columns, each feature at its own rate.

    `tile`: the model takes user features with one row, and `batch_size` (INPUT_TILE 2 or 3).
    `schema` types the columns that a request does not bring; without it they have the value_type of the
    feature that reads them. `equal_steps`: members of a sequence group that differ in length, unless a mask
    shortens them, are a RequestError of `generate`, since models lay them side by side. `texts`: outputs may
    be texts, which no model takes; then only columns are generated, no tensors. `only`: the features that
    have tensors, for a model that reads a part of them; None: all.

    What staging never changes: `generate` gives bit for bit what `generate_joined` gives for the same user
    and items written out as rows of a training table.
    """

    def __init__(
        self,
        config: FeatureConfig,
        *,
        tile: bool = False,
        schema: InputSchema | None = None,
        equal_steps: bool = False,
        texts: bool = False,
        only: frozenset[str] | None = None,
    ) -> None:
        self._made_of: tuple[FeatureConfig, dict[str, Any]] = (
            config,
            {"tile": tile, "schema": schema, "equal_steps": equal_steps, "texts": texts, "only": only},
        )
        self.plan = Plan(config, tile=tile)
        self._schema = schema
        self._equal_steps = equal_steps
        self._groups = {group.name: index for index, group in enumerate(config.groups)}
        self._parts = {f.name: native_parts(f, farm_hash=config.farm_hash) for f in config.features}
        self._features = {feature.name: feature for feature in config.features}
        self._steps = {name: index for index, name in enumerate(self.plan.order)}
        #: finished column → its step; element features stand behind all others
        self._kept = {f.finished: self._steps[f.name] for f in self.plan.features if f.finished}
        self._kept |= {column: len(self._steps) + k for k, column in enumerate(self.plan.elements)}
        self._outputs = [
            feature
            for feature in self.plan.features
            if feature.is_output and (only is None or feature.name in only)
        ]
        outputs = [] if texts else self._outputs
        #: group → its first output, which the others have to be as long as, those apart that a mask shortens
        self._firsts = {
            feature.feature.group.name: len(outputs) - 1 - k
            for k, feature in enumerate(reversed(outputs))
            if feature.feature.group is not None and not feature.shortened
        }
        self._native = FeaturePlan(
            self._native_steps(),
            [self._native_output(feature) for feature in outputs],
            [self._steps[feature.name] for feature in outputs],
            tile,
        )
        #: Finishes item rows: every column of `finished`.
        self.finisher: RowFinisher = self._native.finisher()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to other processes as the config, vocabularies included; each builds the plan once."""
        return _revived, (pickle.dumps(self._made_of),)

    def only(self, names: frozenset[str]) -> Generator:
        """One for a model that reads these features of the same plan, and no others."""
        config, options = self._made_of
        return Generator(config, **{**options, "only": names})

    def generate(
        self,
        user: Batch,
        context: Batch,
        raw: Batch,
        finished: Batch,
        clicked: Mapping[str, tuple[Batch, Batch]],
        *,
        rows: int,
        shared: bool = False,
    ) -> ModelInputs:
        """Generate for one user and `rows` candidates.

        `user` has one row; `context`, `raw` and `finished` (item columns as they are, and as the finisher
        made them) have `rows`, or one that stands for all. A finished column that is absent is computed from
        raw ones. `clicked` has for each sequence group the raw and finished rows of the items in the user's
        list. `shared`: user features have `rows` rows under `tile` too, and batch_size is 1, so that the
        inputs of several requests can be concatenated.
        """
        gathered = [clicked.get(group) for group in self._groups]
        return self._native.generate(user, context, raw, finished, gathered, rows, shared)

    def generate_joined(self, joined: Batch, *, strict: bool = False) -> ModelInputs:
        """Generate for rows of a training table: every feature on every row, nothing finished, nothing kept.

        Columns are named as in that table ("S__X" for the members of a sequence group). Under `tile` user
        features have all rows too, and batch_size is 1. `strict`: text that should be a number is a DataError
        rather than missing, or id 0 where a bucketizer wants the number.
        """
        return self._native.generate_joined(joined, strict)

    def generate_columns(
        self, joined: Batch, *, names: Sequence[str] | None = None, strict: bool = False
    ) -> Batch:
        """Generate for rows of a training table, and give each feature's final result as a column.

        `names` are features, stubs among them; None: the outputs. Ids are int64, texts strings, numbers of
        their value_type; rows without value are null or empty. A result that is the same for all rows may
        have one.
        """
        return self._native.columns_joined(joined, self._steps_of(names), strict)

    def generate_request_columns(
        self,
        user: Batch,
        context: Batch,
        raw: Batch,
        finished: Batch,
        clicked: Mapping[str, tuple[Batch, Batch]],
        *,
        rows: int,
        names: Sequence[str] | None = None,
    ) -> Batch:
        """Generate as `generate` does, but give columns as `generate_columns` does."""
        gathered = [clicked.get(group) for group in self._groups]
        return self._native.columns(user, context, raw, finished, gathered, rows, self._steps_of(names))

    def time_steps(
        self,
        user: Batch,
        context: Batch,
        raw: Batch,
        finished: Batch,
        clicked: Mapping[str, tuple[Batch, Batch]],
        *,
        rows: int,
        names: Sequence[str],
    ) -> list[int]:
        """Nanoseconds that each of `names` takes in a call like that of `generate`.

        They are features and finished columns (of element features); what one reads stands before it, or is
        counted with it.
        """
        gathered = [clicked.get(group) for group in self._groups]
        steps = [self._steps[name] if name in self._steps else self._kept[name] for name in names]
        return self._native.time_steps(user, context, raw, finished, gathered, rows, steps)

    def generate_checked(
        self, joined: Batch, *, names: Sequence[str] | None = None
    ) -> tuple[Batch, dict[int, str]]:
        """Generate as `generate_columns` does, and say of each row that could not be read whole why not.

        Row → a message that names feature, column and value, of the first feature that could not read it.
        """
        columns, failures = self._native.columns_and_failures(joined, self._steps_of(names))
        return columns, {row: message.decode(errors="backslashreplace") for row, message in failures}

    def _steps_of(self, names: Sequence[str] | None) -> list[int]:
        if names is None:
            names = [feature.name for feature in self.plan.features if feature.is_output]
        return [self._steps[name] for name in names]

    @property
    def finished(self) -> Mapping[str, frozenset[str]]:
        """Finished columns → the raw item columns that each is made of."""
        return self.plan.finished

    @property
    def finished_types(self) -> Mapping[str, str]:
        """Finished columns → types, as an InputSchema writes them; `float32[D]` has D values in every row."""
        return {column: self._type_of(column) for column in self.finished}

    @property
    def finished_limits(self) -> Mapping[str, int]:
        """Finished columns of ids → what all their ids are below, where that is known."""
        limits = {column: self._parts[self._maker_of(column)][1].size for column in self.finished}
        return {column: limit for column, limit in limits.items() if limit > 0}

    @property
    def raw_columns(self) -> frozenset[str]:
        """Raw item columns that the plan reads: what the row store keeps."""
        return self.plan.raw_columns

    @property
    def pair_columns(self) -> frozenset[str]:
        """Raw item columns that every request needs."""
        return self.plan.pair_columns

    @property
    def sequence_keys(self) -> Mapping[str, SequenceKey]:
        """What to gather for each sequence group."""
        return self.plan.sequence_keys

    @property
    def tensors(self) -> Mapping[str, tuple[str, int]]:
        """Input tensors of the model → dtype and rank, in the order they are laid out in."""
        ints = dict.fromkeys(self._native.int_names, ("int64", 1))
        widths = zip(self._native.float_names, self._native.float_widths, strict=True)
        return ints | {name: ("float32", 2 if width else 1) for name, width in widths}

    @property
    def widths(self) -> Mapping[str, int]:
        """Dense tensors → how many numbers a row, or a step, has."""
        names = zip(self._native.float_names, self._native.float_widths, strict=True)
        return {name: width for name, width in names if width}

    @property
    def sequences(self) -> Mapping[str, Sequence[str]]:
        """Sequence groups → their features in the model that have equally many steps."""
        found: dict[str, list[str]] = {}
        for feature in self.plan.features:
            group = feature.feature.group
            if feature.is_output and group is not None and not feature.shortened:
                found.setdefault(group.name, []).append(feature.name)
        return found

    @property
    def per_item(self) -> Mapping[str, bool]:
        """Features in the model → whether they have a row per item under INPUT_TILE, or one for the user."""
        return {feature.name: not feature.is_user for feature in self._outputs}

    @property
    def id_limits(self) -> Mapping[str, int]:
        """Output features with ids → what all their ids are below, where that is known."""
        sizes = {f.name: self._parts[f.name][1].size for f in self.plan.features if f.is_output}
        return {name: size for name, size in sizes.items() if size > 0}

    @property
    def counters(self) -> dict[str, int]:
        """What was answered as missing since the start: unparsable numbers, and columns that did not come."""
        counts = self.counters_by_feature
        return {f"{kind}s": sum(n for (_, k), n in counts.items() if k == kind) for kind in PROBLEMS}

    @property
    def counters_by_feature(self) -> dict[tuple[str, str], int]:
        """The same by feature and kind, `unparsable_number` or `missing_column`, without the zeros."""
        counts: Counter[tuple[str, str]] = Counter()
        for step, kind, count in self._native.problems:
            counts[self.plan.elements.get(step, step), kind] += count
        return dict(counts)

    def _native_steps(self) -> list[Step]:
        planned = {feature.name: feature for feature in self.plan.features}
        steps = [self._native_step(planned[name]) for name in self.plan.order]
        for column, name in self.plan.elements.items():
            kernel, rules = self._parts[name]
            inputs = [self._native_input(planned[name], i, element=True) for i in planned[name].inputs]
            steps.append(Step(name=column, kernel=kernel, rules=rules, inputs=inputs, finished=column))
        return steps

    def _native_step(self, feature: PlannedFeature) -> Step:
        kernel, rules = self._parts[feature.name]
        return Step(
            name=feature.name,
            kernel=kernel,
            rules=rules,
            inputs=[self._native_input(feature, source) for source in feature.inputs],
            delimiter=feature.feature.delimiter,
            length=feature.feature.length,
            broadcast=feature.feature.type.cuts_every_input,
            finished=feature.finished,
            element=self._kept[feature.element] if feature.element else -1,
            constant=feature.rate == "const",
            every_row=feature.random and feature.rate == "pair",
        )

    def _native_input(
        self, feature: PlannedFeature, source: PlannedInput, *, element: bool = False
    ) -> StepInput:
        """Describe an input; that of an `element` feature is a cell of the item row itself."""
        if element and source.source == "group":
            return StepInput(side=Side.ITEM, name=source.name)
        return StepInput(
            side=_SIDES[source.source],
            name=source.name,
            joined=source.joined,
            producer=self._steps[source.name] if source.source == "feature" else -1,
            group=self._groups[feature.feature.group.name]
            if source.source == "group" and feature.feature.group is not None
            else -1,
            sequence=source.sequence,
            absent_type=self._absent_type(feature, source),
        )

    def _absent_type(self, feature: PlannedFeature, source: PlannedInput) -> str:
        declared: Mapping[str, str] = {}
        if self._schema is not None and source.source in ("user", "context", "item"):
            declared = getattr(self._schema, source.source)
        return declared.get(source.name, feature.feature.type.absent_type())

    def _native_output(self, feature: PlannedFeature) -> Output:
        record, group = feature.feature.type, feature.feature.group
        refuse_texts(feature.feature)
        beside = self._equal_steps and not feature.shortened
        kinds = {
            (False, False): Output.Kind.DENSE,
            (False, True): Output.Kind.SPARSE,
            (True, False): Output.Kind.SEQUENCE_DENSE,
            (True, True): Output.Kind.SEQUENCE_SPARSE,
        }
        return Output(
            name=feature.name,
            kind=kinds[feature.feature.is_sequence, record.sparse],
            width=max(1, record.width),
            weighted=record.is_weighted,
            keyed=record.value_dim != 1,
            once=feature.is_user,
            beside=self._firsts[group.name] if beside and group is not None else -1,
        )

    def _maker_of(self, column: str) -> str:
        """The feature that a finished column is made by; it may hold elements of its sequence."""
        return self.plan.elements.get(column, column.removeprefix(FINISHED))

    def _type_of(self, column: str) -> str:
        """The type of a finished column: what the native sink makes of it."""
        feature = self._features[self._maker_of(column)]
        record, rules = feature.type, self._parts[feature.name][1]
        in_sequence = feature.is_sequence and column not in self.plan.elements
        numbers = {"double": "float64", "int": "int64"}
        value = "string" if record.discrete else numbers.get(record.value_type, "float32")
        if record.bucketized:
            value = "int64"
        if not record.sparse and record.width > 1:
            return f"list<list<{value}>>" if in_sequence else f"{value}[{record.width}]"
        if record.is_weighted:
            return f"map<{value},float32>"
        row = value if rules.single or not record.sparse else f"list<{value}>"
        return f"list<{row}>" if in_sequence else row


@lru_cache(maxsize=4)
def _revived(made_of: bytes) -> Generator:
    config, options = pickle.loads(made_of)
    return Generator(config, **options)


def native_parts(feature: Feature, *, farm_hash: bool) -> tuple[Kernel, Rules]:
    """Build the native half of a feature: formulas, default and buckets are checked by it."""
    with feature.named_errors():
        kernel = feature.type.kernel(sequence=feature.is_sequence)
        rules = feature.type.rules(sequence=feature.is_sequence, farm_hash=farm_hash)
        return kernel, rules if feature.bucketize else rules.without_bucketizer()


def refuse_texts(feature: Feature) -> None:
    """Refuse an output that is no tensor."""
    if (feature.type.discrete and not feature.type.bucketized) or not feature.bucketize:
        raise ConfigError(
            f"feature '{feature.name}' ({feature.feature_type}): its results are texts, and a model takes "
            "ids; give it a bucketizer (hash_bucket_size, num_buckets, vocab_list, ...) or stub_type true"
        )
