r"""What full information would buy: the best exposures for known success rates, and a plan that deals them.

Sizes are in units, as in the paper. Source: arXiv 2610.09679, section "Full-information oracle".
"""

from __future__ import annotations

import heapq

import numpy as np

from cero_api._types import FloatArray, IntArray

# The bisection ends where neighbouring floats do: 200 halvings of any interval get there.
_HALVINGS = 200


def optimal_exposure(rate: FloatArray, budget: float, limit: float) -> FloatArray:
    r"""Exposures that maximise $\sum_i 1 - e^{-c_i z_i}$ with $\sum_i z_i \le B$ and $0 \le z_i \le Z$.

    $z_i = \mathrm{clip}(\ln(c_i/\xi)/c_i, 0, Z)$ with the price $\xi$ found by bisection.

    Args:
        rate: $c_i \ge 0$, float64 `[M]`; a prompt of rate 0 gets nothing.
        budget: $B$.
        limit: $Z = K N_{\max}$.

    Returns:
        float64 `[M]`.

    >>> optimal_exposure(np.array([0.5, 0.5, 0.0]), budget=6.0, limit=10.0)
    array([3., 3., 0.])
    """
    rate = np.asarray(rate, dtype=np.float64)
    worth = rate > 0
    exposure = np.zeros(rate.size)
    if not worth.any():
        return exposure
    c = rate[worth]
    log_c = np.log(c)

    def at(log_price: float) -> FloatArray:
        return np.clip((log_c - log_price) / c, 0.0, limit)

    low, high = float((log_c - c * limit).min()), float(log_c.max())
    if at(low).sum() > budget:
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            if at(middle).sum() > budget:
                low = middle
            else:
                high = middle
        exposure[worth] = at(high)
    else:
        exposure[worth] = limit
    return exposure


def optimal_counts(rate: FloatArray, budget: int, limit: int) -> IntArray:
    r"""Whole exposures that maximise the same: units go one by one to the largest gain, $O(M + B \log M)$.

    The gain of unit $l$ is $(1 - e^{-c_i}) e^{-c_i(l-1)}$; it decreases in $l$, so greedy is exact.

    Args:
        rate: $c_i \ge 0$, float64 `[M]`.
        budget: $B$.
        limit: $Z$.

    Returns:
        int64 `[M]`.

    >>> optimal_counts(np.array([0.5, 0.1, 0.0]), budget=5, limit=10)
    array([4, 1, 0])
    """
    rate = np.asarray(rate, dtype=np.float64)
    counts = np.zeros(rate.size, dtype=np.int64)
    heap = [(-gain, row) for row, gain in enumerate(-np.expm1(-rate)) if gain > 0]
    heapq.heapify(heap)
    for _ in range(budget):
        if not heap:
            break
        gain, row = heap[0]
        counts[row] += 1
        if counts[row] < limit:
            heapq.heapreplace(heap, (gain * float(np.exp(-rate[row])), row))
        else:
            heapq.heappop(heap)
    return counts


def feasible_plan(counts: IntArray, rounds: int) -> IntArray:
    r"""Deal given exposures over the rounds: listed prompt by prompt, unit $r$ goes to round $1 + (r-1) \bmod K$.

    No prompt gets more than $\lceil z_i/K \rceil$ in a round, and no round more than $\lceil B/K \rceil$.

    Args:
        counts: $z_i$, int64 `[M]`.
        rounds: $K$.

    Returns:
        int64 `[K, M]`.

    >>> feasible_plan(np.array([3, 1]), rounds=2)
    array([[2, 0],
           [1, 1]])
    """
    counts = np.asarray(counts, dtype=np.int64)
    owner = np.repeat(np.arange(counts.size), counts)
    plan = np.zeros((rounds, counts.size), dtype=np.int64)
    np.add.at(plan, (np.arange(owner.size) % rounds, owner), 1)
    return plan


def regret_bound(
    *,
    prompts: int,
    rounds: int,
    budget: float,
    capacity: float,
    cap: float,
    proxy_error: float,
    saturation: float = 1.0,
) -> float:
    r"""Bound on CERO's regret per prompt for fixed success rates (eq. 11).

    $\mathrm{Reg}/M \le \min\{1, \frac{\lambda(N_{\max} + G_B/M)}{\bar N\sqrt K}
    + 8\lambda\frac{N_{\max}}{\bar N}\bar e\}$ with $\bar N = B/(MK)$ and $G_B = \max(\bar B, C - \bar B)$.

    Args:
        prompts: $M$.
        rounds: $K$.
        budget: $B$, units.
        capacity: $C$, units.
        cap: $N_{\max}$, units.
        proxy_error: $\bar e$, the mean over prompts and rounds of $|\hat q_{i,k+1} - q_i|$.
        saturation: $\lambda$.

    Returns:
        The bound, in utility, at most 1.

    >>> round(regret_bound(prompts=100, rounds=10_000, budget=5e5, capacity=60, cap=1, proxy_error=0.01), 4)
    0.19
    """
    mean, share = budget / rounds, budget / rounds / prompts
    spread = max(mean, capacity - mean)
    steps = saturation * (cap + spread / prompts) / (share * np.sqrt(rounds))
    return float(min(1.0, steps + 8 * saturation * cap / share * proxy_error))
