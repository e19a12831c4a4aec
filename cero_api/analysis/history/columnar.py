"""Parquet, and Arrow's files as `datasets` saves them: only the columns asked for are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cero_api.analysis.history.table import SAMPLE, STRIDE, Moved, Place, Row, Table
from cero_api.errors import TraceError
from cero_api.extras import load_extra

PARQUET, ARROW = b"PAR1", b"ARROW1"
_ROWS = 4096  # that are Python objects at a time


def parquet_table(path: Path) -> Table:
    """A Parquet file; fields of a nested column have dots in their names."""
    parquet = load_extra("pyarrow.parquet", "parquet")
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise TraceError(f"{path} cannot be read as Parquet ({error}); check the file") from None
    schema, total = file.schema_arrow, max(file.metadata.num_rows, 1)

    def rows(wanted: Sequence[str], moved: Moved) -> Iterator[Row]:
        with file:
            for number, fields in _rows(file.iter_batches(_ROWS, columns=_columns(schema, wanted)), wanted):
                if not number % STRIDE:
                    moved(number / total)
                yield number, fields

    def first(name: str) -> list[Any]:
        batch = next(file.iter_batches(SAMPLE, columns=_columns(schema, [name])), None)
        return [] if batch is None else [fields[0] for _, fields in _rows([batch], [name])]

    return Table(path, list(_leaves(schema)), rows, first, [])


def arrow_table(path: Path) -> Table:
    """A file or a stream of Arrow, whose memory is the file's own."""
    pyarrow, ipc = load_extra("pyarrow", "parquet"), load_extra("pyarrow.ipc", "parquet")
    try:
        source = pyarrow.memory_map(str(path))
        with path.open("rb") as file:
            whole = file.read(len(ARROW)) == ARROW
        table = ipc.open_file(source).read_all() if whole else ipc.open_stream(source).read_all()
    except (OSError, ValueError) as error:
        raise TraceError(f"{path} cannot be read as Arrow ({error}); check the file") from None

    def rows(wanted: Sequence[str], moved: Moved) -> Iterator[Row]:
        chosen = table.select([name for name in table.column_names if name in _columns(table.schema, wanted, True)])
        for number, fields in _rows(chosen.to_batches(_ROWS), wanted):
            if not number % STRIDE:
                moved(number / table.num_rows)
            yield number, fields

    def first(name: str) -> list[Any]:
        return [fields[0] for _, fields in _rows(table.slice(0, SAMPLE).to_batches(), [name])]

    return Table(path, list(_leaves(table.schema)), rows, first, [])


def _leaves(fields: Any, above: str = "") -> Iterator[str]:
    """Names of all columns; in place of a nested one, of its fields."""
    struct = load_extra("pyarrow.types", "parquet").is_struct
    for field in fields:
        if struct(field.type) and field.type.num_fields:
            inner = [field.type.field(place) for place in range(field.type.num_fields)]
            yield from _leaves(inner, f"{above}{field.name}.")
        else:
            yield above + field.name


def _columns(schema: Any, wanted: Sequence[str], whole: bool = False) -> list[str]:
    """What to read for these: a column, or the part of it that is asked for unless it is to be read whole."""
    known, leaves = list(schema.names), set(_leaves(schema))
    columns = [known[Place(name, known).index] for name in wanted]
    return [name if name in leaves and not whole else column for name, column in zip(wanted, columns, strict=True)]


def _rows(batches: Iterable[Any], wanted: Sequence[str]) -> Iterator[Row]:
    number = 0
    for batch in batches:
        places = [Place(name, batch.schema.names) for name in wanted]
        columns = [batch.column(place.index).to_pylist() for place in places]
        for fields in zip(*columns, strict=True):
            number += 1
            yield number, [place.of(field) for place, field in zip(places, fields, strict=True)]
