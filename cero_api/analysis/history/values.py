"""JSON of any shape as a stream of values: lines, lists, objects one after the other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from cero_api.analysis.history.opened import PIECE, Text
from cero_api.analysis.history.table import shown
from cero_api.errors import TraceError

_SPACE = re.compile(r"[ \t\r\n]*")
_NEAR = 16  # characters before the end of what is read in which a token may be cut in two


class _TwiceError(Exception):
    """A name that an object has more than once, shown."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(shown(next(name for name in names if names.count(name) > 1)))
    return found


class Value(NamedTuple):
    """One value of a file."""

    line: int  # on which it begins
    listed: bool  # an element of a list, not a value of its own
    data: Any


class Values:
    """The values of a JSON file, in memory that the largest of them bounds: of a list at its top, the elements.

    Args:
        text: JSON lines, a list, or objects in any layout, one after the other.
        lines: it is known to be JSON lines, whose first may be torn off already.

    Raises:
        TraceError: while reading, what is no JSON, by its line; a last value that was torn off is passed over.

    Attributes:
        torn: line of the value that was torn off, None if there is none; known at the end.
    """

    def __init__(self, text: Text, lines: bool = False) -> None:
        self._lines = lines
        self.torn: int | None = None
        self._source, self._pieces = text, text.pieces()
        self._rest, self._at, self._line = "", 0, 1  # the line is that of `_at`
        self._ended = False

    def __iter__(self) -> Iterator[Value]:
        decode = json.JSONDecoder(object_pairs_hook=_object).raw_decode
        listed, first, lists = False, True, False
        while self._skip_space():
            mark = self._rest[self._at]
            if first and mark == "[" and not self._lines:
                lists = True
            if lists and mark == "[" and not listed:
                listed = True
                self._move(1)
                continue
            if listed and mark in ",]":
                listed = mark == ","
                self._move(1)
                continue
            try:
                data, end = decode(self._rest, self._at)
            except _TwiceError as error:
                raise TraceError(
                    f"{self._source.path}, line {self._line}: an object has two fields {error}; keep the right one"
                ) from None
            except json.JSONDecodeError as error:
                cut_off = error.pos >= len(self._rest) - _NEAR or error.msg.startswith("Unterminated string")
                if cut_off and not self._ended:
                    self._read()
                    continue
                if cut_off and mark == "{" and (self._lines or not first) and not self._rest.endswith("\n"):
                    self.torn = self._line
                    return
                line = self._line + self._rest.count("\n", self._at, error.pos)
                raise TraceError(
                    f"{self._source.path}, line {line}: not JSON ({error}); correct or remove the line"
                ) from None
            if end == len(self._rest) and not self._ended:  # a number may go on in the next piece
                self._read()
                continue
            yield Value(self._line, listed, data)
            first = False
            self._move(end - self._at)
        if listed:
            self.torn = self._line

    def _skip_space(self) -> bool:
        """Come to the next value; False if there is none."""
        while True:
            found = _SPACE.match(self._rest, self._at)
            assert found is not None  # it matches nothing, too
            self._move(found.end() - self._at)
            if self._at < len(self._rest):
                return True
            if self._ended:
                return False
            self._read()

    def _move(self, characters: int) -> None:
        self._line += self._rest.count("\n", self._at, self._at + characters)
        self._at += characters

    def _read(self) -> None:
        """Twice what is left unread, so that a large value is decoded a few times only."""
        if len(self._rest) - self._at > self._source.longest:
            raise TraceError(
                f"{self._source.path}, line {self._line}: a value of more than {self._source.longest:,} characters; "
                "write one object per line"
            )
        wanted, parts = max(PIECE, len(self._rest) - self._at), [self._rest[self._at :]]
        while wanted > 0:
            piece = next(self._pieces, "")
            if not piece:
                self._ended = True
                break
            parts.append(piece)
            wanted -= len(piece)
        self._rest, self._at = "".join(parts), 0
