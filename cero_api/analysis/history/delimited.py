"""Delimited text: CSV, TSV, and what Excel calls so."""

from __future__ import annotations

import contextlib
import csv
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cero_api.analysis.history.opened import LONGEST, Text
from cero_api.analysis.history.table import SAMPLE, STRIDE, Moved, Place, Row, Table
from cero_api.errors import TraceError

_DELIMITERS = (",", ";", "\t", "|")


def delimited_table(path: Path) -> Table:
    """Text with commas, semicolons, tabs or bars between its fields, whichever part its first line most."""
    skipped, delimiter, names = _head(path)

    def records(moved: Moved) -> Iterator[tuple[int, list[str]]]:
        with Text(path) as text:
            found = _fields(path, itertools.islice(text.lines(), skipped, None), delimiter, skipped)
            next(found, None)
            for number, fields in found:
                if not any(fields):  # an empty line
                    continue
                if len(fields) != len(names):
                    raise TraceError(
                        f"{path}, line {number}: {len(fields)} fields for {len(names)} columns; quote fields that hold "
                        "the delimiter"
                    )
                if not number % STRIDE:
                    moved(text.fraction)
                yield number, fields

    def rows(wanted: Sequence[str], moved: Moved) -> Iterator[Row]:
        places = [Place(name, names) for name in wanted]
        for number, fields in records(moved):
            yield number, [place.of(fields[place.index]) for place in places]

    def first(name: str) -> list[Any]:
        return [fields[names.index(name)] for _, fields in itertools.islice(records(lambda _: None), SAMPLE)]

    return Table(path, names, rows, first, [], decimal_comma=delimiter != ",")


def _head(path: Path) -> tuple[int, str, list[str]]:
    """Lines before the names of the columns, the delimiter, and the names."""
    with Text(path) as text:
        delimiter, lines = "", text.lines()
        for skipped, line in enumerate(lines):
            if line.lower().startswith("sep=") and len(line.rstrip("\r\n")) == 5:  # a word to Excel
                delimiter = line[4]
            elif line.strip():
                counts = {mark: len(next(_fields(path, [line], mark), (0, []))[1]) for mark in _DELIMITERS}
                delimiter = delimiter or max(counts, key=lambda mark: counts[mark])
                found = _fields(path, itertools.chain([line], lines), delimiter, skipped)
                return skipped, delimiter, [name.strip() for name in next(found)[1]]
    return 0, ",", []


def _fields(path: Path, lines: Iterable[str], delimiter: str, before: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Records with the number of the line on which each ends."""
    reader = csv.reader(lines, delimiter=delimiter)
    with _long_fields():
        try:
            for fields in reader:
                yield before + reader.line_num, fields
        except csv.Error as error:
            raise TraceError(
                f"{path}, line {before + reader.line_num}: {error}; close its quote, or restore the file"
            ) from None


@contextlib.contextmanager
def _long_fields() -> Iterator[None]:
    """The csv module's limit, which is the whole process's, is for prompts of another time."""
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)
