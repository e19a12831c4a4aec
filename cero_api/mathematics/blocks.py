"""Pool-sized arithmetic in pieces that fit the cache: several passes over a block cost little more than one."""

from __future__ import annotations

from collections.abc import Iterator

SIZE = 16384  # 128 KiB of float64: two or three of them fit a core's second-level cache


def blocks(length: int, size: int = SIZE) -> Iterator[slice]:
    """Slices of a size that cover an array of this length.

    >>> [block.start for block in blocks(40_000)]
    [0, 16384, 32768]
    """
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
