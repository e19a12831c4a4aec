"""The bytes of a trace: complete lines in blocks, plain or gzip, up to where a crash tore them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cero_api.errors import TraceError
from cero_api.trace.records import LONGEST, is_line

_GZIP = b"\x1f\x8b"
PIECE = 1 << 20  # bytes read, or inflated, at a time: the reader's memory


class Lines:
    """Complete lines of a trace after its header, in blocks; what follows the last line break is the tail."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 1  # number of the block's first line
        self.line_after = 1  # of the first line behind it
        self.offset = 0  # of the block in the text; after the last one, of the tail
        self.tail = b""
        self.torn = False
        self.members: list[tuple[int, int]] = []  # of a gzip: (offset in the file, offset in the text)
        self.fraction = 0.0

    def blocks(self, accept_unterminated: bool = False) -> Iterator[bytes]:
        """Blocks of whole lines; a last line without its break only if it is accepted and reads well."""
        size = max(self.path.stat().st_size, 1)
        with open(self.path, "rb") as file:
            source = Inflater(file) if compressed(self.path) else None
            self.members = [] if source is None else source.members
            pieces = iter(lambda: file.read(PIECE), b"") if source is None else source.pieces()
            carry, at_header = b"", True
            try:
                for piece in pieces:
                    self.fraction = file.tell() / size
                    text = carry + piece
                    end = text.rfind(b"\n") + 1
                    carry = text[end:]
                    if len(carry) > LONGEST:
                        raise TraceError(
                            f"{self.path}, line {self.line_after}: longer than {LONGEST:,} bytes; give the file a "
                            "trace was written to"
                        )
                    if at_header and end:
                        start = text.index(b"\n") + 1
                        self.offset, self.line, self.line_after, at_header = start, 2, 2, False
                        text, end = text[start:], end - start
                    if end > 0:
                        yield from self._block(text[:end])
            except (zlib.error, EOFError) as error:
                raise TraceError(
                    f"{self.path}: its compression is damaged ({error}) after line {self.line_after - 1}; restore the "
                    "file, or cut it there"
                ) from error
            self.tail = carry
            self.torn = bool(carry) or (source is not None and source.torn)
            # A last line without a line break is torn unless it is whole: other tools leave the break out.
            if accept_unterminated and carry and not (source is not None and source.torn) and is_line(carry):
                self.tail, self.torn = b"", False
                yield from self._block(carry + b"\n")

    def _block(self, block: bytes) -> Iterator[bytes]:
        self.line, self.line_after = self.line_after, self.line_after + block.count(b"\n")
        yield block
        self.offset += len(block)


class Inflater:
    """Text of a gzip file of any number of members, piece by piece, up to where it was torn."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.members: list[tuple[int, int]] = []
        self.torn = False

    def pieces(self) -> Iterator[bytes]:
        """The text, at most `PIECE` bytes at a time."""
        position = length = 0
        decoder = None
        while piece := self._file.read(PIECE):
            while piece:
                if decoder is None:
                    self.members.append((position, length))
                    decoder = zlib.decompressobj(wbits=31)
                text = decoder.decompress(piece, PIECE)
                rest = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
                position += len(piece) - len(rest)
                length += len(text)
                piece = rest
                if decoder.eof:
                    decoder = None
                if text:
                    yield text
        if decoder is not None:
            text = decoder.flush()
            if text:
                yield text
            self.torn = not decoder.eof


def first_line(path: Path) -> tuple[bytes, bool]:
    """First line of a file, and whether it has no end."""
    if path.is_fifo() or path.is_char_device():
        raise TraceError(f"{path} is a pipe or a device, and a trace is read more than once; save it as a file first")
    try:
        with open(path, "rb") as file:
            text = b""
            pieces = Inflater(file).pieces() if compressed(path) else iter(lambda: file.read(PIECE), b"")
            for piece in pieces:
                text += piece
                if b"\n" in text or len(text) > LONGEST:
                    break
    except OSError as error:
        raise TraceError(f"{path} cannot be read ({error}); check the path") from error
    except zlib.error as error:
        raise TraceError(f"{path} is not a gzip file ({error}); give the file a trace was written to") from error
    head, end, _ = text.partition(b"\n")
    return head + end, not end


def compressed(path: Path) -> bool:
    """Whether a trace is a gzip file: by what it holds, or by its name while it holds nothing."""
    head = b""
    if path.is_file():
        with open(path, "rb") as file:
            head = file.read(len(_GZIP))
    return head == _GZIP if len(head) == len(_GZIP) else path.suffix == ".gz"
