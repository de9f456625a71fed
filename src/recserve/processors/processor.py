"""What a processor is to the server: something that answers one kind of request, and can say what it wants.

There are two kinds, because there are two messages: raw features of a user and items (`Scorer`), and the
model's own tensors (`Predictor`). The server picks the codec by `Processor.answers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recserve.columns import Batch
    from recserve.messages import InputSchema, ScoreRequest, ScoreResponse, TensorRequest, TensorResponse
    from recserve.observe.trace import Trace
    from recserve.processors.debug import DebugLevel
    from recserve.processors.kept_items import KeptItems
    from recserve.processors.made_up import MadeUpRequests

    #: Values of labels: ((label, its value), ...).
    Labels = tuple[tuple[str, str], ...]
    #: name → (sentence, value) for `/metrics`; a name that ends in `_total` only grows. One with labels has a
    #: value for each combination of theirs.
    Gauges = Mapping[str, tuple[str, float | Mapping[Labels, float]]]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output, as a GET on the service describes it."""

    name: str
    shape: tuple[int, ...]  # -1 where the number is the request's business
    type: str  # DT_FLOAT, DT_INT64, … ; for raw columns the type that they are declared with


@dataclass(frozen=True, slots=True)
class Signature:
    """What a service takes and gives."""

    inputs: Sequence[TensorInfo]
    outputs: Sequence[TensorInfo]


class Processor(Protocol):
    """What both kinds have."""

    @property
    def answers(self) -> Literal["features", "tensors"]:
        """Which requests it takes: those of `Scorer` or those of `Predictor`."""

    def signature(self) -> Signature:
        """What a GET on the service path shows; outputs are known once the model has run."""

    def gauges(self) -> Gauges:
        """Plain counts for `/metrics`."""

    def info(self) -> Mapping[str, str]:
        """What is served, in words, for `/metrics` and the log."""

    @property
    def kept_items(self) -> KeptItems | None:
        """The items for operators; None where there is nothing to keep."""

    def close(self) -> None:
        """End what works beside requests; called once, after the last of them."""


class UserLookUp(Protocol):
    """Features of users that requests do not bring; see feature_store/users.py."""

    @property
    def key(self) -> str:
        """The request's column with the user id."""

    async def look_up(self, user_id: str) -> Batch:
        """One row; what is unknown, or does not come in time, is missing in it. Never fails."""

    def completed(self, sent: Batch, found: Batch) -> Batch:
        """What the request sends and, of what was found, the columns that it does not send."""

    def close(self) -> None:
        """Let go of what is asked."""


class Scorer(Processor, Protocol):
    """Scores items for a user, from raw features."""

    @property
    def users(self) -> UserLookUp | None:
        """Whom to ask for the user's features before `score`; None: nobody."""

    @property
    def schema(self) -> InputSchema | None:
        """Types that the bundle declares for request columns."""

    @property
    def types_if_missing(self) -> InputSchema:
        """Types of columns that the schema lacks and of which a request sends nothing but missing values."""

    @property
    def columns(self) -> Mapping[str, Mapping[str, str]]:
        """Side (user, context, item) → each column that features read → the type that it is best sent as."""

    def score(self, request: ScoreRequest, trace: Trace | None = None) -> ScoreResponse:
        """Answer one request; called by many threads at once."""

    def look(self, request: ScoreRequest, level: DebugLevel, trace: Trace | None = None) -> ScoreResponse:
        """Answer one request with what `level` asks for: the scores of `score`, if any, and how they came.

        Raises RequestError where the level refuses what is wrong, and TooLargeError for too much text.
        """

    def item_texts(self, request: ScoreRequest) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Raw and generated features of the item side, by item id: what a capture keeps beside the request.

        As slow as a request, and never asked for by one that waits: call it on a thread of its own.
        """

    def sample(self, rows: int) -> ScoreRequest:
        """A request for `rows` items of which nothing is known; every model has to answer it."""

    def made_up(self) -> MadeUpRequests:
        """Requests that look like real ones, for the warm-up."""


class Predictor(Processor, Protocol):
    """Runs a model on the tensors that a client sends."""

    def predict(self, request: TensorRequest, trace: Trace | None = None) -> TensorResponse:
        """Answer one request; called by many threads at once."""

    def sample(self, rows: int) -> TensorRequest:
        """A request of `rows` rows, as warm-up sends it; a model may rightly refuse it."""
