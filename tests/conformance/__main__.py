"""Runs the suite and prints a verdict per item: `make conformance`."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table
from tests.conformance.checklist import ITEMS, items_of


class Verdicts:
    """Counts by item what became of its tests."""

    def __init__(self) -> None:
        self.outcomes: defaultdict[int, Counter[str]] = defaultdict(Counter)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest for each phase of a test."""
        if report.when == "call" or report.outcome != "passed":
            _, _, test = report.nodeid.rpartition("::")
            for item in items_of(test):
                self.outcomes[item][report.outcome] += 1

    def table(self) -> Table:
        table = Table("item", "what", "tests", "verdict")
        for item, sentence in ITEMS.items():
            outcomes = self.outcomes[item]
            table.add_row(str(item), sentence, str(outcomes.total()), _verdict(outcomes))
        return table


def _verdict(outcomes: Counter[str]) -> str:
    if not outcomes:
        return "not tested"
    return "passed" if set(outcomes) == {"passed"} else f"{outcomes['failed']} failed"


def main() -> int:
    """Give pytest's status."""
    verdicts = Verdicts()
    status = pytest.main(["-q", str(Path(__file__).parent), *sys.argv[1:]], plugins=[verdicts])
    Console().print(verdicts.table())
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
