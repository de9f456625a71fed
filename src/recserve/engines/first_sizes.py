"""Sizes that an export is right for, and whether a request has them.

An archive of torch.export may say that its graph is right for some sizes alone: from 2 to 1000 rows, say.
What is made of it is then right for no others, so its original answers those. Only first sizes are the
request's business: all others are the features', and the same in every request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from recserve.columns import ModelInputs, TensorNames
    from recserve.engines.sizes import Size

_ANY = np.iinfo(np.int64).max
#: What torch states of every size that an exporter did not limit: 0 and 1 were no special cases. Older ones
#: also end each of them at the largest number that there is.
_FEW, _MANY = 2, 2**31


def limits(stated: Mapping[str, Size]) -> dict[str, Size]:
    """The sizes among those that an archive states which somebody has set a limit to."""
    return {
        name: size
        for name, size in stated.items()
        if size.least > _FEW or (size.most is not None and size.most < _MANY)
    }


def fit(given: Mapping[str, NDArray[Any]], sizes: Mapping[str, Size]) -> bool:
    """Whether tensors, as the export takes them, have sizes that it is right for."""
    return all(sizes[name].fits(len(given[name])) for name in sizes.keys() & given.keys())


class FirstSizes:
    """The same of what feature generation lays out. Calls share it."""

    def __init__(self, sizes: Mapping[str, Size], repeated: Collection[str] = ()) -> None:
        """`sizes` by the export's inputs; `repeated`: those that it has once for every row of a request."""
        self._sizes, self._repeated = sizes, frozenset(repeated)
        self._limits: _Limits | None = None

    def fit(self, inputs: ModelInputs, rows: int) -> bool:
        """Whether the export would be given sizes that it is right for; what is not there is not asked."""
        if not self._sizes:
            return True
        limits = self._limits
        if limits is None or limits.names is not inputs.names:
            self._limits = limits = _Limits(inputs, self._sizes, self._repeated)
        return limits.fit(inputs, rows)


class _Limits:
    """The limits of inputs, in the order of a plan's tensors: ints, then floats."""

    def __init__(self, inputs: ModelInputs, sizes: Mapping[str, Size], repeated: frozenset[str]) -> None:
        self.names: TensorNames = inputs.names
        names = [*inputs.int_names, *inputs.float_names]
        widths = [1] * len(inputs.int_names) + [max(1, width) for width in inputs.float_widths]
        self._at = [k for k, name in enumerate(names) if name in sizes]
        found = [sizes[names[k]] for k in self._at]
        self._widths = np.array([widths[k] for k in self._at], np.int64)
        self._least = np.array([size.least for size in found], np.int64)
        self._most = np.array([_ANY if size.most is None else size.most for size in found], np.int64)
        self._repeated = np.array([names[k] in repeated for k in self._at], np.bool_)

    def fit(self, inputs: ModelInputs, rows: int) -> bool:
        counts = np.array([*inputs.int_sizes, *inputs.float_sizes], np.int64)[self._at] // self._widths
        counts = np.where(self._repeated, counts * rows, counts)
        return bool(((self._least <= counts) & (counts <= self._most)).all())
