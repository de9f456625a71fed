"""`recserve compile` leaves a bundle faster, or as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.compile.bundles import features_of, write_rank
from tests.engines import models

from recserve.bundle import Bundle
from recserve.compile.bundle import Progress, _replaced, compile_bundle, steps
from recserve.compile.script import write_script
from recserve.engines.compiled import Compiled, Machine, folder_of, sha256_of
from recserve.engines.engine import tensors
from recserve.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.compile.bundles import CompiledBundle

    from recserve.compile.export import Exported


def test_the_record_says_where_it_fits_and_what_was_seen(compiled_tile: CompiledBundle) -> None:
    made, bundle = compiled_tile.made, compiled_tile.bundle

    assert made.folder == folder_of(bundle) == bundle.path / "compiled" / Machine.this().key
    assert made.model_sha256 == sha256_of(bundle.model_path)
    assert made.parity["requests"] >= 25
    assert made.parity["probability"] <= 2e-6
    assert [speed.rows for speed in made.speed] == [1, 20, 200, 1000]
    assert made.why_not(bundle) == ""
    assert Compiled.read(made.folder) == made


def test_the_record_says_how_users_come_and_what_was_tried(rewritten_rank: CompiledBundle) -> None:
    made = rewritten_rank.made

    assert [(one.graph, one.engine) for one in made.variants] == [
        ("rates", "torchscript"),
        ("flat", "torchscript"),
    ]
    assert all([speed.rows for speed in one.speed] == [1, 20, 200, 1000] for one in made.variants)
    assert made.not_understood == ""
    if made.graph == "rates":  # unless this machine was busy: which one is faster is measured
        assert made.users_once
        assert made.repeats
        assert "user_id.lengths" in made.users
        assert made.inputs["user_id.lengths"].shape[0].fixed == 1
        assert 0 < made.flop_ratio < 1


def test_only_what_serving_needs_is_kept(
    compiled_tile: CompiledBundle, rewritten_rank: CompiledBundle
) -> None:
    told = {"compiled.json", "report.md", "report.svg"}
    rewritten = rewritten_rank.made.folder
    assert {path.name for path in rewritten.iterdir()} == told | {"model.pt"}
    folder = compiled_tile.made.folder

    assert {path.name for path in folder.iterdir()} == told | {"package", "torch_runner.so"}
    assert {path.name for path in folder.parent.iterdir()} == {folder.name}
    assert not list(folder.rglob("*.cpp"))


def test_embeddings_stay_in_the_original_file(compiled_rank: CompiledBundle) -> None:
    assert compiled_rank.made.tables == ("weights",)


def test_the_command_prints_its_verdict(rewritten_rank: CompiledBundle) -> None:
    printed = rewritten_rank.printed

    assert "requests answered alike" in printed
    assert str(rewritten_rank.made.folder) in printed
    assert "rates, torchscript" in printed
    assert ("services take it" in printed) is rewritten_rank.made.faster


def test_what_is_wrong_is_refused_and_its_request_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_rank(tmp_path / "rank")

    def wrong(exported: Exported, path: Path) -> None:
        held = exported.program.state_dict
        name = max(held, key=lambda name: held[name].numel() * held[name].is_floating_point())
        held[name] = held[name] + 1e-3
        write_script(exported, path)

    monkeypatch.setattr("recserve.compile.bundle.write_script", wrong)
    said: list[str] = []

    with pytest.raises(BundleError, match=r"nothing is written: output '.*' differs"):
        compile_bundle(bundle, features_of(bundle), progress=Progress(say=said.append))

    assert not (bundle.path / "compiled").exists()
    with np.load(tmp_path / "rank.differs.npz") as saved:
        assert {"original/item_id.values", "compiled/batch_size", "expected/probs_ctr"} <= {*saved} | {
            "compiled/batch_size"
        }
    assert any(line.startswith("rates, torchscript is not used: output") for line in said)


def test_without_rates_the_flat_model_is_kept_and_told_why(tmp_path: Path) -> None:
    bundle = models.write_rank(tmp_path)
    samples = [tensors(models.rank_inputs(rows)) for rows in (3, 9)]

    made = compile_bundle(Bundle.open(bundle), None, samples=samples)

    assert (made.graph, made.engine, made.users_once, made.repeats) == ("flat", "torchscript", False, False)
    assert made.not_understood == "no fg.json says which features are the user's"
    assert made.parity == {"requests": 2, "probability": 0.0, "relative": 0.0}


def test_a_defect_of_ours_is_one_line_and_the_flat_model_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_rank(tmp_path / "rank")

    def defect(*_: object, **__: object) -> None:
        raise IndexError("list index out of range\nand more")

    monkeypatch.setattr("recserve.compile.bundle.rewrite", defect)

    made = compile_bundle(bundle, features_of(bundle))

    assert (made.graph, made.users_once, made.steps) == ("flat", False, ())
    assert made.not_understood == (
        "its rates were not found (IndexError: list index out of range); please report it"
    )
    assert made.parity["probability"] == 0.0


def test_a_model_that_nothing_can_be_made_of_is_left(tmp_path: Path) -> None:
    (tmp_path / "scripted_model.pt").write_bytes(b"")

    with pytest.raises(BundleError, match="not a TorchScript model that loads"):
        compile_bundle(Bundle.open(tmp_path), None, samples=[tensors(models.rank_inputs(3))])


def test_a_failed_step_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "compiled" / "key"
    target.mkdir(parents=True)
    (target / "compiled.json").write_text("old")

    with pytest.raises(FileNotFoundError), _replaced(target) as folder:
        (folder / "compiled.json").rename(folder / "elsewhere")

    assert (target / "compiled.json").read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_a_first_attempt_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BundleError), _replaced(tmp_path / "compiled" / "key"):
        raise BundleError("an answer differs")

    assert list(tmp_path.iterdir()) == []


def test_a_new_result_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with _replaced(tmp_path / "key") as folder:
            (folder / text).write_text("")

    assert [path.name for path in (tmp_path / "key").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_without_features_and_samples_there_is_nothing_to_compare(tmp_path: Path) -> None:
    bundle = Bundle.open(models.write_rank(tmp_path))

    with pytest.raises(BundleError, match=r"no fg\.json to draw requests from; .* --samples"):
        compile_bundle(bundle, None)


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "column_sum.json").write_text("{}")

    with pytest.raises(
        BundleError, match=r"column_sum\.json is neither a TorchScript model nor one of torch\.export"
    ):
        compile_bundle(Bundle.open(tmp_path), None)


def test_machine_code_needs_a_compiler_and_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_rank(tmp_path / "rank")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BundleError, match=r"no C\+\+ compiler is installed, .* apt-get install"):
        compile_bundle(bundle, features_of(bundle), engines=("aotinductor",))


def test_steps_are_told_apart_by_their_names() -> None:
    told = steps(("torchscript", "aotinductor"))

    assert len(set(told)) == len(told)
    assert "comparing answers: rates, aotinductor" in told


def test_what_pays_for_some_models_is_tried_where_all_is_tried() -> None:
    packed = "compiling: rates, aotinductor, packed weights"

    assert packed in steps(("torchscript", "aotinductor"))
    assert packed not in steps(("aotinductor",))
