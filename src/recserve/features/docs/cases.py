r"""The table of cases in a feature type's docstring: what a reader sees is what tests run.

    | map                | key        | keys             | result       |
    |--------------------|------------|------------------|--------------|
    | `{"a": 1, "b": 2}` | `"b\x1da"` |                  | `[3.0]`      |
    |                    |            | `"combiner": ""` | `[2.0, 1.0]` |

One column per input, headed by the fg.json key that names it (`map`), or by the input's own name where a key
lists several (`expression`, `variables`); then `keys`, the inside of a feature object, and `result`, always a
list (weighted: an object). A cell is JSON in backquotes, in which `\x1d` is that byte, and NaN is "nan"; an
empty input repeats the one above, `null` is a missing cell.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve.features.types.feature_type import FeatureType

#: What the features of all tables are called: `need_prefix` makes `NAME_a`.
NAME = "NAME"


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a table."""

    cells: Mapping[str, Any]  # column → its cell, as JSON has it
    feature: Mapping[str, Any]  # for fg.json; the columns are on side user
    result: Any


@dataclass(frozen=True, slots=True)
class Described:
    """A docstring in its parts."""

    before: str  # a sentence, and what else stands above the table
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  # cells as they are written
    after: str  # rules, "Ours", "Source"


def described(text: str) -> Described:
    """Take a docstring (as inspect.getdoc gives it) apart; without a table all of it is `before`."""
    lines = text.splitlines()
    inside = [place for place, line in enumerate(lines) if line.startswith("|")]
    if not inside:
        return Described(text.strip(), (), (), "")
    first, last = inside[0], inside[-1]
    table = [_cells_of(line) for line in lines[first : last + 1]]
    header, _, *rows = table
    if any(len(row) != len(header) for row in rows):
        raise ValueError(f"a row of the table has other columns than its header {header}")
    before, after = "\n".join(lines[:first]).strip(), "\n".join(lines[last + 1 :]).strip()
    return Described(before, header, tuple(rows), after)


def cases(feature_type: str, record: type[FeatureType], text: str) -> tuple[Case, ...]:
    """Read the cases of a type from its docstring."""
    table = described(text)
    columns = table.header[:-2]
    if not columns or table.header[-2:] != ("keys", "result"):
        raise ValueError(f"there is no table of cases: the header is {table.header}")
    found = []
    above = ("",) * len(columns)
    for row in table.rows:
        above = tuple(cell or repeated for cell, repeated in zip(row, above, strict=False))
        cells = {name: _json(cell) for name, cell in zip(columns, above, strict=True)}
        keys = _json(f"`{{{row[-2].strip('`')}}}`")
        found.append(Case(cells, _feature(feature_type, record, columns, keys), _json(row[-1])))
    return tuple(found)


def _cells_of(line: str) -> tuple[str, ...]:
    """Cut a row at its bars; those inside of backquotes, and escaped ones, are text."""
    pieces = re.findall(r"((?:`[^`]*`|\\\||[^|`])*)\|", line.strip().removeprefix("|"))
    return tuple(piece.strip().replace(r"\|", "|") for piece in pieces)


def _json(cell: str) -> Any:
    text = re.sub(r"\\x([0-9a-fA-F]{2})", r"\\u00\1", cell.removeprefix("`").removesuffix("`"))
    try:
        return json.loads(text)
    except ValueError as e:
        raise ValueError(f"the cell {cell} is not JSON in backquotes: {e}") from e


def _feature(
    feature_type: str, record: type[FeatureType], columns: tuple[str, ...], keys: dict[str, Any]
) -> dict[str, Any]:
    hints = get_type_hints(record)
    fields = [field.name for field in dataclasses.fields(record)]
    feature = {"feature_type": feature_type, "feature_name": NAME, **keys}
    named = [column for column in columns if column in fields and hints[column] is str]
    for column in named:
        feature.setdefault(column, f"user:{column}")
    listed = [f"user:{column}" for column in columns if column not in named]
    lists = [key for key in ("variables", "expression") if get_origin(hints.get(key)) is tuple]
    if listed and lists:
        feature.setdefault(lists[0], listed)
    return feature
