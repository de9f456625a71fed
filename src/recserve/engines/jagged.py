"""Checks of tensors that a caller laid out (bypass), before they reach native code that trusts them.

A feature F arrives as several tensors that have to agree. Lengths that do not agree with the values make
fbgemm read and write outside its memory, which kills the process and not only the request.

    F.lengths      2 0 3                 one entry per row; a member S__F of a sequence may leave them to
                                         another one, because all have equally many steps
    F.values       7 8 · 4 5 6           sum(lengths) of them; (n,) ids or (n, D) floats
    F.weights      1 1 · 1 1 1           one per value
    F.key_lengths  sequences of several values per step: one entry per step, sum(lengths) of them,
                   and sum(key_lengths) values

A dense feature has only F.values, (rows, D).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from recserve.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PARTS = ("values", "lengths", "key_lengths", "weights")


def check(tensors: Mapping[str, NDArray[Any]], *, tile: bool, limits: Mapping[str, int]) -> None:
    """Refuse tensors that do not agree, by a RequestError that names the one which is wrong.

    Tensors without one of the four endings are the model's own business. With `tile` a feature may have one
    row for all. `limits` are table sizes by feature: an id has to be in 0 <= id < limit.
    """
    features: dict[str, dict[str, NDArray[Any]]] = defaultdict(dict)
    for name, tensor in tensors.items():
        feature, _, part = name.rpartition(".")
        if part in PARTS and feature:
            features[feature][part] = tensor
    counted = {feature: parts for feature, parts in features.items() if "lengths" in parts}
    rows: dict[str, int | None] = {
        feature: _check_jagged(feature, parts) for feature, parts in counted.items()
    }
    steps = {_sequence_of(feature): f"{feature}.lengths" for feature in counted if _sequence_of(feature)}
    for feature, parts in features.items():
        beside = steps.get(_sequence_of(feature))
        if feature not in counted and beside is not None:
            _check_member(feature, parts, beside, int(tensors[beside].sum(dtype=np.int64)))
        elif feature not in counted:
            rows[feature] = _check_alone(feature, parts)
    _check_rows({feature: count for feature, count in rows.items() if count is not None}, tensors, tile=tile)
    for feature, limit in limits.items():
        if feature in features:
            _check_ids(feature, features[feature]["values"], limit)


def _sequence_of(feature: str) -> str:
    """The sequence that a feature is a member of, as its name tells; "" if none."""
    return feature.rpartition("__")[0]


def _check_jagged(feature: str, parts: Mapping[str, NDArray[Any]]) -> int:
    """Rows of a feature with lengths, when its tensors agree."""
    values, lengths = _values_of(feature, parts), parts["lengths"]
    _check_values(feature, values)
    _check_lengths(f"{feature}.lengths", lengths)
    counted, name = lengths, f"{feature}.lengths"
    key_lengths = parts.get("key_lengths")
    if key_lengths is not None:
        counted, name = key_lengths, f"{feature}.key_lengths"
        _check_lengths(name, key_lengths)
        _check_sum(f"{feature}.lengths", lengths, name, len(key_lengths))
    _check_sum(name, counted, f"{feature}.values", len(values))
    _check_weights(feature, parts.get("weights"), len(values))
    return len(lengths)


def _check_member(feature: str, parts: Mapping[str, NDArray[Any]], beside: str, steps: int) -> None:
    """A member of a sequence whose own lengths the model does not read: those of another member count."""
    values, key_lengths = _values_of(feature, parts), parts.get("key_lengths")
    _check_values(feature, values)
    name, count = f"{feature}.values", len(values)
    if key_lengths is not None:
        _check_lengths(f"{feature}.key_lengths", key_lengths)
        _check_sum(f"{feature}.key_lengths", key_lengths, name, count)
        name, count = f"{feature}.key_lengths", len(key_lengths)
    if count != steps:
        raise RequestError(f"input '{name}' has {count} entries, but '{beside}' sums to {steps}")
    _check_weights(feature, parts.get("weights"), len(values))


def _check_alone(feature: str, parts: Mapping[str, NDArray[Any]]) -> int | None:
    """Rows of a feature without lengths; None when it does not tell."""
    values = _values_of(feature, parts)
    if len(parts) > 1:
        other = next(part for part in parts if part != "values")
        raise RequestError(f"input '{feature}.{other}' comes without '{feature}.lengths'")
    return _check_dense(feature, values)


def _values_of(feature: str, parts: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    if "values" not in parts:
        raise RequestError(f"input '{feature}.{next(iter(parts))}' comes without '{feature}.values'")
    return parts["values"]


def _check_dense(feature: str, values: NDArray[Any]) -> int | None:
    if values.dtype.kind != "f":
        return None  # ids whose lengths this model does not read
    if values.dtype != np.float32 or values.ndim != 2:
        raise RequestError(
            f"input '{feature}.values' is {_describe(values)}; a dense feature is float32, (rows, width)"
        )
    return len(values)


def _check_values(feature: str, values: NDArray[Any]) -> None:
    ids = values.dtype in (np.int64, np.int32) and values.ndim == 1
    floats = values.dtype == np.float32 and values.ndim == 2
    if not ids and not floats:
        raise RequestError(
            f"input '{feature}.values' is {_describe(values)}; beside lengths it is int64 of shape (n,), "
            "or float32 of shape (n, width)"
        )


def _check_lengths(name: str, lengths: NDArray[Any]) -> None:
    if lengths.dtype not in (np.int64, np.int32) or lengths.ndim != 1:
        raise RequestError(f"input '{name}' is {_describe(lengths)}; lengths are int64 of shape (n,)")
    if len(lengths) and lengths.min() < 0:
        at = int(lengths.argmin())
        raise RequestError(f"input '{name}' is {lengths[at]} at position {at}; lengths are 0 or more")
    if len(lengths) and lengths.max() > np.iinfo(np.int32).max:
        at = int(lengths.argmax())
        raise RequestError(f"input '{name}' is {lengths[at]} at position {at}, more than there can be values")


def _check_sum(name: str, lengths: NDArray[Any], counted: str, count: int) -> None:
    total = int(lengths.sum(dtype=np.int64))
    if total != count:
        raise RequestError(f"input '{name}' sums to {total}, but '{counted}' has {count} entries")


def _check_weights(feature: str, weights: NDArray[Any] | None, count: int) -> None:
    if weights is not None and (weights.dtype != np.float32 or weights.shape != (count,)):
        raise RequestError(
            f"input '{feature}.weights' is {_describe(weights)}; it is float32 with one entry "
            f"for each of the {count} values"
        )


def _check_rows(rows: Mapping[str, int], tensors: Mapping[str, NDArray[Any]], *, tile: bool) -> None:
    """All features have equally many rows; under INPUT_TILE one row may stand for all."""
    size = tensors.get("batch_size") if tile else None
    if size is not None and (size.dtype not in (np.int64, np.int32) or size.size != 1 or size.min() < 1):
        raise RequestError(f"input 'batch_size' is {_describe(size)}; it is one integer of 1 or more")
    batch = max(rows.values(), default=0)
    allowed = {batch}
    if size is not None and int(size.reshape(-1)[0]) > 1:
        batch = int(size.reshape(-1)[0])
        allowed = {batch, 1}  # batch_size 1 is the offline form: every feature is repeated already
    for feature, count in rows.items():
        if count not in allowed:
            largest = max(rows, key=lambda name: rows[name])
            said = f"'{largest}' has {rows[largest]}" if rows[largest] == batch else f"batch_size is {batch}"
            raise RequestError(f"input '{feature}' has {count} rows, but {said}")
    if rows and batch not in rows.values():
        raise RequestError(f"input 'batch_size' is {batch}, but no feature has more than one row")


def _check_ids(feature: str, values: NDArray[Any], limit: int) -> None:
    if values.dtype.kind != "i" or not values.size:
        return
    for at in (int(values.argmin()), int(values.argmax())):
        if not 0 <= values.flat[at] < limit:
            raise RequestError(
                f"input '{feature}.values' is {values.flat[at]} at position {at}; ids of this feature are "
                f"0 or more and less than {limit}"
            )


def _describe(tensor: NDArray[Any]) -> str:
    return f"{tensor.dtype} of shape {tensor.shape}"
