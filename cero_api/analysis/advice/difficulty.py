"""How hard a pool is for the model that was recorded: who is never solved, who always, and what uniform would see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.analysis.history import SuccessHistory

_MOST = 1_000_000  # rollouts of a visit that are counted out; more are as good as the rate itself


@dataclass(frozen=True)
class Difficulty:
    """Of the prompts that have a recorded rate.

    Args:
        prompts: that there are.
        rollouts: of a visit, on average; None where rates were recorded without counts.
        success_rate: mean over prompts, at their first visit.
        never: share of prompts without one success in all of their visits.
        always: share without one failure.
        mixed: the others.
        effective: share of uniform's groups whose rewards differ.
    """

    prompts: int
    rollouts: float | None
    success_rate: float
    never: float
    always: float
    mixed: float
    effective: float


def difficulty(history: SuccessHistory, group_size: int) -> Difficulty:
    """How hard a recorded pool is.

    Args:
        history: with at least one rated prompt.
        group_size: rollouts of uniform's groups.

    >>> found = difficulty(SuccessHistory.from_rates({"a": 0.0, "b": 0.5, "c": 1.0, "d": 0.0}), group_size=2)
    >>> found.never, found.always, found.mixed, found.effective
    (0.5, 0.25, 0.25, 0.125)
    """
    counted = history.rollouts.size > 0 or bool((history.visit_count > 1).any())
    rated = history.rated
    first = history.offsets[:-1][rated]
    won = np.add.reduceat(history.visit_successes.astype(np.float64), first)
    scored = np.add.reduceat(history.visit_count.astype(np.int64), first)
    never, always = won <= 0.0, won >= scored
    rates = (history.visit_successes / history.visit_count).astype(np.float64)
    if not counted:
        effective = float(_by_rate(rates, group_size).mean())
    elif history.visit_count.mean() < 2:  # single rollouts say something together alone
        effective = effective_share(won, scored, group_size)
    else:
        counts = history.visit_count.astype(np.int64)
        effective = effective_share(history.visit_successes.astype(np.float64), counts, group_size)
    return Difficulty(
        prompts=int(first.size),
        rollouts=float(history.visit_count.mean()) if counted else None,
        success_rate=float(rates[first].mean()),
        never=float(never.mean()),
        always=float(always.mean()),
        mixed=float((~never & ~always).mean()),
        effective=effective,
    )


def effective_share(successes: FloatArray, counts: IntArray, group_size: int) -> float:
    r"""Share of groups of `group_size` whose rewards differ, of visits with so many successes, without bias.

    Of $N$ rollouts with $S$ successes a random group of $n \le N$ is all alike with probability
    $\left[\binom{S}{n} + \binom{N - S}{n}\right] / \binom{N}{n}$. A visit of fewer rollouts counts as it is, which is
    somewhat less than larger groups would show.

    Args:
        successes: float64 `[V]`; graded ones are rounded.
        counts: int64 `[V]`.
        group_size: $n$.

    >>> effective_share(np.array([1.0, 0.0]), np.array([4, 4]), 2)
    0.25
    """
    large = counts > _MOST
    parts = []
    if large.any():
        parts.append(_by_rate(successes[large] / counts[large], group_size))
    won, total = np.rint(successes[~large]).astype(np.int64), counts[~large]
    if total.size:
        logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, int(total.max()) + 1)))])
        n = np.minimum(group_size, total)
        all_of = _log_choose(logs, total, n)
        alike = np.exp(_log_choose(logs, won, n) - all_of) + np.exp(_log_choose(logs, total - won, n) - all_of)
        parts.append(np.where(n > 1, 1.0 - np.minimum(alike, 1.0), 0.0))
    return float(np.concatenate(parts).mean())


def _by_rate(rates: FloatArray, group_size: int) -> FloatArray:
    return np.asarray(1.0 - rates**group_size - (1.0 - rates) ** group_size)


def _log_choose(logs: FloatArray, total: IntArray, part: IntArray) -> FloatArray:
    """Logarithm of the binomial coefficient; minus infinity where the part is more than all."""
    rest = np.maximum(total - part, 0)
    return np.where(part > total, -np.inf, logs[total] - logs[np.minimum(part, total)] - logs[rest])
