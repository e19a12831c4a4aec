"""A table of any make, open for one reading."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = tuple[int, Sequence[Any]]  # its line, and the columns asked for
Moved = Callable[[float], None]
SAMPLE = 64  # rows that are looked at before the columns are chosen
STRIDE = 1024  # rows after which it is said how far a reader has come


@dataclass(frozen=True)
class Table:
    """A table of any make.

    Args:
        path: of its file.
        names: of its columns, nested ones with dots.
        rows: of these columns; a function is told the share of the file that is read.
        first: values of a column in the first rows.
        notes: filled while rows are read: what a reader of results should know.
        decimal_comma: whether 0,5 may be a half.
    """

    path: Path
    names: Sequence[str]
    rows: Callable[[Sequence[str], Moved], Iterator[Row]]
    first: Callable[[str], Sequence[Any]]
    notes: list[str]
    decimal_comma: bool = False


class Place:
    """Where a value is: a column, or somewhere within one.

    >>> Place("extra_info.rate", ["prompt", "extra_info"]).of({"rate": 0.5})
    0.5
    """

    def __init__(self, name: str, columns: Sequence[str]) -> None:
        column = name
        while column not in columns:
            column = column.rpartition(".")[0]
        self.index = columns.index(column)
        self._way = name[len(column) + 1 :].split(".") if column != name else []

    def of(self, value: Any) -> Any:
        """The value, of the column's."""
        return inside(value, self._way)


def inside(value: Any, way: Sequence[str]) -> Any:
    """What an object, or a text that is one in JSON, has at this place; None if it has nothing there.

    >>> inside({"solved by": {"a-1.5b": 3}}, ["solved by", "a-1", "5b"])  # names have dots of their own
    3
    """
    if not way:
        return value
    if isinstance(value, str) and value.lstrip().startswith("{"):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, dict):
        for end in range(len(way), 0, -1):
            name = ".".join(way[:end])
            if name in value:
                return inside(value[name], way[end:])
    return None


def shown(value: object) -> str:
    """A value as an error names it, whatever its length.

    >>> len(shown("x" * 1_000_000))
    60
    """
    text = repr(value[:60] if isinstance(value, str | bytes) else value)
    return text if len(text) < 60 else f"{text[:59]}…"
