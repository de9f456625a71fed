"""What a debug level shows of one request: texts by item, tensors, findings.

    Looking (per model) ──at──▶ Look (per request): raw ─▶ generated ─▶ response

Where it goes: texts into raw_features and generate_features of the answer, under the item ids, or under the
number of the row where there are none; tensors and remarks as texts into pass_through_data, under names that
begin with `debug.`, since no client looks for tensors there. Ours: clients index every float tensor of
map_outputs by item, and some of them die of a short one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from recserve.columns import to_arrow
from recserve.engines.engine import tensors
from recserve.errors import RequestError, TooLargeError
from recserve.features.checks.debug_text import MAX_BYTES, DebugText, Separators
from recserve.messages import ScoreResponse
from recserve.observe.logs import Throttle
from recserve.processors.findings import Findings, shown
from recserve.processors.raw_columns import RawColumns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from recserve.columns import Batch, ModelInputs
    from recserve.engines.engine import Engine
    from recserve.features.generator import Generator
    from recserve.items.rows import Rows
    from recserve.messages import InputSchema, ScoreRequest
    from recserve.observe.trace import Trace
    from recserve.processors.debug import DebugLevel
    from recserve.processors.raw_columns import Missing

logger = logging.getLogger("recserve.debug")

#: user, context, raw, finished, clicked: what `Generator.generate` takes.
Gathered = tuple["Batch", "Batch", "Batch", "Batch", "Mapping[str, tuple[Batch, Batch]]"]

#: An answer has up to three kinds of text.
_MOST_OF_A_KIND = MAX_BYTES // 3

_LONGEST_NUMBER = 24  # bytes of a float64, and what parts it from the next


class Looking:
    """Looks at requests to one model. Many threads use it at once."""

    def __init__(
        self,
        features: Generator,
        engine: Engine,
        *,
        schema: InputSchema | None = None,
        separators: Separators | None = None,
    ) -> None:
        self.features = features
        self.columns = RawColumns(features.plan)
        self.findings = Findings(features, engine.inputs, columns=self.columns, schema=schema)
        self.text = DebugText(features.plan, separators=separators, max_bytes=_MOST_OF_A_KIND)
        self.throttle = Throttle()
        self._of_items = [f.name for f in features.plan.features if f.is_output and not f.is_user]

    def at(self, request: ScoreRequest, level: DebugLevel, rows: Rows) -> Look:
        """Begin to look: what has to be read while the items are pinned."""
        if level.raw and rows.dropped:
            raise RequestError(
                f"no raw features to show: model_config.keep_raw_items is false, so {_names(rows.dropped)} "
                f"is not kept; ask for debug level 3, or keep them"
            )
        look = Look(self, request, level)
        if level.raw:
            texts = self.text.raw(self.columns.read(rows, request), rows=request.rows)
            look.raw = by_item(request, texts)
        if level.raw or level.reports_missing:
            look.missing = self.columns.missing(rows, request)
        return look

    def item_texts(
        self, request: ScoreRequest, rows: Rows, gathered: Gathered
    ) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Raw and generated features of the item side, as pairs, by item id."""
        raw = self.text.raw(self.columns.items(rows, request), rows=request.rows)
        made = self.features.generate_request_columns(*gathered, rows=request.rows, names=self._of_items)
        return by_item(request, raw), by_item(request, self.text.generated(made, rows=request.rows))


@dataclass(slots=True)
class Look:
    """What is seen of one request."""

    looking: Looking
    request: ScoreRequest
    level: DebugLevel
    raw: Mapping[str, str] = field(default_factory=dict)
    generated: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[Missing] = ()
    wrong: list[str] = field(default_factory=list)
    inputs: ModelInputs | None = None

    def generate(self, gathered: Gathered) -> ModelInputs:
        """Generate as for a score. Raises RequestError with all that is wrong where the level refuses it."""
        looking, rows = self.looking, self.request.rows
        if self.level.checks:
            self.wrong = looking.findings.wrong_columns(self.request)
        try:
            inputs = looking.features.generate(*gathered, rows=rows)
        except RequestError as error:
            self._refuse([*self.wrong, str(error)])
            raise
        if self.level.checks:
            self.wrong += looking.findings.wrong_inputs(inputs, rows)
            self._refuse(self.wrong)
        if self.level.generated:
            columns = looking.features.generate_request_columns(*gathered, rows=rows)
            write = {"pairs": looking.text.generated, "table": looking.text.table}[self.level.generated]
            self.generated = by_item(self.request, write(columns, rows=rows))
        self.inputs = inputs
        return inputs

    def response(self, outputs: Mapping[str, NDArray[Any]], pass_through: Mapping[str, str]) -> ScoreResponse:
        """The answer; `outputs` are the scores, if the level has any."""
        texts = dict(pass_through)
        remarks = self._remarks() if self.level.checks == "refuse" else ""
        if remarks:
            texts["debug.remarks"] = remarks
        if self.level.inputs and self.inputs is not None:
            texts |= _as_texts(self.inputs)
        return ScoreResponse(self.request.item_ids, outputs, texts, self.generated, self.raw)

    def log(self, trace: Trace) -> None:
        """Say what was found, where the level wants it said and there is something."""
        said: dict[str, Any] = {}
        if self.level.checks == "log":
            said["wrong"] = shown(self.wrong).splitlines()
            said["remarks"] = self._remarks(missing=not self.level.reports_missing).splitlines()
        if self.level.reports_missing:
            sides = {gone.side for gone in self.missing}
            said["missing"] = {
                side: {gone.column: gone.count for gone in self.missing if gone.side == side}
                for side in sorted(sides)
            }
        if any(said.values()) and self.looking.throttle.admits():
            extra = {"request_id": trace.request_id, "level": self.level.number, "rows": self.request.rows}
            if trace.sent_id:
                extra["sent_id"] = trace.sent_id
            logger.info("what a request lacks", extra={**extra, **said})

    def _remarks(self, *, missing: bool = True) -> str:
        return shown(self.looking.findings.remarks(self.request, self.missing if missing else ()))

    def _refuse(self, wrong: list[str]) -> None:
        if self.level.checks == "refuse" and wrong:
            where = f"not answered at debug level {self.level.number}"
            raise RequestError(f"{where}, since the request does not fit:\n{shown(wrong)}")


def by_item(request: ScoreRequest, texts: list[str]) -> dict[str, str]:
    """Texts by item id; of an id that comes twice the last. Without ids the number of the row is the key."""
    ids = to_arrow(request.item_ids).to_pylist() or range(request.rows)
    return {str(key): text for key, text in zip(ids, texts, strict=True)}


def _as_texts(inputs: ModelInputs) -> dict[str, str]:
    """`int64 [3]: 7 8 9` by tensor."""
    if (inputs.ints.size + inputs.floats.size) * _LONGEST_NUMBER > _MOST_OF_A_KIND:
        raise TooLargeError("the model's inputs are too many to show as text; ask for fewer items")
    return {
        f"debug.input.{name}": f"{tensor.dtype} {list(tensor.shape)}: {_numbers(tensor)}"
        for name, tensor in tensors(inputs).items()
    }


def _numbers(tensor: NDArray[Any]) -> str:
    """In C order; floats with the fewest digits that give them back."""
    return " ".join(np.ravel(tensor).astype(str).tolist())


def _names(names: frozenset[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))
