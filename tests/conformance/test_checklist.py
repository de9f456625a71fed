"""Every item of the checklist has a test, and every test its item."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.conformance.checklist import ITEMS, items_of


def test_every_item_is_tested_and_every_test_says_its_items() -> None:
    names = [
        node.name
        for file in Path(__file__).parent.glob("test_*.py")
        if file != Path(__file__)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]

    assert [name for name in names if not items_of(name)] == []
    assert {item for name in names for item in items_of(name)} == set(ITEMS)
