"""A text file as people have it: gzip or plain, marked as UTF-8 or UTF-16, read once and in bounded memory."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from cero_api.errors import TraceError

PIECE = 1 << 20  # characters read at a time
LONGEST = 1 << 25  # characters of a line, a field or a JSON value: more is damaged, or made to fill the memory
GZIP = b"\x1f\x8b"
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class Text:
    """What a file says, from its beginning to its end, in pieces or in lines.

    Args:
        path: of a regular file; its content says how it is compressed and encoded, not its name.

    Raises:
        TraceError: it cannot be opened; while reading, that it is no text.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = open(path, "rb")  # noqa: SIM115  # closed by close
        except OSError as error:
            raise TraceError(f"{path} cannot be read ({error.strerror}); check the path") from error
        try:
            self._size = max(os.fstat(self._file.fileno()).st_size, 1)
            packed = self._file.peek(2)[:2] == GZIP
            source = io.BufferedReader(gzip.GzipFile(fileobj=self._file)) if packed else self._file
            # A regular file bounds what is in it, an archive only roughly.
            self.longest = max(LONGEST, self._size * (8 if packed else 1))
            self._text = io.TextIOWrapper(source, encoding=encoding_of(source.peek(4)[:64]), newline="")
        except BaseException:  # a damaged archive, a folder
            self._file.close()
            raise

    @property
    def fraction(self) -> float:
        """Share of the file's bytes read so far."""
        return min(self._file.tell() / self._size, 1.0)

    def pieces(self) -> Iterator[str]:
        """The text, `PIECE` characters at a time."""
        while piece := self._checked(self._text.read):
            yield piece

    def lines(self) -> Iterator[str]:
        """The text, line by line with the breaks, whichever they are."""
        parts: list[str] = []
        size = 0
        while piece := self._checked(self._text.readline):
            parts.append(piece)
            size += len(piece)
            if piece[-1] in "\r\n":
                yield "".join(parts)
                parts, size = [], 0
            elif size > self.longest:
                raise TraceError(f"{self.path} has a line of more than {self.longest:,} characters; restore the file")
        if parts:
            yield "".join(parts)

    def close(self) -> None:
        """Give the file back."""
        self._text.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _checked(self, read: Callable[[int], str]) -> str:
        try:
            piece = read(PIECE)
        except UnicodeError as error:
            raise TraceError(
                f"{self.path} is no text in UTF-8 ({error}); save it so (in Excel: CSV UTF-8), or give another file"
            ) from None
        if "\0" in piece:
            raise TraceError(f"{self.path} holds NUL bytes and is no text; restore the file, or give another")
        return piece


def encoding_of(head: bytes) -> str:
    """By the mark at the beginning; without one UTF-8, or UTF-16 if every second byte of the first is NUL."""
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    pairs = len(head) // 2
    if pairs > 1 and any(head):
        if not any(head[1 : 2 * pairs : 2]):
            return "utf-16-le"
        if not any(head[0 : 2 * pairs : 2]):
            return "utf-16-be"
    return "utf-8"
