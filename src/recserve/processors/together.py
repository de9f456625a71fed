"""Scores several requests in one call of the model (`metadata.rpc.batching`).

    requests ──prepare──▶ inputs ┐
             ──prepare──▶ inputs ├──concatenated──▶ run ──▶ rows of each ──settle──▶ answers
             ──prepare──▶ inputs ┘

Rows of a model do not look at one another, so what a request is scored beside must not show: what the model
takes has the same bits, and so have its answers, if its arithmetic has. That is no matter of course: one row
is the product of a matrix with a vector, which libraries compute in another order than that of matrices; and
torch.sigmoid takes 32 values at a time and the rest one by one, with another last bit for some. `try_sharing`
finds out for the model that is served, and requests that would not keep their scores are scored alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from recserve.columns import ModelInputs
from recserve.errors import ModelError, RecserveError, RequestError
from recserve.observe.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from recserve.messages import ScoreRequest, ScoreResponse
    from recserve.processors.normal import Normal

T = TypeVar("T")

#: Rows of the requests that are tried: small ones densely, for that is where libraries change ways.
TRIED_ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64)
#: Rows of what stands beside each of them, before and behind.
BESIDE_ROWS = (20, 33)
#: Different requests of each size.
TRIES = 8


@dataclass(slots=True)
class Member:
    """A request that shares a call, and what it brings."""

    request: ScoreRequest
    trace: Trace
    inputs: ModelInputs
    known: NDArray[np.bool_]  # (rows,)


def score_together(
    normal: Normal, requests: Sequence[ScoreRequest], traces: Sequence[Trace]
) -> list[ScoreResponse | Exception]:
    """Answer several requests; what fails for one of them is the error in its place, and nobody else's.

    In a trace `look_up` and `generate` are the request's own, `run` is the call that all share, and the wait
    for it.
    """
    made = [_attempt(_member, normal, *pair) for pair in zip(requests, traces, strict=True)]
    members = [member for member in made if isinstance(member, Member)]
    try:
        answers = iter(_run(normal, members) if members else ())
    except (ModelError, RequestError):  # whose fault it is shows when each is scored alone
        answers = iter([_attempt(normal.score, member.request, member.trace) for member in members])
    return [next(answers) if isinstance(member, Member) else member for member in made]


def _member(normal: Normal, request: ScoreRequest, trace: Trace) -> Member:
    trace.resume_work()
    inputs, known = normal.prepare(request, trace, shared=True)
    trace.end_work()
    return Member(request, trace, inputs, known)


def _run(normal: Normal, members: Sequence[Member]) -> list[ScoreResponse | Exception]:
    """Run the model once, and cut its outputs into those of each request."""
    rows = [member.request.rows for member in members]
    deadlines = [member.request.deadline for member in members]
    last = None if None in deadlines else max(deadline for deadline in deadlines if deadline is not None)
    inputs = ModelInputs.concatenated([member.inputs for member in members])
    outputs = normal.engine.run(inputs, rows=sum(rows), deadline=last)
    answers: list[ScoreResponse | Exception] = []
    begin = 0
    for member in members:
        own = {name: values[begin : begin + member.request.rows] for name, values in outputs.items()}
        answers.append(_attempt(normal.settle, member.request, own, member.known, member.trace))
        begin += member.request.rows
    return answers


def _attempt(do: Callable[..., T], *arguments: Any) -> T | Exception:
    try:
        return do(*arguments)
    except Exception as error:
        return error


@dataclass(frozen=True, slots=True)
class Sharing:
    """What sharing calls does to the scores of a model."""

    least_rows: int | None  # requests of so many rows and more may share; None: none may
    difference: float  # the largest between a score alone and beside others, of all that were compared


def try_sharing(normal: Normal, sample: Callable[[int], ScoreRequest], *, tolerance: float) -> Sharing:
    """Score requests alone and beside others, from large to small, as long as the difference is tolerated.

    Sizes between those of TRIED_ROWS are taken to be like them.
    """
    others = [sample(rows) for rows in BESIDE_ROWS]
    least, largest = None, 0.0
    for rows in reversed(TRIED_ROWS):
        difference = max(_difference(normal, sample(rows), others) for _ in range(TRIES))
        largest = max(largest, difference)
        if difference > tolerance:
            break
        least = rows
    return Sharing(least, largest)


def _difference(normal: Normal, request: ScoreRequest, others: Sequence[ScoreRequest]) -> float:
    """The largest, of what the model says before scores of unknown items are replaced.

    Without end where the model does not take shared inputs: one that was compiled for user features of one
    row (INPUT_TILE), or exported for fewer rows.
    """
    inputs, _ = normal.prepare(request, Trace())
    before, behind = others
    shared = [normal.prepare(each, Trace(), shared=True)[0] for each in (before, request, behind)]
    rows = before.rows + request.rows + behind.rows
    try:
        alone = normal.engine.run(inputs, rows=request.rows)
        together = normal.engine.run(ModelInputs.concatenated(shared), rows=rows)
    except RecserveError:
        return math.inf
    own = slice(before.rows, before.rows + request.rows)
    return max(_largest(alone[name], together[name][own]) for name in alone)


def _largest(one: NDArray[Any], other: NDArray[Any]) -> float:
    if np.array_equal(one, other, equal_nan=True):
        return 0.0
    return float(np.nan_to_num(np.abs(one - other), nan=np.inf).max())
