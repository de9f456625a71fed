"""The README is true: its Python runs, its commands exist and work, its claims about tables hold."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest
from tests.markdown import ROOT, code_spans, fences, prose, shell_lines
from tests.page_run import PageRun, check_options

from recserve.engines import torch_pair
from recserve.features.types import FEATURE_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

README = ROOT / "README.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageRun]:
    with PageRun(tmp_path_factory.mktemp("readme")) as run:
        yield run


def test_the_example_prints_the_items_best_first(page: PageRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which scores they get, the demo's training decides; here they come from a model of sums."""
    monkeypatch.chdir(page.folder)
    (example,) = fences(README, "python")
    assert example.output is not None

    printed, shown = _lines(page.python(example)), _lines(example.output)

    assert sorted(item for item, _ in printed) == sorted(item for item, _ in shown)
    assert [score for _, score in printed] == sorted((score for _, score in printed), reverse=True)
    assert [score for _, score in shown] == sorted((score for _, score in shown), reverse=True)
    assert dict(printed)["no-such-item"] == dict(shown)["no-such-item"] == 0.0


def _lines(printed: str) -> list[tuple[str, float]]:
    pairs = [line.split() for line in printed.splitlines()]
    assert all(re.fullmatch(r"\S+ +\d+\.\d{4}", line) for line in printed.splitlines()), printed
    return [(item, float(score)) for item, score in pairs]


@pytest.mark.parametrize("line", shell_lines(README))
def test_its_commands_work(page: PageRun, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.chdir(page.folder)

    page.shell(line)


def test_a_command_that_is_not_there_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        check_options(["serve", "bundle", "--prot", "8000"])


def test_it_names_the_feature_types_that_there_are() -> None:
    spans = set(code_spans(README))

    assert set(FEATURE_TYPES) <= spans
    assert {span for span in spans if span.endswith("_feature")} <= set(FEATURE_TYPES)


def test_the_pinned_pair_is_the_one_that_extras_install_and_check_recommends() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    torch, fbgemm = torch_pair.TORCH, torch_pair.FBGEMM

    assert extras["torch"] == [f"torch=={torch}", f"{torch_pair.CPU}=={fbgemm}"]
    assert extras["torch-cuda"] == [f"torch=={torch}", f"{torch_pair.CUDA}=={fbgemm}"]
    text = README.read_text()
    assert f"torch {torch} with {torch_pair.CPU} {fbgemm}" in text
    assert f"the same torch with {torch_pair.CUDA} {fbgemm}" in text


def test_torchrec_is_installed_as_the_makefile_does() -> None:
    (command,) = (span for span in code_spans(README) if "torchrec" in span)

    assert command.removeprefix("pip ") in (ROOT / "Makefile").read_text()


def test_measured_figures_have_a_place_to_stand() -> None:
    marked = re.search(r"<!-- figures -->\n(.+?)<!-- /figures -->", prose(README), re.DOTALL)

    assert marked is not None
    assert marked[1].strip()
