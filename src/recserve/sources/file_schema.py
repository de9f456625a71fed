"""The columns that files have in common, told once for every state of a file."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa

from recserve.errors import DataError
from recserve.sources.csv_table import wider
from recserve.sources.formats import open_file
from recserve.sources.storage import reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recserve.sources.formats import Facts, Format
    from recserve.sources.storage import Entry, Storage


class FileSchemas:
    """What files say of themselves; asked again when a file has changed."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: dict[str, tuple[Entry, Facts, Format]] = {}

    def facts(self, file: Entry) -> Facts:
        """Columns and counts of one file."""
        return self._of(file)[0]

    def common(self, files: Sequence[Entry]) -> pa.Schema:
        """The columns of the first file, which all others have too, of one type; else a DataError."""
        first = files[0]
        _, form = self._of(first)
        schema = _without_twins(self.facts(first).schema, first)
        for file in files[1:]:
            other, its_form = self._of(file)
            if its_form is not form:
                raise DataError(
                    f"table {file.shown} is {its_form.name}, {first.name} is {form.name}; "
                    "write all files of a directory in one format"
                )
            schema = _both(schema, _without_twins(other.schema, file), file, first, inferred=form.infers)
        if form.infers:
            return pa.schema([field.with_type(_of_cells(field.type)) for field in schema])
        return schema.remove_metadata()

    def check(self, file: Entry, expected: pa.Schema) -> None:
        """Raise DataError unless the file has the columns."""
        facts, form = self._of(file)
        _both(expected, facts.schema, file, None, inferred=form.infers)

    def _of(self, file: Entry) -> tuple[Facts, Format]:
        known = self._known.get(file.path)
        if known is None or known[0] != file:
            table, form = open_file(self._storage, file)
            with reading(self._storage, f"table {file.shown}"):
                known = self._known[file.path] = (file, table.facts(), form)
        return known[1:]


def _without_twins(schema: pa.Schema, file: Entry) -> pa.Schema:
    twins = [name for name, times in Counter(schema.names).items() if times > 1]
    if twins:
        raise DataError(f"table {file.shown} has the column '{twins[0]}' twice; give them different names")
    return schema


def _both(
    expected: pa.Schema, schema: pa.Schema, file: Entry, first: Entry | None, *, inferred: bool
) -> pa.Schema:
    """The columns of `expected`, with types that take both files' where types are inferred."""
    others = first.name if first else "the table"
    fields = []
    for field in expected:
        if field.name not in schema.names:
            raise DataError(f"table {file.shown} has no column '{field.name}', which {others} has")
        own = schema.field(field.name).type
        if own != field.type and not inferred:
            raise DataError(
                f"table {file.shown}: column '{field.name}' is {own}, in {others} it is {field.type}; "
                "write them with one schema"
            )
        fields.append(field.with_type(wider(field.type, own)) if inferred else field)
    return pa.schema(fields)


def _of_cells(inferred: pa.DataType) -> pa.DataType:
    """A column without a single cell is one of texts."""
    return pa.string() if inferred == pa.null() else inferred
