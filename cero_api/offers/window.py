"""A window: more prompts than a round has room for, from a walk that offers each once an epoch."""

from __future__ import annotations

from typing import NamedTuple

from cero_api._types import IntArray
from cero_api.mathematics.walk import Walk


class Offered(NamedTuple):
    """Prompts that a round may choose from, and the walk from there on."""

    rows: IntArray  # [P] no repeats
    walk: Walk


def window(walk: Walk, room: int, factor: int, seed: tuple[int, ...]) -> Offered:
    """The walk's next prompts, `factor` times as many as there is room for.

    Args:
        walk: where it stands.
        room: full groups of the round.
        factor: W, at least 1.
        seed: of the next epoch's order, should this one end.

    >>> import numpy as np
    >>> offered = window(Walk(np.arange(6), 4), room=1, factor=3, seed=(0, 1))
    >>> offered.rows, offered.walk.cursor
    (array([4, 5, 1]), 1)
    """
    rows, after = walk.take(min(room * factor, walk.order.size), seed)
    return Offered(rows, after)
