"""A feature taken apart without a second implementation: the same record with one rule changed, run by the
same native core beside it. What differs between two of them is what the rule did.

    feature f     value_dim 1, vocab_list, default_value "none"
    f, probed     without buckets and value_dim      the tokens before they are cut and bucketized
                  default_value none, then "1"       rows that differ took the default
                  unknown words get an index of none rows that have it are unknown words
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recserve.features.bucketize import Buckets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recserve.features.config import Feature

#: Between the name of a feature and that of its probe: no feature's own name has a control character.
MARK = "\x1f"

#: The defaults of `with_defaults`: nothing, or 0.0 where numbers fill a row up, and something else.
DEFAULTS = ("", "1")

#: Any number becomes 1, while what merely fills a row up stays 0.
PRESENT = "method=expression,expr=1"


def probe(feature: Feature, what: str, *, length: int | None = None, **keys: Any) -> Feature:
    """The same feature with some of its keys changed, as a stub called `what`."""
    record = dataclasses.replace(feature.type, **keys)
    record = dataclasses.replace(record, stub_type=True)
    length = feature.length if length is None else length
    return dataclasses.replace(feature, name=f"{feature.name}{MARK}{what}", type=record, length=length)


def with_defaults(feature: Feature) -> tuple[Feature, Feature]:
    """Two probes whose results differ where, and only where, the feature takes its default."""
    plain: dict[str, Any] = {"buckets": Buckets(), "normalizer": "", "need_prefix": False}
    first, second = (probe(feature, f"default {text}", default_value=text, **plain) for text in DEFAULTS)
    return first, second


def units(array: pa.Array, *, sequence: bool) -> pa.Array:
    """What a rate is a share of: rows, of a sequence its elements."""
    return array.flatten() if sequence else array


def lengths(array: pa.Array) -> NDArray[np.int64]:
    """Values per row; of a scalar 1, of null 0."""
    if pa.types.is_fixed_size_list(array.type):
        return np.full(len(array), array.type.list_size, np.int64)
    if pa.types.is_nested(array.type):
        ends: NDArray[np.int64] = array.offsets.to_numpy().astype(np.int64)
        return np.diff(ends) * present(array)
    return present(array).astype(np.int64)


def present(array: pa.Array) -> NDArray[np.bool_]:
    """Which rows are not null."""
    mask: NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    return mask


def leaves(array: pa.Array) -> pa.Array:
    """The innermost values; of a map its keys."""
    while pa.types.is_nested(array.type):
        array = array.keys if pa.types.is_map(array.type) else array.flatten()
    return array


def differs(left: pa.Array, right: pa.Array) -> NDArray[np.bool_]:
    """Rows in which two arrays of one type are not equal; NaN equals NaN."""
    if not pa.types.is_nested(left.type):
        return _scalars_differ(left, right)
    own, other = lengths(left), lengths(right)
    result: NDArray[np.bool_] = own != other
    same = pa.array(~result)
    inner = differs(_entries(left.filter(same)), _entries(right.filter(same)))
    ends = np.concatenate([[0], np.cumsum(own[~result])])
    counts = np.concatenate([[0], np.cumsum(inner)])
    result[~result] = counts[ends[1:]] > counts[ends[:-1]]
    return result


def _entries(array: pa.Array) -> pa.Array:
    return array.keys if pa.types.is_map(array.type) else array.flatten()


def _scalars_differ(left: pa.Array, right: pa.Array) -> NDArray[np.bool_]:
    unequal: NDArray[np.bool_] = pc.fill_null(pc.not_equal(left, right), False).to_numpy(zero_copy_only=False)
    if pa.types.is_floating(left.type):
        a, b = (side.fill_null(0).to_numpy() for side in (left, right))
        unequal = unequal & ~(np.isnan(a) & np.isnan(b))
    different: NDArray[np.bool_] = unequal | (present(left) != present(right))
    return different
