"""What commands print: JSON for programs, tables for people; progress and notes go to stderr."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_pairs(pairs: Mapping[str, Any], title: str = "") -> None:
    """Names and values, one pair per line."""
    print_table(("", ""), list(pairs.items()), title=title)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str = "") -> None:
    """A table as wide as its content, also where stdout is a file; numbers stand right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title or None, title_justify="left", show_header=any(columns), box=None, pad_edge=False
    )
    for place, name in enumerate(columns):
        numbers = all(isinstance(row[place], (int, float)) for row in rows)
        table.add_column(name, justify="right" if numbers and rows else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)  # print(width=...) would not go beyond the console's own 80
    console.print(table, crop=False, soft_wrap=not console.is_terminal)


def _shown(cell: Any) -> str:
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)


@contextmanager
def progress_bar(title: str, unit: str = "") -> Iterator[Callable[[float, float | None], None]]:
    """A bar on stderr: call it with (done, total or None); with a unit it also shows how many per second."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.finished_speed or task.speed or 0:,.0f} {unit}/s" if unit else "")

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), Rate())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        bar = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)
