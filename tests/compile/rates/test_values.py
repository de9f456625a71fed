"""What is told once is the tensor that torch has, however it repeats."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recserve.compile.rates import ops
from recserve.compile.rates.values import (
    Cat,
    Dense,
    Fields,
    Form,
    Product,
    Rate,
    Term,
    aligned,
    concatenated,
    dense,
    full,
)
from recserve.compile.rates.walk import Options, Walk

RATES = (Rate.USER, Rate.ITEM, Rate.PAIR)
few = settings(max_examples=60, deadline=None)


@st.composite
def tensors(draw: st.DrawFn, sizes: tuple[int, ...]) -> Dense:
    """A tensor of those sizes that repeats along some of them."""
    shape, tiles = [], []
    for size in sizes:
        times = draw(st.sampled_from([k for k in range(1, size + 1) if size % k == 0]))
        shape.append(size // times)
        tiles.append(times)
    made = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    return Dense(torch.randn(shape, generator=made), draw(st.sampled_from(RATES)), tuple(tiles))


def written(value: Dense) -> torch.Tensor:
    return value.base.tile(value.tiles)


sizes_of = st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=4).map(tuple)


@st.composite
def broadcast(draw: st.DrawFn, count: int) -> list[Dense]:
    """Tensors that torch broadcasts against one another."""
    sizes = draw(sizes_of)
    found = []
    for k in range(count):
        own = [size if k == 0 or draw(st.booleans()) else 1 for size in sizes]
        own = own[draw(st.integers(0, len(own) - 1)) if k else 0 :]
        found.append(draw(tensors(tuple(own))))
    return found


@given(st.data())
@few
def test_a_tensor_is_written_out_along_any_dimensions(data: st.DataObject) -> None:
    value = data.draw(sizes_of.flatmap(tensors))
    dims = data.draw(st.lists(st.integers(-value.base.dim(), value.base.dim() - 1)))

    result = value.untiled(*dims)

    assert all(result.tiles[d] == 1 for d in dims)
    assert tuple(result.sizes) == tuple(written(value).shape)
    assert torch.equal(written(result), written(value))
    assert torch.equal(full(value), written(value))


@given(broadcast(3))
@few
def test_aligned_bases_broadcast_to_what_the_tensors_would(values: list[Dense]) -> None:
    bases, tiles = aligned(values)

    result = (bases[0] + bases[1] + bases[2]).tile(tiles)

    assert torch.equal(result, written(values[0]) + written(values[1]) + written(values[2]))


@given(st.data())
@few
def test_parts_side_by_side(data: st.DataObject) -> None:
    sizes = data.draw(sizes_of)
    dim = data.draw(st.integers(0, len(sizes) - 1))
    lengths = data.draw(st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=3))
    parts = [data.draw(tensors((*sizes[:dim], size, *sizes[dim + 1 :]))) for size in lengths]
    expected = torch.cat([written(part) for part in parts], dim)

    assert torch.equal(written(concatenated(parts, dim)), expected)
    assert torch.equal(full(Cat(dim, tuple(parts))), expected)
    assert tuple(Cat(dim, tuple(parts)).sizes) == tuple(expected.shape)


@st.composite
def forms(draw: st.DrawFn) -> tuple[Form, torch.Tensor]:
    """A form, and what it stands for."""
    lead = draw(st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=2).map(tuple))
    width = draw(st.integers(1, 6))
    expected = torch.zeros(*lead, width)
    terms = []
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, width - 1))
        wide = draw(st.integers(1, width - start))
        offset = draw(st.integers(0, 2))
        factor = draw(st.sampled_from([1.0, -1.0, 0.5]))
        atom: Any = draw(tensors((*lead, offset + wide + draw(st.integers(0, 1)))))
        atom = atom.untiled(-1)
        numbers = written(atom)
        if draw(st.booleans()):
            other = draw(tensors(tuple(numbers.shape))).untiled(-1)
            atom, numbers = Product(atom, other), numbers * written(other)
        terms.append(Term(start, wide, atom, offset, factor))
        expected[..., start : start + wide] += factor * numbers[..., offset : offset + wide]
    return Form(tuple(terms), width), expected


@given(forms())
@few
def test_a_form_is_the_sum_of_its_terms(pair: tuple[Form, torch.Tensor]) -> None:
    form, expected = pair

    torch.testing.assert_close(full(form), expected)
    assert tuple(form.sizes) == tuple(expected.shape)
    torch.testing.assert_close(full(Fields(form, 1)), expected.unsqueeze(-1))


def walk() -> Walk:
    """Of a graph of one node."""
    graph = torch.fx.Graph()
    node = graph.placeholder("given")
    graph.output((node,))
    found = Walk(graph, {}, tables={}, inputs={}, rates={}, repeated=True, options=Options())
    found.node = node
    return found


def answered(name: str, *arguments: Any) -> Any:
    for rule in ops.OPS[name]:
        found = rule(walk(), *arguments)
        if found is not NotImplemented:
            return found
    return pytest.fail(f"no rule for {name}")


def operator(name: str) -> Any:
    _, packet, overload = name.split(".")
    return getattr(getattr(torch.ops.aten, packet), overload)


def agrees(name: str, value: Any, numbers: torch.Tensor, *arguments: Any) -> None:
    found, expected = answered(name, value, *arguments), operator(name)(numbers, *arguments)
    pairs = zip(found, expected, strict=True) if isinstance(found, tuple | list) else [(found, expected)]
    for one, wanted in pairs:
        assert tuple(one.sizes) == tuple(wanted.shape)
        torch.testing.assert_close(full(one), wanted)


@given(forms(), st.data())
@few
def test_columns_of_a_form(pair: tuple[Form, torch.Tensor], data: st.DataObject) -> None:
    form, numbers = pair
    start, end = data.draw(st.integers(-8, 8)), data.draw(st.one_of(st.none(), st.integers(-8, 8)))

    agrees("aten.slice.Tensor", form, numbers, -1, start, end)
    agrees("aten.split.Tensor", form, numbers, data.draw(st.integers(1, 4)), -1)
    agrees("aten.chunk.default", form, numbers, data.draw(st.integers(1, 4)), -1)
    agrees("aten.pad.default", form, numbers, [data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))])
    agrees("aten.mul.Tensor", form, numbers, 0.5)
    agrees("aten.sum.dim_IntList", form, numbers, [-1], data.draw(st.booleans()))
    agrees("aten.relu.default", form, numbers)


@pytest.mark.parametrize(
    "name", ["aten.add.Tensor", "aten.sub.Tensor", "aten.mul.Tensor", "aten.maximum.default"]
)
@given(values=broadcast(2))
@few
def test_two_tensors_entry_by_entry(name: str, values: list[Dense]) -> None:
    left, right = values

    result = answered(name, left, right)

    torch.testing.assert_close(full(result), operator(name)(written(left), written(right)))


@given(st.data())
@few
def test_shapes(data: st.DataObject) -> None:
    value = data.draw(sizes_of.flatmap(tensors))
    numbers = written(value)
    dims = numbers.dim()
    dim = data.draw(st.integers(-dims, dims - 1))
    order = data.draw(st.permutations(range(dims)))
    start, end = data.draw(st.integers(-4, 4)), data.draw(st.integers(-4, 8))

    agrees("aten.permute.default", value, numbers, list(order))
    agrees("aten.transpose.int", value, numbers, dim, order[0])
    agrees("aten.unsqueeze.default", value, numbers, dim)
    agrees("aten.squeeze.dim", value, numbers, dim)
    agrees("aten.slice.Tensor", value, numbers, dim, start, end)
    agrees("aten.select.int", value, numbers, dim, data.draw(st.integers(0, numbers.size(dim) - 1)))
    agrees("aten.unbind.int", value, numbers, dim)
    agrees("aten.split.Tensor", value, numbers, data.draw(st.integers(1, 4)), dim)
    agrees("aten.repeat.default", value, numbers, [data.draw(st.integers(1, 2))] + [2] * dims)
    agrees("aten.repeat_interleave.self_int", value, numbers, 2, dim)
    agrees("aten.flatten.using_ints", value, numbers, 0, dim)
    agrees("aten.cumsum.default", value, numbers, dim)
    agrees("aten.pad.default", value, numbers, [1, 0], "constant", 2.0)
    agrees(
        "aten.tril.default",
        (value.base.dim() > 1 and value) or Dense.of(numbers[None], value.rate),
        numbers if dims > 1 else numbers[None],
    )


@given(st.data())
@few
def test_views_keep_the_order_of_entries(data: st.DataObject) -> None:
    value = data.draw(sizes_of.flatmap(tensors))
    numbers = written(value)
    left, sizes = numbers.numel(), list[int]()
    while left > 1 and len(sizes) < 4:
        sizes.append(data.draw(st.sampled_from([k for k in range(1, left + 1) if left % k == 0])))
        left //= sizes[-1]
    sizes = [*sizes, left]

    agrees("aten.view.default", value, numbers, sizes)
    agrees("aten.reshape.default", value, numbers, [*sizes[:-1], -1])


@pytest.mark.parametrize(
    "name",
    ["aten.sum.dim_IntList", "aten.mean.dim", "aten.amax.default", "aten.softmax.int", "aten.argmax.default"],
)
@given(data=st.data())
@few
def test_what_is_computed_along_a_dimension(name: str, data: st.DataObject) -> None:
    value = data.draw(sizes_of.flatmap(tensors))
    dim = data.draw(st.integers(-value.base.dim(), value.base.dim() - 1))
    at = [dim] if name.split(".")[1] in ("sum", "mean", "amax") else dim

    agrees(name, value, written(value), at, *([] if "softmax" in name else [data.draw(st.booleans())]))


@given(st.data())
@few
def test_products_of_matrices(data: st.DataObject) -> None:
    lead = data.draw(st.lists(st.sampled_from([1, 2, 4]), min_size=0, max_size=2).map(tuple))
    n, k, m = (data.draw(st.sampled_from([1, 2, 4])) for _ in range(3))
    left = data.draw(tensors((*[data.draw(st.sampled_from([1, size])) for size in lead], n, k)))
    right = data.draw(tensors((*lead, k, m)))

    result = answered("aten.matmul.default", left, right)

    torch.testing.assert_close(full(result), torch.matmul(written(left), written(right)))


def test_a_product_of_a_sum_is_written_once() -> None:
    value = Dense(torch.ones(1, 2), Rate.USER, (3, 1))
    form = Form((Term(0, 2, value), Term(0, 2, Dense.of(torch.ones(3, 2), Rate.ITEM))), 2)

    assert dense(form) is dense(form)
