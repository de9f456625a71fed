"""`recserve items load`: read the item tables as a service would, without serving, and see what it takes."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recserve.cli.items.status import megabytes
from recserve.cli.output import print_json, print_pairs, print_table

if TYPE_CHECKING:
    from recserve.items.store import ItemStore


def load(
    bundle: Annotated[Path, typer.Argument(help="The exported model directory.", show_default=False)],
    *,
    config: Annotated[
        Path,
        typer.Option("--config", "-c", help="The service file that names the tables.", show_default=False),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read the tables of a service file, finish their features, and print time, rate and memory by column.

    The snapshot file is neither read nor written.
    """
    figures = loaded(bundle, config)
    if as_json:
        print_json(figures)
        return
    print_pairs(
        {
            "items": f"{figures['items']:,}",
            "seconds": round(figures["seconds"], 2),
            "items per second": f"{figures['items_per_second']:,.0f}",
            **{name: megabytes(size) for name, size in figures["bytes"].items()},
            "bytes per item": f"{figures['bytes_per_item']:,.1f}",
        }
    )
    typer.echo()
    print_columns(figures["columns"])


def loaded(bundle_path: Path, config: Path | None) -> dict[str, Any]:
    """Load the items, and say in figures what they take."""
    from time import perf_counter

    from recserve.bundle import Bundle
    from recserve.config.service import load as load_spec
    from recserve.items.store import ItemStore
    from recserve.processors.load import load_features, schema_of
    from recserve.processors.load_items import load_items
    from recserve.server.progress import shown_progress

    spec, bundle = load_spec(config), Bundle.open(bundle_path)
    features = load_features(bundle, spec)
    started = perf_counter()
    with shown_progress() as progress:
        items = load_items(features, spec, progress, declared=schema_of(bundle))
    seconds = perf_counter() - started
    if isinstance(items, ItemStore):
        return _figures(items, seconds)
    with closing(items):
        return _figures(items.store, seconds)


def _figures(store: "ItemStore", seconds: float) -> dict[str, Any]:
    from dataclasses import asdict

    figures = store.figures()
    kinds = ("rows", "arena", "dictionary", "index")
    return {
        "items": figures.rows,
        "seconds": seconds,
        "items_per_second": figures.rows / seconds,
        "bytes": {"all": figures.bytes, **{kind: getattr(figures, f"{kind}_bytes") for kind in kinds}},
        "bytes_per_item": figures.bytes / figures.rows if figures.rows else 0.0,
        "columns": [asdict(column) for column in store.column_bytes()],
    }


def print_columns(columns: list[dict[str, Any]]) -> None:
    """Memory by column, the largest first."""
    rows = [
        [column["name"], column["type"], column["kind"], column["slot_bytes"], column["heap_bytes"]]
        for column in sorted(columns, key=lambda column: -column["slot_bytes"] - column["heap_bytes"])
    ]
    print_table(["column", "type", "kind", "bytes in rows", "bytes beside"], rows, title="Memory by column")
