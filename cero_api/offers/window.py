"""A window: more prompts than a round has room for, from a walk that offers each once an epoch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cero_api._types import FloatArray, IntArray
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


def width(worth: FloatArray, room: int, variety: float) -> int:
    r"""How many of a window's prompts a round is to choose among: fewer where they are worth nearly the same.

    Whoever is served from a window of $w$ is the best $1/w$ of the pool, and comes back $w$ times as often. That pays
    by $m(w)$, the mean worth of the best $1/w$, and costs variety: $\arg\max_w m(w)\, w^{-\alpha}$, which is the best
    share of a pool to spend a budget on where $e$ visits of a prompt are worth $e^{1-\alpha}$ of one.

    Args:
        worth: float64 `[P]`, at least 0, of a full group to each prompt that could be looked at, in any order.
        room: full groups of the round.
        variety: $\alpha$ in [0, 1). With 0 the whole window is looked at, with 1 it would be worth nothing.

    Returns:
        From `room` to P.

    >>> width(np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]), room=2, variety=0.25)
    2
    >>> width(np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]), room=2, variety=0.25)
    8
    """
    offered = worth.size
    if offered <= room or variety == 0.0:
        return offered
    served = np.arange(offered, 0, -1)  # all, all but the least, ...: of equals the narrowest window
    mean = np.cumsum(np.sort(worth)[::-1])[::-1] / served
    allowed = served >= room
    score = mean[allowed] * (served[allowed] / offered) ** variety
    scale = float(score.max())
    # To so many places, that no machine's rounding decides.
    best = int(np.argmax(np.round(score / scale, 9))) if scale > 0 else 0
    return max(room, -(-room * offered // int(served[best])))
