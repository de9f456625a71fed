"""Dashboard and alerts ask for metrics and labels that there are, and a page says what to do."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from tests.markdown import ROOT, anchors, table_rows

OBSERVABILITY = ROOT / "observability"
OPERATE = ROOT / "docs" / "operate.md"
#: Of the process itself; prometheus_client makes them.
PROCESS = {"process_cpu_seconds_total": set[str](), "process_resident_memory_bytes": set[str]()}
#: What Prometheus adds to every metric that it scrapes, and to histograms.
ADDED = {"job", "instance", "le"}


def documented() -> dict[str, set[str]]:
    """Metrics of the reference page, and their labels."""
    found = dict(PROCESS)
    for first, *_ in table_rows(ROOT / "docs" / "reference" / "metrics.md"):
        named = re.fullmatch(r"`(recserve_\w+)(?:\{([\w,]+)\})?`", first)
        if named:
            found[named[1]] = set((named[2] or "").split(",")) - {""}
    return found


def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((OBSERVABILITY / "dashboard.json").read_text())
    return read


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((OBSERVABILITY / "alerts.yaml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def expressions() -> list[tuple[str, str]]:
    """(where, expression): all that Prometheus will be asked."""
    panels = dashboard()["panels"]
    asked = [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", ())]
    asked += [(variable["name"], variable["query"]) for variable in dashboard()["templating"]["list"]]
    return asked + [(alert["alert"], alert["expr"]) for alert in alerts()]


def metrics_in(expression: str) -> set[str]:
    """Names of metrics, without what Prometheus appends for histograms."""
    name = r"\b((?:recserve|process)_\w+?)(?:_bucket|_sum|_count)?\b(?=[\s{\[)=>,]|$)"
    return set(re.findall(name, expression))


@pytest.mark.parametrize(("where", "expression"), expressions())
def test_an_expression_asks_for_metrics_that_there_are(where: str, expression: str) -> None:
    known = documented()
    named = re.findall(
        r"\b((?:recserve|process)_\w+?)(?:_bucket|_sum|_count)?\b(?=[\s{\[)=>,]|$)", expression
    )

    assert named
    assert set(named) <= known.keys()
    assert expression.count("(") == expression.count(")")
    assert expression.count("{") == expression.count("}")


@pytest.mark.parametrize(("where", "expression"), expressions())
def test_an_expression_groups_and_selects_by_labels_that_its_metrics_have(
    where: str, expression: str
) -> None:
    known = documented()
    named = set(
        re.findall(r"\b((?:recserve|process)_\w+?)(?:_bucket|_sum|_count)?\b(?=[\s{\[)=>,]|$)", expression)
    )
    labels = set(re.findall(r"(\w+)(?:=~|!=|=)\"", expression))
    labels |= {
        label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")
    }

    assert labels <= ADDED.union(*(known[name] for name in named))


def test_every_alert_says_what_users_notice_and_what_to_do() -> None:
    told = anchors(OPERATE)

    for alert in alerts():
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert alert["annotations"]["summary"]
        assert alert["annotations"]["description"]
        assert alert["alert"].lower() in told


def test_panels_lie_beside_one_another_without_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_every_panel_says_what_it_shows() -> None:
    for panel in dashboard()["panels"]:
        assert panel["type"] == "row" or panel["description"].endswith(".")
