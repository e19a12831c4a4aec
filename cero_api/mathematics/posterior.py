"""The Beta posterior of a prompt's success rate, and what another rollout of it is worth."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from cero_api._types import FloatArray


def posterior_mean(a: ArrayLike, b: ArrayLike) -> FloatArray:
    r"""Expected success rate, $E[P] = a/(a+b)$ for $P \sim \mathrm{Beta}(a, b)$.

    Args:
        a: pseudo-successes, float, any shape, positive.
        b: pseudo-failures, the same shape, positive.

    Returns:
        float64, the same shape.

    >>> float(posterior_mean(3, 1))
    0.75
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return np.asarray(a / (a + b))


def variance_proxy(a: ArrayLike, b: ArrayLike, graded: ArrayLike | None = None) -> FloatArray:
    r"""Posterior expected variance of a prompt's rewards, $\hat q = \frac{ab}{(a+b)(a+b+1)} - \frac{G}{a+b+1}$.

    Without graded rewards it is the Bernoulli variance $E[P(1-P)] = m(1-m) - \mathrm{Var}(P)$ with $m = E[P]$, in
    (0, 1/4). It is the predictive expectation of the unbiased within-group reward variance, for every group size of at
    least 2 (Prop. 1). Graded rewards $x \in [0, 1]$ lower it by $G = \sum x(1-x)$: the same expectation under a
    Dirichlet process, of which the Beta posterior is the case of rewards 0 and 1.

    Args:
        a: pseudo-successes, float, any shape, positive.
        b: pseudo-failures, the same shape, positive.
        graded: $G$, what the successes exceed their sum of squares by; None for rewards 0 and 1.

    Returns:
        float64, at least 0, the broadcast shape.

    Source: arXiv 2606.05606, arXiv 2610.09679 (Prop. 1); for graded rewards docs/method.md, "Graded rewards".

    >>> float(variance_proxy(1, 1))  # the uniform prior
    0.16666666666666666
    >>> variance_proxy(5, 5, graded=[0.0, 2.0])  # after four successes and four failures; after eight times 1/2
    array([0.22727273, 0.04545455])
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    total = a + b
    # In this order it is the same to the last bit for (a, b) and (b, a), which are equally uncertain.
    bernoulli = np.asarray(a * b / (total * (total + 1.0)))
    if graded is None:
        return bernoulli
    return np.asarray(np.maximum(bernoulli - np.asarray(graded, dtype=np.float64) / (total + 1.0), 0.0))


def calibration_bound(rollouts: ArrayLike, prior: tuple[float, float] = (1.0, 1.0)) -> FloatArray:
    r"""Bound on the proxy's error after $n$ iid rollouts, whatever the success rate $p$ (Prop. 2).

    $E|\hat q_n - p(1-p)| \le \frac{\sqrt n}{2(n+s_0)} + \frac{s_0}{n+s_0} + \frac{1}{4(n+s_0+1)}$ with
    $s_0 = a_0 + b_0$.

    Args:
        rollouts: $n$, any shape.
        prior: $(a_0, b_0)$.

    Returns:
        float64, the shape of `rollouts`.

    Source: arXiv 2610.09679, Prop. 2.

    >>> round(float(calibration_bound(100)), 4)
    0.0711
    """
    n, s = np.asarray(rollouts, dtype=np.float64), sum(prior)
    return np.asarray(np.sqrt(n) / (2 * (n + s)) + s / (n + s) + 0.25 / (n + s + 1))


def forget(evidence: FloatArray, keep: float) -> FloatArray:
    r"""Evidence after one tick of forgetting, $a - a_0 \leftarrow \rho (a - a_0)$.

    Args:
        evidence: successes or failures beyond the prior, float64 `[M]`.
        keep: $\rho \in (0, 1]$.

    Returns:
        float64 `[M]`; `evidence` itself where nothing is forgotten.

    >>> forget(np.array([4.0, 0.0]), 0.5)
    array([2., 0.])
    """
    return evidence if keep == 1.0 else evidence * keep
