"""What one takes to the accuracy of another, over what the other takes: at the end of the curve, and along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cero_api._types import BoolArray, FloatArray, IntArray

TARGETS = 9  # accuracies that are compared along the curve
FLOOR = 1 / 3  # share of the gain at the first of them


@dataclass(frozen=True, eq=False)
class LogRatios:
    """Logarithms of ratios, one for each of B comparisons; below 0 `mine` takes less. NaN where neither learned.

    Args:
        end: float64 `[B]`, at the highest accuracy that both reach.
        along: float64 `[B]`, mean over nine accuracies, from a third of the way there to all of it.
        bound: int64 `[B]`, 0 where both learned enough to be compared; 1 where the ratios are at least this, since
            `mine` did not come a third of the other's way; -1 where they are at most this, the other way round.
        short: bool `[B]`, where `mine` does not reach the other's final accuracy.
    """

    end: FloatArray
    along: FloatArray
    bound: IntArray
    short: BoolArray


def log_ratios(mine: FloatArray, base: FloatArray, mine_cost: FloatArray, base_cost: FloatArray) -> LogRatios:
    r"""Logarithm of the cost that `mine` takes to an accuracy, over the cost that `base` takes to it.

    Let both begin at $a$ and end at $b_1, b_2$, and $g = \min(b_1, b_2) - a$. The ratio at the end is read at $a + g$:
    the baseline's final accuracy where `mine` gets there, and where it does not, the final accuracy of `mine`. Along
    the curve it is the geometric mean over $a + g(\tfrac13 + \tfrac k{12})$ for $k = 0 \dots 8$. To exchange the two
    turns the sign of both, so that equals are equal on average. Where one gains less than a third of what the other
    gains, all that can be said is that it did not come so far with all its cost, and the ratios are that bound.

    Args:
        mine: float64 `[B, points]`, accuracies.
        base: the same of what it is compared with, at the same rollouts.
        mine_cost: float64 `[B, points]`, what had been spent by then, ascending: rollouts, or tokens.
        base_cost: the same of the other.
    """
    start = np.maximum(mine[:, 0], base[:, 0])
    lower, higher = np.minimum(mine[:, -1], base[:, -1]), np.maximum(mine[:, -1], base[:, -1])

    def costs(top: FloatArray, shares: FloatArray) -> tuple[FloatArray, FloatArray]:
        targets = np.minimum(start[:, None] + (top - start)[:, None] * shares, top[:, None])  # the last is met exactly
        return spent(mine_cost, reached(mine, targets)), spent(base_cost, reached(base, targets))

    with np.errstate(divide="ignore", invalid="ignore"):  # of curves that get nowhere, which are NaN or bounded below
        own, other = costs(lower, np.linspace(FLOOR, 1, TARGETS))
        logs = np.log(own / other)
        third, its_third = (np.log(cost[:, 0]) for cost in costs(higher, np.array([FLOOR])))
        all_mine, all_base = (np.log(cost[:, -1] - cost[:, 0]) for cost in (mine_cost, base_cost))
        at_least, at_most = all_mine - its_third, third - all_base
    bounded = lower - start < (higher - start) * FLOOR
    bound = np.where(bounded, np.where(mine[:, -1] < base[:, -1], 1, -1), 0)
    limit = np.where(bound > 0, at_least, at_most)
    end, along = np.where(bounded, limit, logs[:, -1]), np.where(bounded, limit, logs.mean(1))
    learned = higher - start > 1e-12  # below, a target cannot be told from the start
    return LogRatios(
        end=np.where(learned, end, np.nan),
        along=np.where(learned, along, np.nan),
        bound=np.where(learned, bound, 0),
        short=mine[:, -1] < base[:, -1],
    )


def reached(curves: FloatArray, targets: FloatArray) -> FloatArray:
    """Where curves first reach their targets, in points, linear in between; NaN where they do not: float64 `[B, K]`.

    Args:
        curves: float64 `[B, points]`.
        targets: float64 `[B, K]`.

    >>> reached(np.array([[0.0, 0.2, 0.4]]), np.array([[0.3, 0.5, -1.0]]))
    array([[1.5, nan, 0. ]])
    """
    above = curves[:, None, :] >= targets[:, :, None]
    at, rows = above.argmax(2), np.arange(len(curves))[:, None]
    before = np.maximum(at - 1, 0)
    low, high = curves[rows, before], curves[rows, at]
    with np.errstate(divide="ignore", invalid="ignore"):  # at the first point there is no step to divide
        place = np.where(at > 0, before + (targets - low) / (high - low), 0.0)
    return np.where(above.any(2), place, np.nan)


def spent(cost: FloatArray, places: FloatArray) -> FloatArray:
    """Cost since the first point by each place, linear in between; NaN where the place is: float64 `[B, K]`.

    Args:
        cost: float64 `[B, points]`.
        places: float64 `[B, K]`, in points.

    >>> spent(np.array([[10.0, 20.0, 40.0]]), np.array([[1.5, np.nan]]))
    array([[20., nan]])
    """
    known, rows = np.nan_to_num(places), np.arange(len(cost))[:, None]
    before = np.minimum(known.astype(np.int64), cost.shape[1] - 2)
    low, high = cost[rows, before], cost[rows, before + 1]
    there = low + (known - before) * (high - low) - cost[:, :1]
    return np.where(np.isnan(places), np.nan, there)


def rollout_ratio(mine: FloatArray, base: FloatArray) -> float:
    """Rollouts that one takes to the baseline's final accuracy, over what the baseline takes: below 1 is better.

    Where `mine` does not get there, both are read at the final accuracy of `mine`; see `log_ratios`. NaN if neither
    ends above its start.

    Args:
        mine: float64 `[points]`, accuracy on an even grid of rollouts.
        base: of the baseline, on the same grid.

    >>> fast, slow = np.array([0.0, 0.4, 0.5]), np.array([0.0, 0.2, 0.4])
    >>> round(rollout_ratio(fast, slow), 12), round(rollout_ratio(slow, fast), 12)
    (0.5, 2.0)
    """
    even = np.linspace(0, 1, len(mine))[None]
    return float(np.exp(log_ratios(mine[None], base[None], even, even).end[0]))
