"""Tables that fit the console: as many columns side by side as there is room for, and no name ever cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from cero_api.analysis.text import plain_text

Row = Mapping[str, str]
_BETWEEN = 2  # characters between two columns


def print_table(console: Console, rows: Sequence[Row]) -> None:
    """Print rows under their headings; columns without a single entry are left out.

    What does not fit beside it goes below, with the first column, which names the rows, repeated.

    Args:
        console: where to.
        rows: texts by heading, at least one row.
    """
    name, *heads = rows[0]
    heads = [head for head in heads if any(row[head] for row in rows)]
    # Names are folded where they are longer than half of the console; cells never.
    widest = min(max(cell_len(name), *(cell_len(plain_text(row[name])) for row in rows)), max(console.width // 2, 16))
    room = console.width - widest - _BETWEEN * len(heads)
    widths = {head: _width(rows, head, [head]) for head in heads}
    if sum(widths.values()) > room:  # headings break between their words
        widths = {head: _width(rows, head, head.split()) for head in heads}
    while True:
        shown, left = 0, console.width - widest
        for head in heads:
            left -= widths[head] + _BETWEEN
            shown += left >= 0
        beside = heads[: max(shown, 1)]
        console.print(_table(rows, {name: widest, **{head: widths[head] for head in beside}}))
        heads = heads[len(beside) :]
        if not heads:
            return
        console.print()


def _width(rows: Sequence[Row], head: str, words: Sequence[str]) -> int:
    return max(*(cell_len(plain_text(row[head])) for row in rows), *map(cell_len, words))


def _table(rows: Sequence[Row], widths: Mapping[str, int]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), show_edge=False, pad_edge=False)
    for place, (head, width) in enumerate(widths.items()):
        justify: JustifyMethod = "right" if place else "left"
        table.add_column(head, overflow="fold", justify=justify, min_width=width, max_width=width)
    for row in rows:
        table.add_row(*(Text(plain_text(row[head])) for head in widths))
    return table
