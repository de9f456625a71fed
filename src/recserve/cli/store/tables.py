"""What the commands share: the registry they are asked about, and its tables."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recserve.feature_store.places import Tables
    from recserve.feature_store.records import Registry, View

REGISTRY = Path("feature_store.yaml")

RegistryOption = Annotated[Path, typer.Option("--registry", help="The registry file.")]
MemoryOption = Annotated[
    int, typer.Option("--memory-mb", min=64, help="Memory for sorting and joining; the rest goes to disk.")
]


def open_tables(registry: Path) -> Tables:
    """Read a registry; its tables are opened as they are asked for."""
    from recserve.feature_store.places import Tables
    from recserve.feature_store.registry import load
    from recserve.sources import open_source

    if not registry.exists():
        raise ConfigError(f"{registry} does not exist; `recserve store init` writes an example")
    return Tables(load(registry), open_source)


def view_of(registry: Registry, name: str) -> View:
    """The view of that name; a ConfigError tells the known ones."""
    from recserve.feature_store.registry import named

    view: View = named(registry.views, name, "view", str(registry.path))
    return view


@contextmanager
def step_bars() -> Iterator[Callable[[str, int, int], None]]:
    """One bar on stderr for each step, with rows per second and the time that is left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} rows"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def step(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total or None)
            bars.update(tasks[name], completed=done, total=total or None)

        yield step
