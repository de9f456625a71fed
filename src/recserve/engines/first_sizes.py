"""Sizes that an export is right for, and whether a request has them.

An archive of torch.export may say that its graph is right for some sizes alone: from 3 to 1000 rows, say.
What is made of it is then right for no others, and leaves them to the archive's own engine, which refuses
them. Only first sizes are the request's business: all others are the features', the same in every request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from recserve.engines.sizes import Size
from recserve.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from recserve.columns import ModelInputs, TensorNames

#: The first size of what has an entry for each row.
ROWS = Size("rows")

_ANY = np.iinfo(np.int64).max
#: What torch states of every size that an exporter did not limit: 0 and 1 were no special cases. Older ones
#: also end each of them at the largest number that there is.
_FEW, _MANY = 2, 2**31


def limit(stated: Size) -> Size:
    """What of a size that an archive states somebody has set a limit to; torch holds callers to no more."""
    if stated.fixed is not None:
        return stated
    least = stated.least if stated.least > _FEW else 0
    most = stated.most if stated.most is not None and stated.most < _MANY else None
    return Size(stated.name, least, most)


def limits(stated: Mapping[str, Size]) -> dict[str, Size]:
    """The limits among the sizes that an archive states."""
    found = {name: limit(size) for name, size in stated.items()}
    return {name: size for name, size in found.items() if size.least or size.most is not None}


def fit(given: Mapping[str, NDArray[Any]], sizes: Mapping[str, Size]) -> bool:
    """Whether tensors, as the export takes them, have sizes that it is right for."""
    return all(sizes[name].fits(len(given[name])) for name in sizes.keys() & given.keys())


class FirstSizes:
    """The same of what feature generation lays out. Calls share it."""

    def __init__(
        self,
        sizes: Mapping[str, Size],
        repeated: Collection[str] = (),
        laid_out: Mapping[str, Size] | None = None,
    ) -> None:
        """`sizes` by the export's inputs; `repeated`: those that it has once for every row of a request.

        `laid_out`: first sizes of all inputs before they are repeated, as far as they are known, for requests
        that need not all of them: ROWS, or a number.
        """
        self._sizes, self._repeated, self._laid_out = sizes, frozenset(repeated), laid_out or {}
        self._limits: _Limits | None = None

    def fit(self, inputs: ModelInputs, rows: int) -> bool:
        """Whether the export would be given sizes that it is right for; false where nobody can tell."""
        if not self._sizes:
            return True
        limits = self._limits
        if limits is None or limits.names is not inputs.names:
            self._limits = limits = _Limits(inputs, self._sizes, self._repeated, self._laid_out)
        return limits.fit(inputs, rows)

    def check(self, inputs: ModelInputs, rows: int) -> None:
        """Refuse what does not fit, by a RequestError that names a tensor, its size and the limit.

        `inputs` has all that the export takes.
        """
        if not self.fit(inputs, rows):
            limits = _Limits(inputs, self._sizes, self._repeated, self._laid_out)
            name, count, size = limits.outside(inputs, rows)
            raise RequestError(
                f"'{name}' is {count} long for these {rows} candidates, and the model was exported for "
                f"{_allowed(size)}; send {'more' if count < size.least else 'fewer'} of them in a request, "
                "or export it with other dynamic_shapes"
            )


def _allowed(size: Size) -> str:
    if size.fixed is not None:
        return f"exactly {size.fixed}"
    if size.most is None:
        return f"at least {size.least}"
    return f"{size.least} to {size.most}" if size.least else f"at most {size.most}"


class _Limits:
    """The limits of inputs, in the order of a plan's tensors: ints, then floats."""

    def __init__(
        self,
        inputs: ModelInputs,
        sizes: Mapping[str, Size],
        repeated: frozenset[str],
        laid_out: Mapping[str, Size],
    ) -> None:
        self.names: TensorNames = inputs.names
        names = [*inputs.int_names, *inputs.float_names]
        widths = [1] * len(inputs.int_names) + [max(1, width) for width in inputs.float_widths]
        self._at = [k for k, name in enumerate(names) if name in sizes]
        self._limited = [(names[k], sizes[names[k]]) for k in self._at]
        found = [size for _, size in self._limited]
        self._widths = np.array([widths[k] for k in self._at], np.int64)
        self._least = np.array([size.least for size in found], np.int64)
        self._most = np.array([_ANY if size.most is None else size.most for size in found], np.int64)
        self._repeated = np.array([names[k] in repeated for k in self._at], np.bool_)
        self._absent = [(sizes[name], laid_out.get(name), name in repeated) for name in sizes.keys() - names]

    def fit(self, inputs: ModelInputs, rows: int) -> bool:
        for size, first, is_repeated in self._absent:
            count = rows if first == ROWS else first.fixed if first is not None else None
            if count is None or not size.fits(count * rows if is_repeated else count):
                return False
        counts = self._counts(inputs, rows)
        return bool(((self._least <= counts) & (counts <= self._most)).all())

    def outside(self, inputs: ModelInputs, rows: int) -> tuple[str, int, Size]:
        """The first tensor that does not fit, how many it has, and its limit."""
        counts = zip(self._limited, self._counts(inputs, rows).tolist(), strict=True)
        return next((name, count, size) for (name, size), count in counts if not size.fits(count))

    def _counts(self, inputs: ModelInputs, rows: int) -> NDArray[np.int64]:
        counts = np.array([*inputs.int_sizes, *inputs.float_sizes], np.int64)[self._at] // self._widths
        return np.where(self._repeated, counts * rows, counts)
