r"""Successes of rollouts whose rate is Beta distributed: likelihood and slopes, for counts whole or fractional.

Of $n = S + F$ rollouts of a prompt with $P \sim \mathrm{Beta}(a, b)$ the probability of $S$ successes in a given order
is $\frac{B(a+S,\,b+F)}{B(a,\,b)}$. All of it is made of differences of $\ln\Gamma$ and of its derivative $\psi$ at
$x + n$ and $x$.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cero_api._types import FloatArray

# Recurrence up to here, then a series whose first neglected term is below 1e-11.
_SHIFT = 8


class Slopes(NamedTuple):
    """First derivatives of the log-likelihood by the logit of the mean, and its expected information on that."""

    score: FloatArray
    information: FloatArray


def log_rise(x: FloatArray, n: FloatArray) -> FloatArray:
    r"""$\ln\Gamma(x + n) - \ln\Gamma(x)$, which is $\sum_{k<n} \ln(x + k)$ for whole $n$.

    Args:
        x: float64, any shape, positive.
        n: float64, a shape that broadcasts with it, at least 0.

    Returns:
        float64, the broadcast shape.

    >>> float(np.exp(log_rise(np.array(3.0), np.array(2.0))))  # 3 * 4
    12.0
    """
    return _log_gamma(x + n) - _log_gamma(x)


def digamma_rise(x: FloatArray, n: FloatArray) -> FloatArray:
    r"""$\psi(x + n) - \psi(x)$, which is $\sum_{k<n} \frac{1}{x + k}$ for whole $n$.

    Args:
        x: float64, any shape, positive.
        n: float64, a shape that broadcasts with it, at least 0.

    Returns:
        float64, the broadcast shape.

    >>> round(float(digamma_rise(np.array(2.0), np.array(2.0))), 6)  # 1/2 + 1/3
    0.833333
    """
    return _digamma(x + n) - _digamma(x)


def log_likelihood(mean: FloatArray, weight: FloatArray, successes: FloatArray, failures: FloatArray) -> FloatArray:
    r"""$\ln B(a+S, b+F) - \ln B(a, b)$ with $a = c\mu$, $b = c(1-\mu)$.

    Args:
        mean: $\mu$, float64, any shape, inside (0, 1).
        weight: $c = a + b$, the same shape, positive: what is believed weighs as much as so many rollouts.
        successes: $S$, a shape that broadcasts with it.
        failures: $F$, the same.

    Returns:
        float64, the broadcast shape.

    >>> one = np.array(1.0)
    >>> float(np.exp(log_likelihood(np.array(0.25), np.array(2.0), one, 0 * one)))  # of one success: the mean
    0.25
    """
    a = weight * mean
    start = np.stack(np.broadcast_arrays(a, weight - a, weight))
    steps = np.stack(np.broadcast_arrays(successes, failures, successes + failures))
    steps = steps.reshape(3, *(1,) * (start.ndim - steps.ndim), *steps.shape[1:])
    won, lost, both = log_rise(start, steps)  # together: what calls cost is most of it
    return np.asarray(won + lost - both)


def slopes(mean: FloatArray, weight: FloatArray, successes: FloatArray, failures: FloatArray) -> Slopes:
    r"""How the likelihood moves with the logit $u$ of the mean, the weight being given.

    The score is $\mu(1-\mu)\,c\,[\psi(a+S) - \psi(a) - \psi(b+F) + \psi(b)]$. In place of the exact information stands
    the one of its first two moments, $\frac{n\mu(1-\mu)}{1 + (n-1)/(c+1)}$: the counts vary so much more than binomial
    ones, because the rate does.

    Args:
        mean: $\mu$, float64, any shape, inside (0, 1).
        weight: $c$, the same shape, positive.
        successes: $S$, the same shape.
        failures: $F$, the same shape.

    Returns:
        Two arrays of this shape.

    >>> score, information = slopes(*(np.array(x) for x in (0.5, 1e9, 6.0, 2.0)))  # as good as binomial: S - n mu
    >>> round(float(score), 3), round(float(information), 3)
    (2.0, 2.0)
    """
    n, spread, a = successes + failures, mean * (1.0 - mean), weight * mean
    won, lost = digamma_rise(np.stack([a, weight - a]), np.stack([successes, failures]))
    return Slopes(spread * weight * (won - lost), n * spread / (1.0 + np.maximum(n - 1.0, 0.0) / (weight + 1.0)))


def _log_gamma(x: FloatArray) -> FloatArray:
    """Shifted upwards by the recurrence, then Stirling's series."""
    product, y = np.ones_like(x), x
    for _ in range(_SHIFT):
        product, y = product * y, y + 1.0
    square = 1.0 / (y * y)
    series = (1.0 / 12 - square * (1.0 / 360 - square * (1.0 / 1260 - square / 1680))) / y
    return np.asarray((y - 0.5) * np.log(y) - y + 0.5 * np.log(2.0 * np.pi) + series - np.log(product))


def _digamma(x: FloatArray) -> FloatArray:
    """The same for its derivative."""
    total, y = np.zeros_like(x), x
    for _ in range(_SHIFT):
        total, y = total + 1.0 / y, y + 1.0
    square = 1.0 / (y * y)
    series = square * (1.0 / 12 - square * (1.0 / 120 - square * (1.0 / 252 - square / 240)))
    return np.asarray(np.log(y) - 0.5 / y - series - total)
