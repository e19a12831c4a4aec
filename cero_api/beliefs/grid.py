"""A positive number that nobody knows: found by how well each of its possible values has predicted."""

from __future__ import annotations

import numpy as np

from cero_api._types import FloatArray


class GridNumber:
    r"""Possible values in equal ratios, with a log-normal prior; their log-likelihoods are the state.

    Args:
        low: the smallest.
        high: the largest.
        size: how many.
        typical: median of the prior.
        width: standard deviation of its logarithm.

    >>> number = GridNumber(0.25, 32.0, size=8, typical=2.0, width=1.0)
    >>> number.values
    array([ 0.25,  0.5 ,  1.  ,  2.  ,  4.  ,  8.  , 16.  , 32.  ])
    >>> round(number.value(np.zeros(8)), 2), round(number.value(np.array([0, 0, 0, 0, 0, 50.0, 0, 0])), 2)
    (2.03, 8.0)
    """

    def __init__(self, low: float, high: float, size: int, typical: float, width: float) -> None:
        self._logs = np.linspace(np.log(low), np.log(high), size)
        self._prior = -0.5 * ((self._logs - np.log(typical)) / width) ** 2
        self.values: FloatArray = np.exp(self._logs)

    @classmethod
    def fixed(cls, value: float) -> GridNumber:
        """One that is known."""
        return cls(value, value, 1, value, 1.0)

    def start(self) -> FloatArray:
        """No value has predicted anything yet, float64 `[size]`."""
        return np.zeros(self.values.size)

    def value(self, evidence: FloatArray) -> float:
        """Geometric mean over the posterior.

        Args:
            evidence: log-likelihoods, float64 `[size]`, up to a common constant.
        """
        weight = self._prior + evidence
        weight = np.exp(weight - weight.max())
        return float(np.exp(weight @ self._logs / weight.sum()))
