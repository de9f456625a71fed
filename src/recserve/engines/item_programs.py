"""item_results/: a model in two programs, so that what depends on an item alone is computed once for it.

    <bundle>/compiled/<machine key>/item_results/
      item_results.json    this record
      items.pt             item features ──▶ item results, (rows, width) floats each
      rest.pt              features of users and pairs, and item results ──▶ outputs

`recserve compile --item-results` writes it beside the record of what runs otherwise (compiled.py), which says
where both fit. Embedding tables are the original's in all of them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from recserve.bundle import read_json_object
from recserve.engines.compiled import Speed
from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER, MANIFEST = "item_results", "item_results.json"
ITEMS, REST = "items.pt", "rest.pt"


@dataclass(frozen=True, slots=True)
class Program:
    """One of the two."""

    inputs: tuple[str, ...]  # names of tensors; in `rest` those of item results, too
    tables: tuple[str, ...]  # tensors of the original model, in the order of table_0, table_1, …


@dataclass(frozen=True, slots=True)
class ItemPrograms:
    """The record; `folder` is where it lies."""

    folder: Path
    items: Program
    rest: Program
    widths: Mapping[str, int]  # item results in their order → floats of one item
    users: tuple[str, ...]  # tensors of user features: one row for all
    parity: Mapping[str, float]  # requests, and the largest differences seen of both together
    speed: tuple[Speed, ...]  # of `rest` alone, as where all results are kept

    @property
    def bytes_per_item(self) -> int:
        """Floats that one item's results take."""
        return 4 * sum(self.widths.values())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder's record; BundleError if it is not one of ours."""
        path = folder / MANIFEST
        found = read_json_object(path)
        try:
            return cls(
                folder,
                _program(found["items"]),
                _program(found["rest"]),
                {str(name): int(width) for name, width in found["widths"].items()},
                tuple(found["users"]),
                dict(found["parity"]),
                tuple(
                    Speed(int(s["rows"]), float(s["original_ms"]), float(s["compiled_ms"]))
                    for s in found["speed"]
                ),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise BundleError(
                f"{path} is not what `recserve compile --item-results` writes ({e!r}); run it again"
            ) from e

    def write(self) -> None:
        """Write the record into its folder."""
        content: dict[str, Any] = asdict(self)
        del content["folder"]
        (self.folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n")


def _program(entry: Mapping[str, Any]) -> Program:
    return Program(tuple(entry["inputs"]), tuple(entry["tables"]))
