"""`recserve compile` leaves a bundle faster, or as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.compile.bundles import features_of, write_rank
from tests.engines import models

from recserve.bundle import Bundle
from recserve.compile.bundle import STEPS, _replaced, compile_bundle
from recserve.engines.compiled import Compiled, Machine, folder_of, sha256_of
from recserve.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.compile.bundles import CompiledBundle


def test_the_record_says_where_it_fits_and_what_was_seen(compiled_tile: CompiledBundle) -> None:
    made, bundle = compiled_tile.made, compiled_tile.bundle

    assert made.folder == folder_of(bundle) == bundle.path / "compiled" / Machine.this().key
    assert made.model_sha256 == sha256_of(bundle.model_path)
    assert made.parity["requests"] >= 25
    assert made.parity["probability"] <= 2e-6
    assert [speed.rows for speed in made.speed] == [1, 20, 200, 1000]
    assert made.why_not(bundle) == ""
    assert Compiled.read(made.folder) == made


def test_only_what_serving_needs_is_kept(compiled_tile: CompiledBundle) -> None:
    folder = compiled_tile.made.folder

    assert {path.name for path in folder.iterdir()} == {"compiled.json", "package", "torch_runner.so"}
    assert {path.name for path in folder.parent.iterdir()} == {folder.name}
    assert not list(folder.rglob("*.cpp"))


def test_embeddings_stay_in_the_original_file(compiled_rank: CompiledBundle) -> None:
    assert compiled_rank.made.tables == ("weights",)


def test_the_command_prints_its_verdict(compiled_rank: CompiledBundle) -> None:
    assert "25 requests answered alike" in compiled_rank.printed
    assert str(compiled_rank.made.folder) in compiled_rank.printed
    assert ("services take it" in compiled_rank.printed) is compiled_rank.made.faster


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

    with pytest.raises(BundleError, match=r"column_sum\.json is no TorchScript model"):
        compile_bundle(Bundle.open(tmp_path), None)


def test_without_a_compiler_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_rank(tmp_path / "rank")
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BundleError, match=r"no C\+\+ compiler is installed, .* apt-get install"):
        compile_bundle(bundle, features_of(bundle))


def test_steps_are_told_apart_by_their_names() -> None:
    assert len(set(STEPS)) == len(STEPS)
