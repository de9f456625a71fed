"""`recserve compile` takes archives of torch.export: the same rates, the same gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.compile.bundles import features_of
from tests.compile.exported_programs import Ranker, ranker, up_to, write
from tests.compile.families import CLICKED, DIM, FAMILIES, STEPS
from tests.compile.fuzz import Compared, fuzz
from tests.engines import export_models
from torch import Tensor, nn

from recserve.bundle import Bundle
from recserve.compile.asked import Drawn
from recserve.compile.bundle import compile_bundle
from recserve.compile.requests import Requests
from recserve.compile.sources import open_source
from recserve.engines.compiled import FLAT, RATES, Compiled
from recserve.engines.guarded import Guarded
from recserve.engines.sizes import Size
from recserve.errors import BundleError
from recserve.messages import TensorRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

QUICK = 40


@pytest.mark.parametrize("family", FAMILIES)
def test_a_program_at_its_own_rates_answers_what_the_original_answers(family: str, tmp_path: Path) -> None:
    core = list(FAMILIES).index(family) % 2 == 1  # half of them as torch takes them apart
    model = Compared(write(tmp_path / "bundle", ranker(family), core=core), RATES, tmp_path)

    result = fuzz(model, QUICK)

    assert result.seed is None, f"{result.error}{result.largest}"
    assert result.compared == QUICK


class StartsOfBags(Ranker):
    """Bags that are told by where they begin, and clicks that are cut out of one list."""

    def row(self, data: dict[str, Tensor], name: str) -> Tensor:
        table = self.tables[name]
        if isinstance(table, nn.Embedding):
            return super().row(data, name)
        lengths = data[f"{name}.lengths"]
        starts = lengths.cumsum(0) - lengths
        pooled: Tensor = nn.functional.embedding_bag(
            data[f"{name}.values"], table.get_parameter("weight"), starts, mode="mean"
        )
        return pooled

    def padded(self, data: dict[str, Tensor], name: str, present: Tensor) -> Tensor:
        lengths = data[f"clicks__{CLICKED[0]}.lengths"]
        values = data[f"clicks__{name}.values"]
        places = (lengths.cumsum(0) - lengths).unsqueeze(1) + torch.arange(STEPS)
        return values[places.clamp(max=values.size(0) - 1)]


class JaggedClicks(Ranker):
    """Clicks that are padded by fbgemm, and bags with offsets of zero and all ends but the last."""

    def row(self, data: dict[str, Tensor], name: str) -> Tensor:
        table = self.tables[name]
        if isinstance(table, nn.Embedding):
            return super().row(data, name)
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), data[f"{name}.lengths"].cumsum(0)[:-1]])
        pooled: Tensor = nn.functional.embedding_bag(
            data[f"{name}.values"], table.get_parameter("weight"), starts, mode="sum"
        )
        return pooled

    def padded(self, data: dict[str, Tensor], name: str, present: Tensor) -> Tensor:
        ends = data[f"clicks__{CLICKED[0]}.lengths"].cumsum(0)
        offsets = nn.functional.pad(ends, (1, 0))
        ids = data[f"clicks__{name}.values"].to(torch.float32).unsqueeze(1)
        padded: Tensor = torch.ops.fbgemm.jagged_to_padded_dense(ids, [offsets], [STEPS], 0.0)
        return padded.squeeze(2).to(torch.int64)


@pytest.mark.parametrize("core", [False, True])
@pytest.mark.parametrize("kind", [StartsOfBags, JaggedClicks])
def test_other_ways_to_lay_out_rows_answer_alike(kind: type[Ranker], tmp_path: Path, *, core: bool) -> None:
    torch.manual_seed(3)
    model = Compared(write(tmp_path / "bundle", kind(FAMILIES["din"]()), core=core), RATES, tmp_path)

    result = fuzz(model, QUICK)

    assert result.seed is None, f"{result.error}{result.largest}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Compiled]:
    bundle = write(tmp_path_factory.mktemp("programs") / "din", ranker("din"))
    return bundle, compile_bundle(bundle, features_of(bundle), item_results=True)


def test_its_rates_are_found_and_most_products_are_gone(made: tuple[Bundle, Compiled]) -> None:
    _, record = made

    assert record.not_understood == ""
    assert [(one.graph, one.engine, one.why_not) for one in record.variants] == [
        (RATES, "torchscript", ""),
        (FLAT, "torchscript", ""),
    ]
    assert record.parity["probability"] <= 2e-6
    if record.graph == RATES:  # unless this machine was busy: which one is faster is measured
        assert record.flop_ratio < 0.6
        assert record.users_once
        assert record.repeats


def test_tables_stay_in_the_archive_and_are_in_memory_once(made: tuple[Bundle, Compiled]) -> None:
    bundle, record = made
    assert set(record.tables) <= {f"tables.{name}.weight" for name in ranker("din").tables}
    assert len(record.tables) == len(ranker("din").tables)
    assert record.folder.joinpath("model.pt").stat().st_size < bundle.model_path.stat().st_size

    engine = Guarded.open(record, bundle)

    table = engine.original.module.get_parameter(record.tables[0])
    assert engine.rewritten.module.table_0.data_ptr() == table.data_ptr()  # type: ignore[attr-defined]


def test_sizes_that_nobody_has_limited_are_any(made: tuple[Bundle, Compiled]) -> None:
    bundle, record = made

    assert open_source(bundle).sizes["item_id.values"] == Size(least=2)  # 0 and 1 were no special cases
    assert record.sizes == {}
    assert [speed.rows for speed in record.speed] == [1, 20, 200, 1000]


class Cumulative(Ranker):
    """With an operator that no rule knows."""

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        found = super().forward(data)
        return found | {"probs_ctr": torch.logcumsumexp(found["probs_ctr"].unsqueeze(1), 1).squeeze(1)}


def test_an_operator_that_nobody_knows_is_named_and_the_flat_model_is_kept(tmp_path: Path) -> None:
    bundle = write(tmp_path / "bundle", Cumulative(FAMILIES["din"]()))

    record = compile_bundle(bundle, features_of(bundle))

    assert record.graph == FLAT
    assert "aten.logcumsumexp" in record.not_understood
    assert record.parity["relative"] == 0.0


class Branches(Ranker):
    """With another way for some values."""

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        found = super().forward(data)["probs_ctr"]
        return {"probs_ctr": torch.cond(found.sum() > 1, lambda x: x + 1, lambda x: x - 1, (found,))}


def test_a_branch_is_one_line(tmp_path: Path) -> None:
    bundle = write(tmp_path / "bundle", Branches(FAMILIES["din"]()))

    with pytest.raises(BundleError, match=r"^the model calls cond, which cannot be compiled$"):
        compile_bundle(bundle, features_of(bundle))

    assert not (bundle.path / "compiled").exists()


def test_a_program_for_some_rows_alone_is_one_line(tmp_path: Path) -> None:
    def as_here(data: Mapping[str, Tensor]) -> dict[str, Any]:
        return {name: {} for name in data}

    bundle = write(tmp_path / "bundle", ranker("din"), rows=5, sizes=as_here)

    with pytest.raises(
        BundleError,
        match=r"^the model was exported for 5 in dimension 0 of '.*', and a request has 200; export it with",
    ):
        compile_bundle(bundle, features_of(bundle))


def test_its_limits_are_kept_and_beyond_them_the_original_answers(tmp_path: Path) -> None:
    model = ranker("din")
    bundle = write(tmp_path / "bundle", model, sizes=up_to(50))
    features = features_of(bundle)

    record = compile_bundle(bundle, features)

    assert Compiled.read(record.folder) == record
    assert record.rows == 50
    assert record.sizes["item_id.values"] == Size(most=50)
    assert [speed.rows for speed in record.speed] == [1, 20]


class Counting(Ranker):
    """Which counts its calls."""

    calls: Tensor

    def __init__(self, head: nn.Module) -> None:
        super().__init__(head)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        self.calls.add_(1)
        return super().forward(data)


@pytest.mark.parametrize("core", [False, True])
def test_a_model_that_changes_itself_is_refused(tmp_path: Path, *, core: bool) -> None:
    bundle = write(tmp_path / "bundle", Counting(FAMILIES["din"]()), core=core)

    with pytest.raises(BundleError, match=r"changes its 'calls'|writes to its inputs or to itself"):
        compile_bundle(bundle, features_of(bundle))


def test_recorded_requests_make_it_flat_whatever_its_inputs_are_called(tmp_path: Path) -> None:
    bundle = Bundle.open(export_models.write_scores(tmp_path))
    random = np.random.default_rng(5)
    samples: list[dict[str, NDArray[Any]]] = [
        {
            "x": random.standard_normal((rows, 3), np.float32),
            "ids": random.integers(0, 9, (rows, steps)),
        }
        for rows, steps in ((4, 2), (9, 5), (3, 7))
    ]

    record = compile_bundle(bundle, None, samples=samples)

    assert (record.graph, record.users_once) == (FLAT, False)
    assert record.inputs["ids"].shape[1].fixed is None
    assert record.sizes == {"x": Size(most=1000), "ids": Size(most=1000)}
    engine = Guarded.open(record, bundle)
    for sample in samples:
        found = engine.rewritten.run_arrays(sample)
        np.testing.assert_array_equal(found["probs"], engine.original.run_arrays(sample)["probs"])


class UserOnce(nn.Module):
    """A user of one row, as under INPUT_TILE, beside any number of items."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.users, self.items = nn.Embedding(50, DIM), nn.Embedding(40, DIM)
        self.head = nn.Sequential(nn.Linear(2 * DIM, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        items = self.items(data["item_id.values"])
        user = self.users(data["user_id.values"]).expand(items.size(0), -1)
        return {"probs": torch.sigmoid(self.head(torch.cat([user, items], 1)).squeeze(1))}


def test_a_program_of_one_user_has_its_product_cut(tmp_path: Path) -> None:
    def sizes(data: Mapping[str, Tensor]) -> dict[str, Any]:
        rows = torch.export.Dim("rows")
        return {name: {0: rows} if name.startswith("item_id") else {} for name in data}

    bundle = write(tmp_path / "bundle", UserOnce(), only=("user_id", "item_id"), tile=True, sizes=sizes)

    record = compile_bundle(bundle, features_of(bundle))

    assert record.not_understood == ""
    assert not record.repeats
    rates = next(one for one in record.variants if one.graph == RATES)
    assert rates.why_not == ""


def test_a_table_that_is_multiplied_too_is_no_table(tmp_path: Path) -> None:
    class Tied(Ranker):
        def forward(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
            weight = self.tables["user_id"].get_parameter("weight")
            scores = self.tables["user_id"](data["user_id.values"]) @ weight.t()
            return {"probs_ctr": torch.sigmoid(super().forward(data)["logits_ctr"] + scores.sum(1))}

    bundle = write(tmp_path / "bundle", Tied(FAMILIES["din"]()))
    features = features_of(bundle)
    source = open_source(bundle)
    graph = source.graph(Drawn(features, source.inputs, source.sizes))

    assert "tables.user_id.weight" not in graph.tables
    assert "tables.item_id.weight" in graph.tables


def test_tensors_of_clients_are_answered_by_the_original_where_users_repeat(
    made: tuple[Bundle, Compiled],
) -> None:
    bundle, record = made
    features = features_of(bundle)
    engine = Guarded.open(record, bundle)
    given = Requests(features, engine.inputs).example(7)

    answered = engine.run_tensors(TensorRequest([], given))

    expected = engine.original.run_arrays(given)
    np.testing.assert_allclose(answered.named_outputs["probs_ctr"], expected["probs_ctr"], rtol=0, atol=2e-6)
