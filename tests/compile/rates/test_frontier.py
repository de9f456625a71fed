from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recserve.compile.export import Exported, for_all_sizes
from recserve.compile.rates.frontier import Cut, cut
from recserve.compile.rates.values import NotUnderstood, Rate
from recserve.engines.engine import TensorSpec
from recserve.engines.sizes import Size, exactly

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = Size("rows")
RATES = {
    "user.values": Rate.USER,
    "price.values": Rate.ITEM,
    "brand.values": Rate.ITEM,
    "tags.lengths": Rate.ITEM,
    "tags.values": Rate.ITEM,
    "match.values": Rate.PAIR,
}
SPECS = {
    "brand.values": TensorSpec("int64", 1, (ROWS,)),
    "match.values": TensorSpec("float32", 2, (ROWS, exactly(3))),
    "price.values": TensorSpec("float32", 2, (ROWS, exactly(2))),
    "tags.lengths": TensorSpec("int64", 1, (ROWS,)),
    "tags.values": TensorSpec("int64", 1, (Size(),)),
    "user.values": TensorSpec("float32", 2, (exactly(1), exactly(5))),
}


def drawn(rows: int, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    lengths = random.integers(0, 4, rows)
    lengths[0] = 3
    return {
        "brand.values": random.integers(0, 9, rows),
        "match.values": random.standard_normal((rows, 3), np.float32),
        "price.values": random.standard_normal((rows, 2), np.float32),
        "tags.lengths": lengths,
        "tags.values": random.integers(0, 9, int(lengths.sum())),
        "user.values": random.standard_normal((1, 5), np.float32),
    }


class Drawn(nn.Module):
    """A graph of `count` operators that are drawn, each over what there is already."""

    def __init__(self, seed: int, count: int) -> None:
        super().__init__()
        self.random = np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.steps: list[tuple[str, int, int]] = []
        widths = [5, 2, 4, 4, 3]  # of what `start` makes
        for _ in range(count):
            kind = str(self.random.choice(["linear", "relu", "cat", "add", "mul", "slice", "scores"]))
            one, other = (int(k) for k in self.random.integers(0, len(widths), 2))
            if kind in ("add", "mul", "scores") and widths[one] != widths[other]:
                kind = "cat"
            self.steps.append((kind, one, other))
            if kind == "linear":
                width = int(self.random.integers(1, 9))
                self.add_module(f"layer_{len(self.steps) - 1}", nn.Linear(widths[one], width))
                widths.append(width)
            else:
                wide = {"cat": widths[one] + widths[other], "slice": max(1, widths[one] // 2), "scores": 1}
                widths.append(wide.get(kind, widths[one]))

    def forward(self, tables: dict[str, Tensor], data: dict[str, Tensor]) -> dict[str, Tensor]:
        found = self.start(tables["brands"], data)
        rows = data["match.values"].size(0)
        for k, (kind, one, other) in enumerate(self.steps):
            a, b = found[one], found[other]
            if kind == "cat" and a.size(0) != b.size(0):
                a, b = (x if x.size(0) == rows else x.expand(rows, -1) for x in (a, b))
            found.append(self.step(kind, k, a, b))
        last = [x if x.size(0) == rows else x.repeat(rows, 1) for x in found[-3:]]
        return {"probs": torch.sigmoid(torch.cat(last, 1).sum(1)), "last": last[-1]}

    @staticmethod
    def start(brands: Tensor, data: dict[str, Tensor]) -> list[Tensor]:
        tags = torch.segment_reduce(
            brands[data["tags.values"]], "sum", lengths=data["tags.lengths"], axis=0, unsafe=True
        )
        brand = nn.functional.embedding(data["brand.values"], brands)
        return [data["user.values"], data["price.values"], brand, tags, data["match.values"]]

    def step(self, kind: str, k: int, a: Tensor, b: Tensor) -> Tensor:
        if kind == "linear":
            return self.get_submodule(f"layer_{k}")(a)  # type: ignore[no-any-return]
        return STEPS[kind](a, b)


STEPS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda a, _: a.relu(),
    "cat": lambda a, b: torch.cat([a, b], 1),
    "add": torch.add,
    "mul": torch.mul,
    "slice": lambda a, _: a[:, : max(1, a.size(1) // 2)],
    "scores": lambda a, b: torch.bmm(a.unsqueeze(1), b.unsqueeze(2).expand(a.size(0), -1, 1)).squeeze(2),
}
TABLES = {"brands": torch.randn(9, 4, generator=torch.Generator().manual_seed(3))}


def exported(module: nn.Module, outputs: tuple[str, ...] = ("last", "probs")) -> Exported:
    """A program over SPECS, as the rates pass makes one."""
    data = {name: torch.from_numpy(array) for name, array in drawn(11).items()}
    sizes = {
        name: {} if spec.shape[0].fixed else {0: torch.export.Dim.DYNAMIC} for name, spec in SPECS.items()
    }

    class Equal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, tables: dict[str, Tensor], data: dict[str, Tensor]) -> Any:
            check: Any = torch._check
            for name, spec in SPECS.items():
                if spec.shape[0] == ROWS:
                    check(data[name].size(0) == data["match.values"].size(0))
            return self.module(tables, data)

    with for_all_sizes():
        program = torch.export.export(Equal(), (TABLES, data), dynamic_shapes=({"brands": None}, sizes))
    return Exported(program, SPECS, ("brands",), outputs)


def answers(part: Exported, data: dict[str, Any]) -> dict[str, Tensor]:
    tables = {path: TABLES[path] for path in part.tables}
    given = {name: torch.as_tensor(data[name]) for name in part.inputs}
    with torch.no_grad():
        found: dict[str, Tensor] = part.program.module(check_guards=False)(tables, given)
    return found


def both(made: Cut, data: dict[str, Any]) -> dict[str, Tensor]:
    return answers(made.rest, data | answers(made.items, data))


@pytest.mark.parametrize("seed", range(10))
def test_both_programs_together_answer_what_the_whole_answers(seed: int) -> None:
    whole = exported(Drawn(seed, 12))
    try:
        made = cut(whole, RATES, drawn(11))
    except NotUnderstood:
        return  # what is drawn may read no item
    assert all(RATES[name] == Rate.ITEM for name in made.items.inputs)
    for rows in (1, 2, 7, 30):
        data = drawn(rows, seed=rows)

        result = both(made, data)

        expected = answers(whole, data)
        assert result.keys() == expected.keys()
        for name in expected:
            torch.testing.assert_close(result[name], expected[name], rtol=1e-5, atol=1e-6)


class Layers(nn.Module):
    """What the rates pass makes of a first layer: a sum of a user's, an item's and a pair's part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.user, self.item, self.pair = nn.Linear(5, width), nn.Linear(8, width), nn.Linear(3, width)
        self.head = nn.Linear(width, 1)

    def forward(self, tables: dict[str, Tensor], data: dict[str, Tensor]) -> dict[str, Tensor]:
        _, _, brand, tags, _ = Drawn.start(tables["brands"], data)
        hidden = self.item(torch.cat([brand, tags], 1))
        hidden = hidden + self.pair(data["match.values"]) + self.user(data["user.values"])
        return {"probs": torch.sigmoid(self.head(hidden.relu()))}


def test_a_layer_of_items_is_cut_behind_it() -> None:
    made = cut(exported(Layers(8), ("probs",)), RATES, drawn(11))

    assert dict(made.widths) == {"item_results_00.values": 8}
    assert made.bytes_per_item == 32
    assert sorted(made.items.inputs) == ["brand.values", "tags.lengths", "tags.values"]
    assert sorted(made.rest.inputs) == ["item_results_00.values", "match.values", "user.values"]
    assert (made.items.tables, made.rest.tables) == (("brands",), ())


def test_a_layer_that_would_only_widen_a_number_is_not_kept() -> None:
    class Widened(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.price, self.brand = nn.Linear(2, 512), nn.Linear(4, 4)

        def forward(self, tables: dict[str, Tensor], data: dict[str, Tensor]) -> dict[str, Tensor]:
            brand = self.brand(nn.functional.embedding(data["brand.values"], tables["brands"]))
            hidden = self.price(data["price.values"]) * data["user.values"][:, :1]
            return {"probs": hidden.sum(1) + (brand * data["user.values"][:, :4]).sum(1)}

    made = cut(exported(Widened(), ("probs",)), RATES, drawn(11))

    assert sorted(made.widths.values()) == [2, 4]


def test_a_model_without_items_is_not_cut() -> None:
    class Users(nn.Module):
        def forward(self, tables: dict[str, Tensor], data: dict[str, Tensor]) -> dict[str, Tensor]:
            return {"probs": data["match.values"].sum(1) + data["user.values"].sum()}

    with pytest.raises(NotUnderstood, match="depends on items alone"):
        cut(exported(Users(), ("probs",)), RATES, drawn(11))


def test_a_sum_in_place_leaves_what_is_kept_as_it_is() -> None:
    class Sum(Layers):
        def forward(self, tables: dict[str, Tensor], data: dict[str, Tensor]) -> dict[str, Tensor]:
            _, _, brand, tags, _ = Drawn.start(tables["brands"], data)
            hidden = self.item(torch.cat([brand, tags], 1))
            hidden.addmm_(data["match.values"], self.pair.weight.t())
            return {"probs": torch.sigmoid(self.head((hidden * data["user.values"][:, :1]).relu()))}

    whole = exported(Sum(8), ("probs",))
    made, data = cut(whole, RATES, drawn(11)), drawn(5)
    kept = answers(made.items, data)
    before = kept["item_results_00.values"].clone()

    result = answers(made.rest, data | kept)

    assert torch.equal(kept["item_results_00.values"], before)
    torch.testing.assert_close(result["probs"], answers(whole, data)["probs"])
