"""User features of one row, repeated for models that want them beside every item.

F.lengths  (1,)      → (rows,)          F.values   (ids,)     → (rows * ids,)
F.values   (1, w)    → (rows, w)        S.values   (steps, w) → (rows * steps, w)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray


def repeated(
    tensors: Mapping[str, NDArray[Any]], users: Collection[str], rows: int
) -> dict[str, NDArray[Any]]:
    """The tensors, those named by `users` `rows` times; whatever of one row it is, that is all of it."""
    return {
        name: np.tile(tensor, (rows, *[1] * (tensor.ndim - 1))) if name in users else tensor
        for name, tensor in tensors.items()
    }
