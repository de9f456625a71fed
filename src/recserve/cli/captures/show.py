"""`recserve captures show`: one kept request, for a person to read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recserve.cli.output import print_json

if TYPE_CHECKING:
    from recserve.client.captures import Kept
    from recserve.columns import Batch


def show(
    capture: Annotated[
        Path,
        typer.Argument(help="A file that a service has kept; of a folder, the newest.", show_default=False),
    ],
) -> None:
    """Print a kept request as JSON, with the features of its items where it has them.

    `request` is as `recserve score` takes it.
    """
    from recserve.client.captures import find, read

    kept = read(max(find([capture]), key=lambda file: (file.stat().st_mtime_ns, file.name)))
    print_json(
        {
            "request_id": kept.request_id,
            "written": kept.written.isoformat(timespec="seconds"),
            "request": _tensors(kept) if kept.data.kind == "tensors" else _request(kept),
            **({"raw_features": dict(kept.data.raw_features)} if kept.data.raw_features else {}),
            **(
                {"generate_features": dict(kept.data.generate_features)}
                if kept.data.generate_features
                else {}
            ),
        }
    )


def _request(kept: "Kept") -> dict[str, Any]:
    from recserve.columns import to_arrow

    request = kept.request()
    said: dict[str, Any] = {
        "user": {name: cells[0] for name, cells in _columns(request.user).items()},
        "item_ids": to_arrow(request.item_ids).to_pylist(),
        "context": _columns(request.context),
        "item_features": _columns(request.item_features),
        "debug_level": request.debug_level,
        "meta": dict(request.meta),
    }
    return {key: value for key, value in said.items() if value}


def _columns(batch: "Batch") -> dict[str, list[Any]]:
    from recserve.client.captures import cells

    return {name: cells(batch[name]) for name in batch.names}


def _tensors(kept: "Kept") -> dict[str, Any]:
    request = kept.tensors()
    by_position = {str(place): values for place, values in enumerate(request.inputs) if values is not None}
    return {
        "inputs": {
            name: {"dtype": str(values.dtype), "shape": list(values.shape), "values": values.tolist()}
            for name, values in {**by_position, **request.named_inputs}.items()
        },
        "debug_level": request.debug_level,
    }
