"""Random columns of one request and its item table, drawn as features ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.features.referee.random_data import TYPES, Data

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from tests.features.referee.cells import Cell

SIDES = ("user", "item", "item", "context")


class Columns:
    """Columns by side; names are unique over all sides, so one table holds their types."""

    def __init__(self, rng: random.Random, keys: Sequence[str], rows: int) -> None:
        self.rng = rng
        self.data = Data(rng)
        self.keys = keys
        self.rows = rows
        self.types: dict[str, str] = {}
        self.user: dict[str, Cell] = {}
        self.context: dict[str, Sequence[Cell]] = {}
        self.items: dict[str, Sequence[Cell]] = {}
        self.absent: set[str] = set()  # columns that do not come at all; their cells are null
        self._absence = rng.choice((0.0, 0.0, 0.0, 0.2))
        self._draws: dict[str, Callable[[], Cell]] = {}
        self._plain: dict[str, tuple[str, str]] = {}  # name → side and kind
        self._count = 0

    def plain(self, kind: str, *, taken: Sequence[str] = (), types: Sequence[str] = ()) -> str:
        """An input `side:name` of a kind: a column that exists, or a new one."""
        side = self.rng.choice(SIDES)
        types = types or TYPES[kind]
        known = [name for name in self._known(side, kind, types) if name not in taken]
        if known and self.rng.random() < 0.5:
            return f"{side}:{self.rng.choice(known)}"
        name, column_type = self._name(side[0]), self.rng.choice(types)
        self._plain[name] = (side, kind)
        self._add(side, name, column_type, lambda: self.data.cell(kind, column_type))
        return f"{side}:{name}"

    def sequence(self, kind: str, delimiter: str, group: str = "") -> str:
        """A sequence input `side:name`; in a group its column is S__name, or the item table's own."""
        side = self.rng.choice(SIDES)
        column_type = self.rng.choice(sequence_types(kind))

        def draw() -> Cell:
            return self.data.sequence(kind, column_type, delimiter)

        if side == "item" and group:
            types = [name for name in TYPES[kind] if not name.startswith("map<")]
            name = self._item(kind, types)
            if f"{group}__{name}" not in self.types and self.rng.random() < 0.15:
                self._add("user", f"{group}__{name}", column_type, draw, comes=True)
            return f"item:{name}"
        name = self._name(f"{side[0]}s")
        self._add(side, f"{group}__{name}" if group else name, column_type, draw)
        return f"{side}:{name}"

    def clicks(self, name: str, delimiter: str, *, int_keys: bool) -> None:
        """A user column of item ids, known and unknown, as text or as an array."""
        column_type = self.rng.choice(["string", "list<string>", *(["list<int64>"] if int_keys else [])])

        def draw() -> Cell:
            if self.rng.random() < 0.2:
                return self.data.nothing(column_type)
            known = [*self.keys, *self.keys, "7"]
            ids = [self.rng.choice(known) for _ in range(self.rng.randint(1, 6))]
            if column_type == "list<int64>":
                return [int(key) for key in ids]
            ids = [key if self.rng.random() < 0.9 else "" for key in ids]
            return delimiter.join(ids) if column_type == "string" else list(ids)

        self._add("user", name, column_type, draw)

    def overrides(self, share: float) -> dict[str, Sequence[Cell]]:
        """Item columns that the request brings itself."""
        names = [name for name in self.items if name not in self.absent and self.rng.random() < share]
        return {name: self._cells(self._draws[name]) for name in names}

    def _item(self, kind: str, types: Sequence[str]) -> str:
        known = self._known("item", kind, types)
        if known and self.rng.random() < 0.7:
            return self.rng.choice(known)
        name, column_type = self._name("i"), self.rng.choice(types)
        self._plain[name] = ("item", kind)
        self._add("item", name, column_type, lambda: self.data.cell(kind, column_type))
        return name

    def _known(self, side: str, kind: str, types: Sequence[str]) -> list[str]:
        return [
            name for name, known in self._plain.items() if known == (side, kind) and self.types[name] in types
        ]

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def _add(
        self, side: str, name: str, column_type: str, draw: Callable[[], Cell], *, comes: bool = False
    ) -> None:
        self.types[name] = column_type
        if not comes and self.rng.random() < self._absence:
            self.absent.add(name)
            draw = _nothing
        if side == "user":
            self.user[name] = draw()
        elif side == "context":
            self.context[name] = self._cells(draw)
        else:
            self._draws[name] = draw
            self.items[name] = [draw() for _ in self.keys]

    def _cells(self, draw: Callable[[], Cell]) -> list[Cell]:
        one_for_all = self.rows > 0 and self.rng.random() < 0.2
        return [draw() for _ in range(1 if one_for_all else self.rows)]


def _nothing() -> Cell:
    return None


def sequence_types(kind: str) -> list[str]:
    """What a sequence column of a kind may be declared as."""
    scalars = [name for name in TYPES[kind] if "<" not in name]
    nested = (
        []
        if "nested" in kind or kind in ("text", "one mask")
        else [f"list<list<{name}>>" for name in scalars]
    )
    return ["string", *(f"list<{name}>" for name in scalars), *nested]
