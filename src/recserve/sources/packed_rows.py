"""Packed rows: all cells of a row but its key in one text of bytes, as key-value stores hold them.

    Arrow batch ──pack──▶ one text of bytes per row ──unpack──▶ Arrow batch

`cpp/sources/packed_rows.h` draws the bytes, docs/reference/redis.md explains them for other languages; a
`PackedSchema` says which field is where. Source: the row of the FeatureDB protocol.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from recserve._core import PackedFields
from recserve.columns import column_from_arrow, to_arrow
from recserve.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from recserve.columns import Column

_VERSION = 1
_NUMBERS = {"int32": pa.int32(), "int64": pa.int64(), "float": pa.float32(), "double": pa.float64()}
_ENTRIES = {**_NUMBERS, "string": pa.string()}

FIELD_TYPES: dict[str, pa.DataType] = {
    **_ENTRIES,
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("ms", "UTC"),
    **{f"array<{name}>": pa.list_(arrow) for name, arrow in _ENTRIES.items()},
    "array<array<float>>": pa.list_(pa.list_(pa.float32())),
    **{
        f"map<{key},{name}>": pa.map_(_ENTRIES[key], arrow)
        for key in ("int32", "int64", "string")
        for name, arrow in _ENTRIES.items()
    },
}
"""The 28 types of a field, and what each is in Arrow."""

KEY_TYPES = ("string", "int64", "int32")


@dataclass(frozen=True, slots=True)
class Field:
    """A column by name and type; `type` is one of FIELD_TYPES."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class PackedSchema:
    """The key of a table and its fields, in the order in which rows hold them.

    Fields are only ever appended: a row that was written before has no value in the new ones.
    """

    key: Field
    fields: tuple[Field, ...]
    _packed: PackedFields = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = [each.name for each in self.fields]
        object.__setattr__(self, "_packed", PackedFields(names, [each.type for each in self.fields]))

    @classmethod
    def of(cls, schema: pa.Schema, key: str) -> PackedSchema:
        """The schema of Arrow columns, each widened to the next type that packed rows have."""
        by_name = {each.name: Field(each.name, field_type(each.type, each.name)) for each in schema}
        if by_name[key].type not in KEY_TYPES:
            raise DataError(f"key column '{key}' is {schema.field(key).type}; keys are texts or integers")
        return cls(by_name.pop(key), tuple(by_name.values()))

    @classmethod
    def read(cls, document: bytes, where: str) -> PackedSchema:
        """Read what `document` wrote. Raises DataError, which begins with `where`, for anything else."""
        try:
            said: dict[str, Any] = json.loads(document)
            if said["version"] != _VERSION:
                raise DataError(
                    f"{where}: the schema document has version {said['version']!r}, known is {_VERSION}"
                )
            key = Field(str(said["key"]["name"]), str(said["key"]["type"]))
            fields = tuple(Field(str(each["name"]), str(each["type"])) for each in said["fields"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f'{where}: the schema document is not {{"version": 1, "key": {{"name", "type"}}, '
                f'"fields": [{{"name", "type"}}]}}: {type(error).__name__}: {error}'
            ) from error
        names = [key.name, *(each.name for each in fields)]
        for name in names:
            if names.count(name) > 1:
                raise DataError(f"{where}: the schema document has two columns '{name}'")
        if key.type not in KEY_TYPES:
            raise DataError(f"{where}: the key '{key.name}' is {key.type}; keys are {', '.join(KEY_TYPES)}")
        try:
            return cls(key, fields)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error

    def document(self) -> bytes:
        """The schema as JSON."""
        fields = [{"name": each.name, "type": each.type} for each in self.fields]
        key = {"name": self.key.name, "type": self.key.type}
        return json.dumps({"version": _VERSION, "key": key, "fields": fields}, ensure_ascii=False).encode()

    def arrow(self) -> pa.Schema:
        """Names and types of the columns; the key comes first."""
        return pa.schema([(each.name, FIELD_TYPES[each.type]) for each in (self.key, *self.fields)])

    def extended(self, schema: pa.Schema, where: str) -> PackedSchema:
        """With the columns of `schema` that are not among the fields yet appended.

        Raises DataError for a column that the table has with another type.
        """
        known = {each.name: each.type for each in (self.key, *self.fields)}
        added = []
        for each in schema:
            given = field_type(each.type, each.name)
            if each.name not in known:
                added.append(Field(each.name, given))
            elif given != known[each.name]:
                raise DataError(
                    f"{where}: column '{each.name}' is {given}, the table has {known[each.name]}; "
                    "rows hold one type for ever: cast it, or take another name"
                )
        return PackedSchema(self.key, (*self.fields, *added)) if added else self

    def pack(self, batch: pa.RecordBatch) -> list[bytes]:
        """One text of bytes per row; fields that `batch` lacks are null, columns are of the fields' types."""
        columns: list[Column | None] = []
        for each in self.fields:
            present = each.name in batch.schema.names
            columns.append(_stored(batch.column(each.name), each) if present else None)
        packed = to_arrow(self._packed.pack(columns, batch.num_rows))
        rows: list[bytes] = packed.view(pa.binary()).to_pylist()
        return rows

    def unpack(
        self,
        keys: Sequence[bytes],
        rows: Sequence[bytes | None],
        columns: Collection[str] | None = None,
        *,
        where: str,
    ) -> list[pa.Array]:
        """The cells of `columns` (None: of all fields), in the order of the fields; no row: nulls.

        Raises DataError, which begins with `where` and names the key, for bytes that are no such row.
        """
        wanted = [columns is None or each.name in columns for each in self.fields]
        key_column = column_from_arrow(pa.array(keys, pa.binary()))
        row_column = column_from_arrow(pa.array(rows, pa.binary()))
        unpacked = self._packed.unpack(wanted, row_column, key_column, where)
        present = [each for each, want in zip(self.fields, wanted, strict=True) if want]
        arrays = []
        for each, column in zip(present, unpacked, strict=True):
            array = to_arrow(column)
            _check_texts(array, each, keys, where)
            arrays.append(_as_declared(array, each))
        return arrays

    def key_array(self, keys: Sequence[bytes], where: str) -> pa.Array:
        """Keys as the column that they are. Raises DataError for one that is not of the key's type."""
        texts = pa.array(keys, pa.binary())
        try:
            texts = texts.cast(pa.string())
            if self.key.type == "string":
                return texts
            numbers = texts.cast(FIELD_TYPES[self.key.type])
            if numbers.cast(pa.string()).equals(texts):
                return numbers
        except pa.ArrowInvalid:
            pass
        bad = next(key for key in keys if not _is_key(key, self.key.type))
        written = "an integer in plain decimals" if self.key.type != "string" else "UTF-8"
        raise DataError(f"{where}: key {bad!r} is not {written}, as the key column '{self.key.name}' is")


def key_texts(keys: pa.Array | pa.ChunkedArray) -> list[bytes]:
    """How keys stand in the store: UTF-8, integers in plain decimals."""
    texts: list[bytes] = keys.cast(pa.string()).cast(pa.binary()).to_pylist()
    return texts


def field_type(arrow: pa.DataType, name: str) -> str:
    """The type of a field that holds every value of an Arrow type.

    Raises DataError, which names column `name`, for types that packed rows do not have.
    """
    types = pa.types
    found: str | None = None
    if types.is_dictionary(arrow) or types.is_run_end_encoded(arrow):
        return field_type(arrow.value_type, name)
    if types.is_boolean(arrow):
        found = "boolean"
    elif types.is_timestamp(arrow):
        found = "timestamp"
    elif types.is_map(arrow):
        found = f"map<{_entry(arrow.key_type)},{_entry(arrow.item_type)}>"
    elif _is_list(arrow):
        inner = arrow.value_type
        of = f"array<{_entry(inner.value_type)}>" if _is_list(inner) else _entry(inner)
        found = f"array<{of}>"
    else:
        found = _entry(arrow)
    if found in FIELD_TYPES:
        return found
    raise DataError(
        f"column '{name}': packed rows do not hold {arrow}; cast it to text, numbers, a boolean, "
        "a timestamp, arrays or maps of numbers and texts, or arrays of arrays of float"
    )


def _is_list(arrow: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(arrow) or pa.types.is_large_list(arrow) or pa.types.is_fixed_size_list(arrow)
    )


def _entry(arrow: pa.DataType) -> str:
    """What a number or a text is stored as; "?" for anything else."""
    types = pa.types
    if types.is_dictionary(arrow):
        arrow = arrow.value_type
    for matches, name in (
        ((types.is_int64, types.is_uint32, types.is_uint64), "int64"),
        ((types.is_integer, types.is_boolean), "int32"),
        ((types.is_float16, types.is_float32), "float"),
        ((types.is_float64,), "double"),
        ((types.is_string, types.is_large_string, types.is_string_view, types.is_null), "string"),
    ):
        if any(match(arrow) for match in matches):
            return name
    return "?"


def _stored(array: pa.Array, each: Field) -> Column:
    """The array as the core packs it."""
    if _null_entries(array):
        raise DataError(
            f"column '{each.name}' ({each.type}) has nulls inside of its cells; "
            "packed rows know only cells that are null"
        )
    return column_from_arrow(array.cast(pa.int64()) if each.type == "timestamp" else array, each.name)


def _null_entries(array: pa.Array) -> int:
    if pa.types.is_map(array.type):
        return int(array.items.null_count)
    nulls = 0
    while pa.types.is_list(array.type):
        array = array.flatten()
        nulls += array.null_count
    return nulls


def _as_declared(array: pa.Array, each: Field) -> pa.Array:
    declared = FIELD_TYPES[each.type]
    if each.type == "timestamp":
        return array.view(declared)
    return array if array.type == declared else array.cast(declared)


def _check_texts(array: pa.Array, each: Field, keys: Sequence[bytes], where: str) -> None:
    """Arrow's texts are UTF-8, and what reads them may trust in it."""
    if "string" not in each.type:
        return
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        for row, key in enumerate(keys):
            try:
                pa.concat_arrays([array.slice(row, 1)]).validate(full=True)
            except pa.ArrowInvalid:
                shown = key.decode(errors="backslashreplace")
                raise DataError(
                    f"{where}, key '{shown}': field '{each.name}' ({each.type}) holds text that is not UTF-8"
                ) from error
        raise


def _is_key(key: bytes, key_type: str) -> bool:
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return False
    if key_type == "string":
        return True
    try:
        return pa.scalar(int(text), FIELD_TYPES[key_type]) is not None and str(int(text)) == text
    except (ValueError, OverflowError, pa.ArrowInvalid):
        return False
