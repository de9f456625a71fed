"""The report says what became of a model's work, in text, as a page and as a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from recserve.compile.rates import walk
from recserve.compile.rates.values import Rate
from recserve.compile.report import (
    Prediction,
    describe,
    explain,
    markdown,
    picture,
    predict,
    split,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

USER, ITEM, PAIR = 1, 2, 3
SVG = "{http://www.w3.org/2000/svg}"


def counted(node: str, before: float, flops: dict[int, float], note: str = "") -> walk.Step:
    by_rate = {Rate(number): count for number, count in flops.items()}
    return walk.Step(node, "aten.addmm.default", max(by_rate), before, by_rate, note)


#: A first layer that was split in three, a second one that was not, and small ones.
STEPS = split(
    (
        counted("addmm", 400e6, {PAIR: 200e6, USER: 1e6, ITEM: 99e6}, "one user's columns once"),
        counted("addmm_1", 100e6, {PAIR: 100e6}),
        counted("addmm_2", 0.0, {PAIR: 0.0}),
        counted("addmm_3", 0.0, {PAIR: 0.0}),
    )
)
SMALL = STEPS[4:]


def test_an_operator_is_a_step_at_each_rate_and_the_last_tells_what_it_was_before() -> None:
    result = [(step.rate, step.plain_flops, step.flops) for step in STEPS[:3]]

    assert result == [(USER, 0.0, 1e6), (ITEM, 0.0, 99e6), (PAIR, 400e6, 200e6)]


def test_flops_are_summed_by_rate() -> None:
    result = predict(STEPS, 200)

    expected = Prediction(rows=200, plain=500e6, user=1e6, item=99e6, pair=300e6)
    assert result == expected
    assert result.ratio == 0.8
    assert result.ratio_items_kept == 0.602


def test_a_model_without_matrix_products_is_predicted_to_stay_as_it_is() -> None:
    assert predict(SMALL, 200).ratio == 1.0
    assert predict((), 200).ratio_items_kept == 1.0


def test_the_prediction_is_told_in_lines() -> None:
    result = describe(predict(STEPS, 200))

    assert "a request of 200 candidates" in result
    assert "predicted: 0.80 of the exported model, at most 0.60 with results of items kept" in result
    assert "not understood" not in result


def test_what_was_not_understood_is_told_with_its_reason() -> None:
    why = "aten.foo.default: no rule"

    assert describe(predict((), 1), [why]).endswith(f"so the exported model stays:\n  {why}")
    assert f"- {why}" in markdown((), 1, not_understood=[why])


def test_the_costly_parts_come_first() -> None:
    lines = explain(STEPS, 2).splitlines()

    assert lines[1].split()[:6] == ["200.0", "50%", "400.0", "pair", "aten.addmm.default", "addmm"]
    assert lines[2].split()[:3] == ["100.0", "25%", "100.0"]
    assert len(lines) == 3
    assert len(explain(STEPS).splitlines()) == 5


def test_nothing_costly_is_told_as_such() -> None:
    assert explain(SMALL) == "no step has a matrix product"


def test_the_page_has_a_row_for_each_step_that_computes() -> None:
    result = markdown(STEPS, 200)

    assert "| 500.0 | 1.00 | 99.0 | 300.0 | 0.80 | 0.60 |" in result
    assert "| `aten.addmm.default` addmm | 400.0 | 1.00 | 99.0 | 200.0 | one user's columns once |" in result


def test_the_picture_is_well_formed_and_says_all_that_its_colours_say() -> None:
    root = ET.fromstring(picture(STEPS, 200))

    assert root.get("role") == "img"
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert "user: once per request: 1.00 MFLOP" in texts
    assert "pair: per candidate: 300.0 MFLOP" in texts
    assert all(rect.find(f"{SVG}title") is not None for rect in list(root.iter(f"{SVG}rect"))[1:])
    description = root.find(f"{SVG}desc")
    assert description is not None
    assert "predicted: 0.80" in (description.text or "")


def test_all_that_is_drawn_lies_in_the_picture() -> None:
    many = split(counted(f"mm_{k}", 1e6, {k % 3 + 1: 1e6}, "<&>" * 40) for k in range(60))

    root = ET.fromstring(picture(many, 7))

    _, _, width, height = (float(number) for number in root.attrib["viewBox"].split())
    for rect in root.iter(f"{SVG}rect"):
        assert float(rect.get("x", 0)) + float(rect.attrib["width"]) <= width
        assert float(rect.get("y", 0)) + float(rect.attrib["height"]) <= height


def test_the_picture_is_drawn_even_of_nothing() -> None:
    assert ET.fromstring(picture((), 1)).tag == f"{SVG}svg"


def test_page_and_picture_are_written_side_by_side(tmp_path: Path) -> None:
    write(tmp_path, STEPS, 200)

    assert {path.name for path in tmp_path.iterdir()} == {"report.md", "report.svg"}
    assert "(report.svg)" in (tmp_path / "report.md").read_text()
