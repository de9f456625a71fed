"""Requests to compare answers for: drawn from the features, or recorded.

A request is laid out twice: as the original takes it, and with users of one row, as models at their own rates
do. Exports without INPUT_TILE want users beside every item, and get the one user repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.compile.requests import Requests
from recserve.engines import first_sizes
from recserve.engines.engine import BATCH_SIZE
from recserve.engines.users import repeated
from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from recserve.engines.sizes import Size
    from recserve.features.generator import Generator

    Tensors = Mapping[str, NDArray[Any]]

#: Rows of the requests that answers are compared for: one, two, an odd number, what is usual, and many.
ROWS = (1, 2, 7, 200, 1000)
RACE_ROWS = (1, 20, 200, 1000)
#: Rows of the request that graphs are made with; any other number works as well, so the first is taken that
#: the model was exported for.
USUAL_ROWS = 200
_OR_ROWS = (100, 50, 20, 7, 3)
#: Requests that are drawn of each size; more where others are left out.
_DRAWN, _DRAWN_INSTEAD = 3, 8


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, as the original takes it and as what was compiled does."""

    rows: int
    original: Tensors
    compiled: Tensors
    may_be_refused: bool = False  # by the original: it then says nothing of the other


class Drawn:
    """Requests that features draw."""

    widths_vary = False  # sizes behind the first are the features'

    def __init__(
        self, features: Generator, reads: Collection[str], sizes: Mapping[str, Size] | None = None
    ) -> None:
        """`sizes` of the inputs, as the original states them: beyond its limits it is not asked.

        Where it only states that 0 and 1 were no special cases, it is asked, and may refuse.
        """
        self._stated = sizes or {}
        self._sizes = first_sizes.limits(self._stated)
        self.users_once = features.plan.tile
        self._own = Requests(features, reads)
        self._once = Requests(features, reads, users_once=True)
        self._mixed = [
            feature.name
            for feature in features.plan.features
            if feature.is_user and feature.rate not in ("const", "user")
        ]
        #: Tensors of user features.
        self.users = frozenset(name for name, rate in self._once.rates.items() if rate == "user")
        self.users -= {BATCH_SIZE}
        #: Rows of `example`.
        self.usual_rows = next(filter(self._fits, (USUAL_ROWS, *_OR_ROWS)), USUAL_ROWS)

    @property
    def rates(self) -> Mapping[str, str]:
        """What each tensor depends on: user, item or pair; BundleError where users have no own row."""
        if self._mixed:
            raise BundleError(
                f"feature '{self._mixed[0]}' is the user's to the model, and reads what differs by item"
            )
        return self._once.rates

    def example(self, *, users_once: bool = False) -> Tensors:
        """Tensors to make a graph with."""
        return self._requests(users_once).example(self.usual_rows)

    def alike(self, *, users_once: bool = False) -> list[list[str]]:
        """Names of tensors that are as long as one another in every request."""
        return self._requests(users_once).alike()

    def compared(self, *, users_once: bool) -> Iterator[Asked]:
        """Every size and kind; where the original takes a user for each row, they differ from row to row."""
        found = self._all(users_once=users_once)
        return (asked for asked in found if first_sizes.fit(asked.original, self._sizes))

    def _all(self, *, users_once: bool) -> Iterator[Asked]:
        requests = self._requests(users_once)
        for rows, tensors in requests.all(ROWS, _DRAWN_INSTEAD if self._sizes else _DRAWN):
            yield self._asked(rows, tensors, users_once=users_once)
        for tensors in requests.outside(ROWS[2]):
            yield self._asked(ROWS[2], tensors, users_once=users_once, may_be_refused=True)

    def raced(self) -> Iterator[Asked]:
        """One request of each size, of one user."""
        for rows in [*filter(self._fits, RACE_ROWS)] or [self.usual_rows]:
            yield self._asked(rows, self._once.example(rows, seed=2), users_once=True)

    def _fits(self, rows: int) -> bool:
        """Whether the original is right for a request of so many rows."""
        if not self._sizes:
            return True
        asked = self._asked(rows, self._once.example(rows, seed=2), users_once=True)
        return first_sizes.fit(asked.original, self._sizes)

    def _requests(self, users_once: bool) -> Requests:
        return self._once if users_once else self._own

    def _asked(self, rows: int, tensors: Tensors, *, users_once: bool, may_be_refused: bool = False) -> Asked:
        original = tensors
        if users_once and not self.users_once:
            given = {name: tensor for name, tensor in tensors.items() if name != BATCH_SIZE}
            original = repeated(given, self.users, rows)
        stated = first_sizes.fit(original, self._stated)
        return Asked(rows, original, tensors, may_be_refused or not stated)


class Given:
    """Requests that were recorded; nothing says which of their features are the user's."""

    widths_vary = True  # as far as anybody knows

    def __init__(self, samples: Sequence[Tensors], sizes: Mapping[str, Size] | None = None) -> None:
        """`sizes` of the inputs, as the original states them; it is not asked for others."""
        fitting = [tensors for tensors in samples if first_sizes.fit(tensors, sizes or {})]
        self._samples = sorted(fitting or samples, key=_rows)
        self.usual_rows = _rows(self._samples[-1])
        self.users_once = BATCH_SIZE in self._samples[0]
        self.users: frozenset[str] = frozenset()

    @property
    def rates(self) -> Mapping[str, str]:
        """Nobody knows them."""
        raise BundleError("no fg.json says which features are the user's")

    def example(self, *, users_once: bool = False) -> Tensors:
        """Tensors to make a graph with."""
        del users_once
        return self._samples[-1]

    def alike(self, *, users_once: bool = False) -> list[list[str]]:
        """None: tensors that are as long as one another in some requests may not be in others."""
        del users_once
        return []

    def compared(self, *, users_once: bool) -> Iterator[Asked]:
        """All of them."""
        del users_once
        return (Asked(_rows(tensors), tensors, tensors) for tensors in self._samples)

    def raced(self) -> Iterator[Asked]:
        """The one of the fewest and that of the most rows."""
        return (Asked(_rows(tensors), tensors, tensors) for tensors in (self._samples[0], self._samples[-1]))


def _rows(tensors: Tensors) -> int:
    counted = [len(tensor) for name, tensor in tensors.items() if name.endswith(".lengths")]
    return max(counted or [len(tensor) for tensor in tensors.values() if tensor.ndim], default=1)
