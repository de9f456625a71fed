"""Event times as whole microseconds since 1970, whatever a table keeps them in.

Ours: a timestamp without a zone is in UTC.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from recserve.errors import DataError

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def microseconds(array: pa.Array, unit: str, where: str, *, up: bool = False) -> pa.Array:
    """Convert timestamps, dates, or integers that count `unit`s; null stays null.

    Nanoseconds are rounded down, or `up`: then nothing is ever said to be earlier than it was.
    """
    types = pa.types
    if types.is_date(array.type):
        array = array.cast(pa.timestamp("us"))
    if types.is_timestamp(array.type):
        unit = array.type.unit
    elif not types.is_integer(array.type):
        raise DataError(f"{where} is {array.type}; an event time is a timestamp or an integer")
    counts = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    per_second = _PER_SECOND[unit]
    if unit == "ns":
        exact = -(-counts // 1_000) if up else counts // 1_000
    else:
        factor = 1_000_000 // per_second
        if counts.size and max(abs(int(counts.min())), abs(int(counts.max()))) > (2**63 - 1) // factor:
            raise DataError(
                f"{where}: {int(np.abs(counts).max())} {unit} is no time; is the time_unit right?"
            )
        exact = counts * factor
    missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    return pa.array(exact, pa.int64(), mask=missing)
