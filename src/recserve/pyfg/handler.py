"""FgArrowHandler: Arrow columns of a training batch → the arrays of its features.

One plan per hash, built when it is first needed; `process_arrow` calls it once per share of the rows.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from recserve.columns import batch_from_arrow, to_arrow
from recserve.config.document import parse_json, read_json
from recserve.config.environment import environment, process_environ, put
from recserve.errors import DataError, RecserveError
from recserve.features import config
from recserve.features.bucketize_only import bucketize_only as bucketizers_of
from recserve.features.generator import Generator
from recserve.features.plan import Plan
from recserve.pyfg.outputs import FeatureOutput, outputs_of, texts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from recserve.features.config import Feature, FeatureConfig

#: A share of a batch has at least so many rows: below, handing it to a thread costs more than it saves.
SHARE_ROWS = 256


def set_env(name: str, value: str) -> None:
    """Set a variable of this process, such as USE_FARM_HASH_TO_BUCKETIZE, for the next batch."""
    put(name, value)


def unset_env(name: str) -> None:
    """Remove a variable of this process."""
    put(name, None)


@dataclass(frozen=True, slots=True)
class Status:
    """How a batch went."""

    error: str = ""

    def ok(self) -> bool:
        """The outputs are there."""
        return not self.error

    def message(self) -> str:
        """The feature, the column and the value that stopped the batch; "" when nothing did."""
        return self.error


class FgArrowHandler:
    """Generates the features of one fg.json.

    `fg_json` is its content, its text or its path; files that it names are relative to the path's folder, or
    else to the working directory. `threads` share the rows of a batch; their number never changes a byte of
    the result. `bucketize_only`: the columns are the features themselves, before their bucketizers.

    A wrong fg.json is a ConfigError here. A batch that cannot be processed is told by its Status. Handlers
    may be pickled, and used by the children of a fork.
    """

    def __init__(
        self,
        fg_json: Mapping[str, Any] | str | os.PathLike[str],
        threads: int = 1,
        bucketize_only: bool = False,
    ) -> None:
        content, folder = _read(fg_json)
        self._arguments = (content, folder, threads, bucketize_only)
        self._build()

    def _build(self) -> None:
        content, folder, threads, bucketize_only = self._arguments
        read = config.load(content, folder=folder, anywhere=True)
        self._plan = Plan(read, tile=False)  # what fg.json says of itself, whatever the columns hold
        read = bucketizers_of(read) if bucketize_only else read
        self._config, self._texts = _split_texts(_keep_all_values(read))
        self._generators: dict[bool, Generator] = {}
        self._threads = max(1, threads)
        self._executor: ThreadPoolExecutor | None = None
        self._executor_process = 0
        plan = self._generator().plan
        self._outputs = [feature for feature in plan.features if feature.is_output]
        made = {feature.name for feature in self._outputs} | set(self._texts)
        self._reads = _columns_read(plan, [f.name for f in plan.features if f.name in made])
        self._columns = frozenset().union(*self._reads.values())

    # -- generation -----------------------------------------------------------------------------------------

    def process_arrow(self, data: Mapping[str, pa.Array]) -> tuple[dict[str, FeatureOutput], Status]:
        """Generate every output feature, by name; nothing, and why, when the batch cannot be processed.

        Columns may have different numbers of rows (a sampler adds candidates to the item columns only): a
        feature has as many as the columns that it reads, of which those of one row stand for all others.
        Columns that no feature reads are ignored.
        """
        try:
            return self._process({name: data[name] for name in self._columns if name in data}), Status()
        except (RecserveError, pa.ArrowInvalid) as error:
            return {}, Status(str(error))

    def __call__(self, data: Mapping[str, Sequence[Any]]) -> tuple[dict[str, list[Any]], Status]:
        """Generate from plain lists: each feature is a list of rows, and a row a list of values.

        A row of a feature that has one value at most is an array of it, or None. Source: what TorchEasyRec's
        tests expect of `fg_encoded_default_value`, which works with an array where a number would not do.
        """
        outputs, status = self.process_arrow({name: pa.array(values) for name, values in data.items()})
        single = {f.name for f in self._outputs if f.feature.type.width == 1 or f.feature.type.value_dim == 1}
        return {name: _listed(output.rows(), name in single) for name, output in outputs.items()}, status

    def reset_executor(self) -> None:
        """Stop the threads; the next batch that wants some starts new ones."""
        if self._executor is not None and self._executor_process == os.getpid():
            self._executor.shutdown(wait=False)
        self._executor = None

    def _process(self, arrays: dict[str, pa.Array]) -> dict[str, FeatureOutput]:
        self._check_columns(arrays)
        counts = {name: len(array) for name, array in arrays.items()}
        rows = max(counts.values(), default=0)
        rows_of = {name: _rows(name, columns, counts, rows) for name, columns in self._reads.items()}
        arrays = {name: _padded(array, rows) for name, array in arrays.items()}
        generator = self._generator()
        shares = list(self._shares(arrays, rows))
        if len(shares) == 1:
            parts = [self._generate(generator, shares[0])]
        else:
            parts = list(self._pool().map(lambda share: self._generate(generator, share), shares))
        outputs = {name: FeatureOutput.joined([part[name] for part in parts]) for name in rows_of}
        return {n: o if rows_of[n] == rows else o.first(rows_of[n]) for n, o in outputs.items()}

    def _generate(self, generator: Generator, arrays: Mapping[str, pa.Array]) -> dict[str, FeatureOutput]:
        batch = batch_from_arrow(arrays)
        outputs = outputs_of(generator.generate_joined(batch, strict=True), self._outputs)
        if self._texts:
            columns = generator.generate_columns(batch, names=self._texts, strict=True)
            outputs |= {name: texts_of(to_arrow(columns[name]), batch.rows) for name in self._texts}
        return outputs

    def _check_columns(self, arrays: Mapping[str, pa.Array]) -> None:
        if arrays.keys() == self._columns:
            return
        for feature, columns in self._reads.items():
            for name in sorted(columns - arrays.keys()):
                raise DataError(f"feature '{feature}' reads column '{name}', which the batch does not have")

    def _shares(self, arrays: Mapping[str, pa.Array], rows: int) -> Iterator[Mapping[str, pa.Array]]:
        """The batch, cut between rows into one part per thread; columns of one row are in every part."""
        count = max(1, min(self._threads, rows // SHARE_ROWS))
        if count == 1:
            yield arrays
            return
        ends = [rows * k // count for k in range(count + 1)]
        for start, end in itertools.pairwise(ends):
            yield {n: a if len(a) == 1 else a.slice(start, end - start) for n, a in arrays.items()}

    def _pool(self) -> ThreadPoolExecutor:
        if self._executor is None or self._executor_process != os.getpid():  # threads do not survive a fork
            self._executor = ThreadPoolExecutor(self._threads, "recserve-pyfg")
            self._executor_process = os.getpid()
        return self._executor

    def _generator(self) -> Generator:
        """The generator for the hash that the environment asks for now."""
        farm_hash = environment(process_environ(), {}).farm_hash
        if farm_hash not in self._generators:
            self._generators[farm_hash] = Generator(dataclasses.replace(self._config, farm_hash=farm_hash))
        return self._generators[farm_hash]

    def __getstate__(self) -> object:
        return self._arguments

    def __setstate__(self, state: Any) -> None:
        self._arguments = state
        self._build()

    # -- what fg.json says ----------------------------------------------------------------------------------

    def user_inputs(self) -> set[str]:
        """User columns, named as in a training table, and the key columns of sequence groups."""
        return set(self._plan.user_inputs)

    def item_inputs(self) -> set[str]:
        """Item columns, named as in a training table ("S__X" in group S)."""
        return set(self._plan.item_inputs)

    def context_inputs(self) -> set[str]:
        """Context columns."""
        return set(self._plan.context_inputs)

    def user_features(self) -> set[str]:
        """Features that are the same for all candidates of a request."""
        return {feature.name for feature in self._plan.features if feature.is_user}

    def sequence_feature_to_name(self) -> dict[str, str]:
        """Members of sequence groups → their group."""
        return {f.name: f.feature.group.name for f in self._plan.features if f.feature.group is not None}

    def sequence_feature_pks(self) -> dict[str, str]:
        """Sequence groups → the user column that lists their items."""
        return {group.name: group.key for group in self._plan.config.groups}

    def sequence_input_to_name(self) -> dict[str, str]:
        """Columns that a group's members read as sequences → the group."""
        return {
            source.joined: feature.feature.group.name
            for feature in self._plan.features
            if feature.feature.group is not None
            for source in feature.inputs
            if source.sequence and source.source in ("user", "group", "context")
        }


def _listed(rows: list[NDArray[Any]], single: bool) -> list[Any]:
    if single:
        return [row if len(row) else None for row in rows]
    return [row.tolist() for row in rows]


def _read(fg_json: Mapping[str, Any] | str | os.PathLike[str]) -> tuple[Mapping[str, Any], Path]:
    """The content, and the folder of the files that it names."""
    if isinstance(fg_json, str) and fg_json.lstrip().startswith("{"):
        return parse_json(fg_json, "fg.json"), Path()
    if isinstance(fg_json, (str, os.PathLike)):
        return read_json(Path(fg_json)), Path(fg_json).parent
    return fg_json, Path()


def _keep_all_values(read: FeatureConfig) -> FeatureConfig:
    """The config, with all values of an element where the type does not cut them at value_dim.

    A model that is told value_dim 1 gets one value per element, since it has no key lengths to tell them
    apart; a training batch has both. Source: TorchEasyRec, lookup_feature_test.py.
    """

    def uncut(feature: Feature) -> Feature:
        record = feature.type
        told_one = feature.is_sequence and record.sparse and record.value_dim == 1
        if not told_one or record.limit(sequence=True) == 1:
            return feature
        return dataclasses.replace(feature, type=dataclasses.replace(record, value_dim=0))

    return dataclasses.replace(read, features=tuple(uncut(feature) for feature in read.features))


def _split_texts(read: FeatureConfig) -> tuple[FeatureConfig, list[str]]:
    """The config without the outputs that are texts, which have no tensors, and their names."""

    def is_text(feature: Feature) -> bool:
        record = feature.type
        return record.discrete and not record.bucketized and not record.stub_type

    features = tuple(
        dataclasses.replace(f, type=dataclasses.replace(f.type, stub_type=True)) if is_text(f) else f
        for f in read.features
    )
    texts = [feature.name for feature in read.features if is_text(feature)]
    return dataclasses.replace(read, features=features), texts


def _columns_read(plan: Plan, features: Sequence[str]) -> dict[str, frozenset[str]]:
    """The features → the columns that they and their producers read."""
    planned = {feature.name: feature for feature in plan.features}
    reads: dict[str, frozenset[str]] = {}
    for name in plan.order:
        inputs = planned[name].inputs
        own = {i.joined for i in inputs if i.source not in ("const", "feature")}
        reads[name] = frozenset(own.union(*(reads[i.name] for i in inputs if i.source == "feature")))
    return {name: reads[name] for name in features}


def _rows(feature: str, columns: frozenset[str], counts: Mapping[str, int], rows: int) -> int:
    """The rows of a feature: those of its columns, whatever other columns have."""
    found = {counts[name] for name in columns}
    if len(found) == 1:
        return found.pop()
    several = found - {1}
    if len(several) > 1:
        lengths = ", ".join(f"'{name}' {counts[name]}" for name in sorted(columns))
        raise DataError(f"feature '{feature}' reads columns of different length: {lengths}")
    return several.pop() if several else rows


def _padded(array: pa.Array, rows: int) -> pa.Array:
    """The column with `rows` rows, if it has another number than one; what is added is cut off again."""
    if len(array) in (1, rows):
        return array
    if len(array) == 0:
        return pa.nulls(rows, array.type)
    # Rows that it has, so that nothing turns up that was not there.
    return array.take(pa.array(np.arange(rows) % len(array)))
