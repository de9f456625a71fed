"""plan ──overview──▶ lines for a reader: each feature, when it is computed, from what, and how often.

What a plan costs is counted in rows: how many rows (of a sequence: elements) the kernel of a feature runs
over for one request. That is exact, and the same on every machine; `timing` has nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recserve.config.nearest import did_you_mean
from recserve.errors import ConfigError
from recserve.features.plan import FINISHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recserve.features.inputs import PlannedInput
    from recserve.features.plan import Plan, PlannedFeature
    from recserve.features.views.timing import Timing

RATES = ("const", "item", "user", "pair")
#: A sequence without sequence_length is counted as this long.
ELEMENTS = 50


@dataclass(frozen=True, slots=True)
class Line:
    """One feature of a plan."""

    place: int  # in the order of computation, from 1
    feature: str
    type: str
    rate: str
    reads: tuple[str, ...]  # side:name
    ready: str  # what is there before it is computed for a request
    gives: str  # the kind of its result
    tensors: tuple[str, ...]  # none: a stub
    python: bool  # a Python step
    rows: int  # (of a sequence: elements) that its kernel runs over for one request
    row_ns: float | None = None  # measured: per item row (item, and elements in it), request or candidate
    request_ns: float | None = None  # measured: per request


@dataclass(frozen=True, slots=True)
class Total:
    """The features of one rate together."""

    rate: str
    features: int
    rows: int  # (of a sequence: elements) that its kernel runs over for one request
    item_row_ns: float | None = None
    request_ns: float | None = None


def lines(
    plan: Plan, *, candidates: int, names: Iterable[str] | None = None, timing: Timing | None = None
) -> list[Line]:
    """Describe the features of a plan, or `names` of them, for requests of so many candidates."""
    planned = {feature.name: feature for feature in plan.features}
    wanted = planned.keys() if names is None else set(names)
    return [
        Line(
            place,
            name,
            planned[name].type,
            planned[name].rate,
            tuple(shown(source, planned[name]) for source in planned[name].inputs),
            _ready(planned[name], plan, planned),
            _gives(planned[name]),
            _tensors(planned[name]),
            planned[name].python_step,
            _rows(planned[name], candidates),
            None if timing is None else _row_ns(planned[name], plan, timing, candidates),
            None if timing is None else timing.request[name],
        )
        for place, name in enumerate(plan.order, 1)
        if name in wanted
    ]


def totals(shown_lines: Iterable[Line]) -> list[Total]:
    """Sum lines up by rate."""
    found = list(shown_lines)
    by_rate = [(rate, [line for line in found if line.rate == rate]) for rate in RATES]
    return [
        Total(
            rate,
            len(own),
            sum(line.rows for line in own),
            _sum(line.row_ns for line in own if line.rate == "item"),
            _sum(line.request_ns for line in own),
        )
        for rate, own in by_rate
        if own
    ]


def chosen(plan: Plan, *, feature: str = "", rate: str = "") -> list[str]:
    """Names of the features to show: of a rate, and of a feature with all that it reads."""
    planned = {entry.name: entry for entry in plan.features}
    names = set(planned)
    if feature:
        if feature not in planned:
            raise ConfigError(f"there is no feature '{feature}'{did_you_mean(feature, planned)}")
        names, waiting = set(), [feature]
        while waiting:
            name = waiting.pop()
            if name not in names:
                names.add(name)
                waiting += [i.name for i in planned[name].inputs if i.source == "feature"]
    return [name for name in plan.order if name in names and rate in ("", planned[name].rate)]


def shown(source: PlannedInput, reader: PlannedFeature) -> str:
    """Write an input as people write it; a group's member reads `item:category at user:click_seq`."""
    group = reader.feature.group
    if source.source == "group" and group is not None:
        return f"item:{source.name} at user:{group.key}"
    text = f"{source.source}:{source.name}".replace("\x1d", "␝")
    return text if len(text) <= 40 else text[:39] + "…"


def _ready(feature: PlannedFeature, plan: Plan, planned: Mapping[str, PlannedFeature]) -> str:
    """What is prepared before a feature is computed for a request or a candidate."""
    if feature.element:
        maker = _maker(feature, plan)
        shared = "" if maker == feature.name else f", those of {maker}"
        return f"elements in the item row{shared}"
    match feature.rate:
        case "const":
            return "with the model"
        case "item" if feature.finished:
            return "in the item row"
        case "item":
            return "for features in the item row"
        case "user":
            return "once per request"
    once = [shown(source, feature) for source in feature.inputs if _has_one_row(source, planned)]
    return f"{', '.join(once)} prepared once" if once else "per candidate"


def _maker(feature: PlannedFeature, plan: Plan) -> str:
    """The feature whose finished column has the elements: itself, or one that computes the same."""
    return plan.elements.get(feature.element) or feature.element.removeprefix(FINISHED)


def _has_one_row(source: PlannedInput, planned: Mapping[str, PlannedFeature]) -> bool:
    if source.source == "feature":
        return planned[source.name].rate in ("const", "user")
    return source.source in ("const", "user", "group")


def _gives(feature: PlannedFeature) -> str:
    record = feature.feature.type
    if record.bucketized:
        what = "weighted ids" if record.is_weighted else "ids"
    elif record.discrete:
        what = "texts"
    else:
        what = f"{record.width} numbers" if record.width > 1 else "number"
    if record.sparse and record.value_dim == 1:
        what = what.removesuffix("s")
    what = f"sequence of {what}" if feature.feature.is_sequence else what
    return what if feature.is_output else f"{what} (stub)"


def _tensors(feature: PlannedFeature) -> tuple[str, ...]:
    """As docs/reference/features.md names them."""
    record = feature.feature.type
    if not feature.is_output or (record.discrete and not record.bucketized):
        return ()
    parts = ["values"]
    if record.sparse or feature.feature.is_sequence:
        parts.append("lengths")
    if record.sparse and feature.feature.is_sequence and record.value_dim != 1:
        parts.append("key_lengths")
    if record.is_weighted:
        parts.append("weights")
    return tuple(f"{feature.name}.{part}" for part in parts)


def _rows(feature: PlannedFeature, candidates: int) -> int:
    if feature.element or feature.rate in ("const", "item"):
        return 0
    rows = candidates if feature.rate == "pair" else 1
    return rows * (feature.feature.length or ELEMENTS) if feature.feature.is_sequence else rows


def _row_ns(feature: PlannedFeature, plan: Plan, timing: Timing, candidates: int) -> float:
    if feature.rate == "item" or feature.element:
        return timing.item_row[_maker(feature, plan) if feature.element else feature.name]
    return timing.request[feature.name] / (candidates if feature.rate == "pair" else 1)


def _sum(figures: Iterable[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known else None
