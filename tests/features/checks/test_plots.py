from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.features.checks.test_stats import FEATURES, ROWS, baseline, table

from recserve.errors import ConfigError
from recserve.features.checks.plots import draw

if TYPE_CHECKING:
    from pathlib import Path


def test_a_page_holds_twelve_features(tmp_path: Path) -> None:
    raw = FEATURES[0]
    many = [{**raw, "feature_name": f"price${place}_"} for place in range(13)]

    pages = draw(baseline({"price": ROWS["price"]}, features=many), tmp_path / "plots")

    assert [page.name for page in pages] == ["features_1.png", "features_2.png"]
    assert all(page.read_bytes().startswith(b"\x89PNG") for page in pages)


def test_a_baseline_is_drawn_behind(tmp_path: Path) -> None:
    before, today = baseline(table(500)), baseline(table(500, seed=1, missing=0.5))

    (page,) = draw(today, tmp_path, before=before, form="svg")

    text = page.read_text()
    assert text.startswith("<?xml")
    assert "#9aa4b2" in text  # the baseline's colour


@pytest.mark.parametrize("columns", [{"price": []}, {"price": [None, None]}, {"price": [1.0]}])
def test_features_without_values_are_drawn_empty(tmp_path: Path, columns: dict[str, Any]) -> None:
    assert len(draw(baseline(columns), tmp_path)) == 1


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(ConfigError, match=r"plots need matplotlib: pip install 'recserve\[plots\]'"):
        draw(baseline(ROWS), tmp_path)
