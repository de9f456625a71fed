"""Pictures of a plan, as text and by Graphviz."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest
from tests.features.example import example

from recserve.errors import LoadError
from recserve.features import config
from recserve.features.plan import Plan
from recserve.features.views.drawing import dot, draw, mermaid, svg

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def plan() -> Plan:
    return Plan(example(), tile=False)


def many(count: int) -> Plan:
    feature: dict[str, Any] = {"feature_type": "id_feature", "num_buckets": 9}
    ids = [{**feature, "feature_name": f"f{n}", "expression": f"user:c{n}"} for n in range(count)]
    return Plan(config.load({"features": ids}), tile=False)


def test_arrows_lead_from_columns_and_features_to_the_features_that_read_them(plan: Plan) -> None:
    edges = {(a, b) for a, b, _ in draw(plan).edges}

    assert ("item:price", "feature:price") in edges
    assert ("feature:price", "feature:age_x_price") in edges
    assert ("user:age", "feature:age_x_price") in edges


def test_what_a_group_gathers_is_a_dashed_arrow_from_the_item_column(plan: Plan) -> None:
    gathered = {(a, b) for a, b, by_ids in draw(plan).edges if by_ids}

    assert gathered == {("item:price", "feature:clicks__price"), ("item:tags", "feature:clicks__tags")}


def test_chosen_features_are_drawn_with_what_they_read(plan: Plan) -> None:
    drawn = draw(plan, ["taste"])

    assert {node.key for node in drawn.nodes} == {"user:taste", "feature:tag", "feature:taste"}


def test_mermaid_groups_features_by_rate_and_members_by_group(plan: Plan) -> None:
    text = mermaid(draw(plan))

    assert text.startswith("flowchart LR\n")
    assert re.findall(r"^  subgraph (\w+)Rate", text, re.MULTILINE) == ["const", "item", "user", "pair"]
    assert re.search(r'^    subgraph userGroup1\["clicks, ids in user:clicks"\]$', text, re.MULTILINE)
    assert text.count("subgraph") == len(re.findall(r"^ +end$", text, re.MULTILINE))
    assert re.search(r'\["tag<br/>id"\]:::itemStub$', text, re.MULTILINE)


@pytest.mark.parametrize("folded", [False, True])
def test_both_texts_draw_every_node_and_arrow(plan: Plan, folded: bool) -> None:
    drawn = draw(plan, folded=folded)

    arrows = len(drawn.edges)
    assert len(re.findall(r"^  n\d+ -\.?-> n\d+$", mermaid(drawn), re.MULTILINE)) == arrows
    assert len(re.findall(r"^  n\d+ -> n\d+", dot(drawn), re.MULTILINE)) == arrows
    assert len(re.findall(r"^ +n\d+ \[", dot(drawn), re.MULTILINE)) == len(drawn.nodes)


@pytest.mark.parametrize("write", [mermaid, dot])
def test_names_of_any_kind_stay_inside_their_quotes(write: Any) -> None:
    named = {"feature_type": "id_feature", "feature_name": 'a"]-->b\\', "num_buckets": 2}
    plan = Plan(config.load({"features": [{**named, "expression": 'const:"<b>\x1d'}]}), tile=False)

    label = next(line for line in write(draw(plan)).splitlines() if "--" in line)

    assert len(re.findall(r'(?<!\\)"', label)) == (2 if write is mermaid else 8)


def test_python_steps_have_a_double_frame() -> None:
    step = {"feature_type": "regex_replace_feature", "feature_name": "r", "regex_pattern": "x"}
    plan = Plan(config.load({"features": [{**step, "expression": "user:x", "num_buckets": 9}]}), tile=False)

    assert '[["r<br/>regex_replace (Python step)"]]' in mermaid(draw(plan))
    assert "peripheries=2" in dot(draw(plan))


def test_like_features_fold_into_one_node() -> None:
    drawn = draw(many(1000), folded=True)

    assert [node.lines for node in drawn.nodes] == [
        ("user", "1000 columns"),
        ("1000 × id", "f0, f1, f2, f3, f4, f5, f6, f7,…"),
    ]
    assert len(drawn.edges) == 1


def test_graphviz_draws_svg(plan: Plan) -> None:
    if shutil.which("dot") is None:
        with pytest.raises(LoadError, match="apt-get install graphviz"):
            svg(dot(draw(plan)))
        return

    root = ET.fromstring(svg(dot(draw(plan))))

    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "clicks__price" in "".join(root.itertext())


def test_without_graphviz_the_error_names_its_package(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(LoadError, match="apt-get install graphviz"):
        svg(dot(draw(plan)))


def test_what_graphviz_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\necho 'syntax error in line 1' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(LoadError, match="dot ends with status 1: syntax error in line 1"):
        svg("no graph")


def test_members_of_several_groups_fold_together() -> None:
    member = {"feature_type": "id_feature", "feature_name": "x", "expression": "item:x", "num_buckets": 9}
    features = [{**member, "default_value": "0"}]
    groups = [{"sequence_name": f"s{n}", "features": features} for n in range(30)]

    drawn = draw(Plan(config.load({"features": groups}), tile=False), folded=True)

    assert [(node.group, node.lines[0]) for node in drawn.nodes if node.rate] == [
        ("30 sequence groups", "30 × id")
    ]
