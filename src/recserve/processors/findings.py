"""What does not fit between a request, the features and the model: what debug levels refuse or log.

| found                                                            | grade  |
|------------------------------------------------------------------|--------|
| a value that the declared type of its column cannot hold          | wrong  |
| a text where a feature reads a number                             | wrong  |
| members of a sequence group that differ in length                 | wrong  |
| tensors that do not fit the model: names, types, lengths, rows    | wrong  |
| a column that no feature reads on the side where it is sent       | remark |
| a column that features read and that is missing                   | remark |
| more entries than items: the surplus is cut                       | remark |

A remark is what clients do every day and what is answered well: they send all that they know of a user, and
lists that are too long. Fewer entries than items are refused at every level, by the decoder. Ours: the hosted
processor says that it checks keys and shapes, not what it does about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from recserve.columns import Batch, column_from_arrow, to_arrow
from recserve.config.nearest import did_you_mean
from recserve.engines import jagged
from recserve.engines.engine import BATCH_SIZE, TensorSpec, tensors
from recserve.errors import RequestError
from recserve.messages import SIDES, InputSchema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recserve.columns import Column, ModelInputs
    from recserve.features.generator import Generator
    from recserve.messages import ScoreRequest
    from recserve.processors.raw_columns import Missing, RawColumns

#: Of one request; more of them help nobody.
MOST = 50


class Findings:
    """Checks the requests of one model. Many threads use it at once."""

    def __init__(
        self,
        features: Generator,
        reads: Mapping[str, TensorSpec],
        *,
        columns: RawColumns,
        schema: InputSchema | None = None,
    ) -> None:
        self._features = features
        self._model_reads = reads
        self._columns = columns
        self._schema = schema or InputSchema()

    def wrong_columns(self, request: ScoreRequest) -> list[str]:
        """Values that cannot be read as what they are declared, or as what features want."""
        wrong = [
            f"{side} column '{name}': {_counted(unfit, 'value')} cannot be read as "
            f"{getattr(self._schema, side).get(name) or _type_of(_sent(request)[side][name])}"
            for side, name, unfit, _ in request.oddities
            if unfit
        ]
        return wrong + list(self._unreadable(request))

    def wrong_inputs(self, inputs: ModelInputs, rows: int) -> list[str]:
        """Tensors that the model would not take."""
        given = tensors(inputs)
        wrong = [
            f"input '{name}' is {given[name].dtype} of {given[name].ndim} dimensions; the model reads "
            f"{spec.dtype} of {spec.rank}"
            for name, spec in self._model_reads.items()
            if name in given and _differs(spec, TensorSpec(str(given[name].dtype), given[name].ndim))
        ]
        wrong += [f"input '{name}' is missing" for name in self._model_reads if name not in given]
        try:
            jagged.check(given, tile=BATCH_SIZE in given, limits=self._features.id_limits)
        except RequestError as error:
            wrong.append(str(error))
        sizes = [len(tensor) for name, tensor in given.items() if name.endswith(".lengths")]
        if sizes and max(sizes) not in (rows, 1):
            wrong.append(f"the model's inputs have {max(sizes)} rows, the request has {rows}")
        return wrong

    def remarks(self, request: ScoreRequest, missing: Sequence[Missing]) -> list[str]:
        """What is worth a look, and answered as always."""
        return [
            *self._unread(request),
            *(
                f"{side} column '{name}' has {surplus} more entries than there are items; they were cut"
                for side, name, _, surplus in request.oddities
                if surplus > 0
            ),
            *(
                f"{gone.side} column '{gone.column}' is missing{_in_rows(gone.count, gone.rows)}"
                for gone in missing
            ),
        ]

    def _unread(self, request: ScoreRequest) -> Iterator[str]:
        for side, names in self._columns.unread(request).items():
            for name in names:
                elsewhere = [other for other in SIDES if name in self._columns.names(other)]
                hint = did_you_mean(name, self._columns.names(side))
                if elsewhere:
                    hint = f"; they read {' and '.join(elsewhere)} column '{name}'"
                yield f"no feature reads {side} column '{name}'{hint}"

    def _unreadable(self, request: ScoreRequest) -> Iterator[str]:
        """Ask each feature that reads a text of the request whether it can: a row of what was sent alone."""
        sent = {name: column for batch in _sent(request).values() for name, column in _columns(batch)}
        texts = {name for name, column in sent.items() if column.type == "string"}
        plan = self._features.plan
        asked = {f.name: [i.joined for i in f.inputs if i.joined in texts] for f in plan.features}
        joined = Batch(request.rows)
        for name in plan.user_inputs | plan.context_inputs | plan.item_inputs:
            joined.add(name, sent.get(name, _NOTHING))
        for feature, read in asked.items():
            failures = self._features.generate_checked(joined, names=[feature])[1] if read else {}
            if failures:
                by_row = max(len(sent[name]) for name in read) > 1
                yield failures[min(failures)] + _in_rows(len(failures), request.rows if by_row else 1)


def shown(findings: Sequence[str]) -> str:
    """One finding per line, the first MOST of them."""
    lines = list(findings[:MOST])
    if len(findings) > MOST:
        lines.append(f"and {len(findings) - MOST} more")
    return "\n".join(lines)


_NOTHING = column_from_arrow(pa.array([None], pa.string()))


def _sent(request: ScoreRequest) -> dict[str, Batch]:
    return {"user": request.user, "context": request.context, "item": request.item_features}


def _columns(batch: Batch) -> Iterator[tuple[str, Column]]:
    return ((name, batch[name]) for name in batch.names)


def _type_of(column: Column) -> str:
    return str(to_arrow(column).type)


def _differs(wanted: TensorSpec, given: TensorSpec) -> bool:
    """Where the model says what it wants."""
    return wanted.dtype not in ("", given.dtype) or wanted.rank not in (-1, given.rank)


def _in_rows(count: int, rows: int) -> str:
    return f" in {count} of {rows} rows" if rows > 1 else ""


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
