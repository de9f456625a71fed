"""Sizes that an export is right for, of tensors and of what feature generation lays out."""

from __future__ import annotations

import numpy as np
import pytest

from recserve.columns import ModelInputs
from recserve.engines.first_sizes import FirstSizes, fit, limits
from recserve.engines.sizes import Size

SIZES = {"user.lengths": Size(least=2), "tags.values": Size(most=6), "price.values": Size(least=2, most=3)}


def inputs(*, tags: int = 4, rows: int = 3) -> ModelInputs:
    ints = {"user.lengths": np.ones(1, np.int64), "tags.values": np.zeros(tags, np.int64)}
    floats = {"price.values": np.zeros((rows, 5), np.float32)}
    return ModelInputs(list(ints), list(ints.values()), list(floats), list(floats.values()))


@pytest.mark.parametrize(
    ("tags", "rows", "expected"), [(4, 3, True), (6, 2, True), (7, 3, False), (4, 1, False), (4, 4, False)]
)
def test_entries_are_counted_and_users_once_for_every_row(*, tags: int, rows: int, expected: bool) -> None:
    sizes = FirstSizes(SIZES, repeated=["user.lengths"])

    assert sizes.fit(inputs(tags=tags, rows=rows), rows) is expected


def test_a_user_that_is_not_repeated_has_one_row() -> None:
    assert not FirstSizes(SIZES).fit(inputs(), 3)
    assert FirstSizes({}).fit(inputs(), 3)


def test_what_is_not_laid_out_is_counted_where_its_first_size_is_known() -> None:
    laid_out = inputs()
    sizes = {"price.values": Size(most=3), "item.lengths": Size(most=4), "age.values": Size(least=1, most=4)}
    first = {"item.lengths": Size("rows"), "age.values": Size(least=1, most=1)}

    for repeated in ((), ("age.values",)):
        assert FirstSizes(sizes, repeated, first).fit(laid_out, 4)
        assert not FirstSizes(sizes, repeated, first).fit(laid_out, 5)
    assert not FirstSizes(sizes | {"age.values": Size(most=0)}, (), first).fit(laid_out, 4)
    assert not FirstSizes({"age.values": Size(most=4)}, ["age.values"], first).fit(laid_out, 5)
    assert not FirstSizes(sizes, (), first | {"item.lengths": Size()}).fit(laid_out, 4)
    assert not FirstSizes(sizes).fit(laid_out, 4)


def test_tensors_are_counted_as_the_export_takes_them() -> None:
    assert fit({"tags.values": np.zeros(6), "other": np.zeros(0)}, SIZES)
    assert not fit({"tags.values": np.zeros(7)}, SIZES)


def test_that_few_are_no_special_cases_is_no_limit() -> None:
    stated = {"a": Size(least=2), "b": Size(least=3), "c": Size(least=2, most=9), "d": Size(least=1, most=1)}

    found = limits(stated | {"e": Size(least=2, most=2**63 - 2)})

    assert found == {"b": Size(least=3), "c": Size(most=9), "d": Size(least=1, most=1)}
