"""What a round says of itself in a trainer's log: the same names in every adapter."""

from __future__ import annotations

import numpy as np

from cero_api._types import BoolArray, FloatArray, IntArray
from cero_api.mathematics.contrast import group_variance, has_contrast, whole_squares


def round_numbers(
    counts: IntArray,
    successes: FloatArray,
    failures: FloatArray,
    contrast: BoolArray | None = None,
    squares: FloatArray | None = None,
    tokens: FloatArray | None = None,
) -> dict[str, float]:
    r"""How a round's rollouts were spread, and what they earned.

    `round_signal` is the variance of a rollout's group, $\sum_i n_i \hat v_i / \sum_i n_i$ with the unbiased
    $\hat v_i$ of its rewards, $S_i F_i / (n_i (n_i - 1))$ if they are binary: what a gradient step has to learn from.

    Args:
        counts: int64 `[P]`, dealt to each prompt of the round; 0 is one that was passed over.
        successes: float64 `[P]`.
        failures: float64 `[P]`; with the successes fewer than the counts where rewards were missing.
        contrast: bool `[P]`, whether a group's advantages are not all zero; None takes it from the successes.
        squares: float64 `[P]`, sums of squared shares of a success; None where rewards are binary.
        tokens: float64 `[P]`, generated in the rollouts that have a reward; None where nobody counts them.

    >>> numbers = round_numbers(np.array([4, 0, 2]), np.array([2.0, 0, 0]), np.array([2.0, 0, 2]))
    >>> numbers["count_mean"], numbers["round_effective_group_rate"], round(numbers["round_signal"], 4)
    (3.0, 0.5, 0.2222)
    """
    dealt = counts > 0
    given = counts[dealt]
    if not given.size:
        return {"count_zero": float((~dealt).sum())}
    numbers = {
        "count_min": float(given.min()),
        "count_mean": float(given.mean()),
        "count_max": float(given.max()),
        "count_zero": float((~dealt).sum()),
        **{f"count_share_{name}": share for name, share in _histogram(counts).items()},
    }
    scored = successes + failures
    seen = dealt & (scored > 0)
    if seen.any():
        won, lost, n = successes[seen], failures[seen], scored[seen]
        squared = whole_squares(won, lost) if squares is None else squares[seen]
        mixed = has_contrast(won, lost, squared) if contrast is None else contrast[seen]
        variance = np.where(mixed, group_variance(won, lost, squared), 0.0)
        numbers["round_effective_group_rate"] = float(mixed.mean())
        numbers["round_success_rate"] = float(won.sum() / n.sum())
        numbers["round_signal"] = float((n * variance).sum() / n.sum())
        if tokens is not None:
            numbers["round_tokens_per_rollout"] = float(tokens[seen].sum() / n.sum())
    return numbers


def _histogram(counts: IntArray) -> dict[str, float]:
    """Share of prompts by count: 0, 1, 2, 3-4, 5-8, 9-16 and so on, which keeps the names few and fixed.

    >>> _histogram(np.array([0, 2, 4, 4]))
    {'0': 0.25, '2': 0.25, '3_4': 0.5}
    """
    upper = [0] + [1 << k for k in range(max(int(counts.max()) - 1, 0).bit_length() + 1)]
    shares, below = {}, -1
    for top in upper:
        share = float(((counts > below) & (counts <= top)).mean())
        if share:
            shares[str(top) if top - below == 1 else f"{below + 1}_{top}"] = share
        below = top
    return shares
