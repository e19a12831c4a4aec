"""Pass rates that were known before the training: of a data set, of another model, of another run."""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cero_api._types import FloatArray, IntArray
from cero_api.arrays import real_numbers
from cero_api.beliefs.grid import GridNumber
from cero_api.errors import ConfigurationError


class OfflineRates:
    r"""Pass rates $r_i$, each worth some rollouts of the model that is trained: its successes $kr$, failures $k(1-r)$.

    How many is $k$, the strength; of a rate that $n$ samples told it is $1/(1/k + 1/n)$, for a rate of few samples
    cannot be worth more than these.

    Args:
        rates: shares from 0 to 1, `[M]`, one a prompt, in the pool's order.
        num_prompts: M.
        samples: `[M]`, from how many samples each rate is, 0 where there is none and its rate means nothing; None is
            many.
        strength: $k$; None finds it by how well the rates predict.

    Raises:
        ConfigurationError: another number of rows, a rate that is missing or no share, samples or a strength that
            cannot be.

    >>> rates = OfflineRates([0.25, 1.0], num_prompts=2, samples=[4, 4], strength=4.0)
    >>> rates.evidence(4.0, np.array([0, 1]))
    (array([0.5, 2. ]), array([1.5, 0. ]))
    """

    def __init__(
        self,
        rates: ArrayLike,
        num_prompts: int,
        samples: ArrayLike | None = None,
        strength: float | None = None,
    ) -> None:
        share = real_numbers(rates, "offline rates", ConfigurationError)
        _check_length("offline rates", share.size, num_prompts)
        self._samples = None if samples is None else _samples(samples, num_prompts)
        known = np.ones(share.size, dtype=np.bool_) if self._samples is None else self._samples > 0
        share = np.where(known, share, 0.0)
        if np.isnan(share).any():
            raise ConfigurationError(
                f"offline rates have none in row {np.flatnonzero(np.isnan(share))[0]} "
                f"({int(np.isnan(share).sum())} such rows); give their samples too, 0 for the prompts without a rate"
            )
        wrong = np.flatnonzero((share < 0.0) | (share > 1.0))
        if wrong.size:
            raise ConfigurationError(
                f"offline rates have {share[wrong[0]]:g} in row {wrong[0]} ({wrong.size} such rows) and must be shares "
                "from 0 to 1; divide percentages by 100, and counts by the number of samples"
            )
        if strength is not None and not 0.0 < strength <= 1e9:
            raise ConfigurationError(
                f"offline strength {strength} must be positive, in rollouts; None finds it, and leave the rates out to "
                "ignore them"
            )
        self._rates: NDArray[np.float32] = share.astype(np.float32)
        self.strength = GridNumber(0.125, 64.0, 10, 2.0, 1.5) if strength is None else GridNumber.fixed(strength)

    def part(self, rows: IntArray) -> OfflineRates:
        """Those of some prompts by themselves."""
        chosen = copy.copy(self)
        chosen._rates = self._rates[rows]
        chosen._samples = None if self._samples is None else self._samples[rows]
        return chosen

    def evidence(self, strength: float | FloatArray, rows: IntArray | slice) -> tuple[FloatArray, FloatArray]:
        """Successes and failures that the rates of some prompts are worth.

        Args:
            strength: $k$; guesses of it, float64 `[G, 1]`, are answered together.
            rows: int64 `[P]`, or a slice of the pool.

        Returns:
            Two arrays, float64 `[P]` or `[G, P]`.
        """
        rates = self._rates[rows].astype(np.float64)
        weight = strength * np.ones(rates.size)
        if self._samples is not None:
            samples = self._samples[rows].astype(np.float64)
            weight *= samples / (strength + samples)
        won = weight * rates
        return won, weight - won


def _samples(samples: ArrayLike, num_prompts: int) -> NDArray[np.float32]:
    counts = real_numbers(samples, "offline samples", ConfigurationError)
    _check_length("offline samples", counts.size, num_prompts)
    wrong = np.flatnonzero(~((counts >= 0.0) & (counts < 2.0**31)))
    if wrong.size:
        raise ConfigurationError(
            f"offline samples have {counts[wrong[0]]:g} in row {wrong[0]}; give the number of samples behind each "
            "rate, 0 where there is none"
        )
    return counts.astype(np.float32)


def _check_length(name: str, size: int, num_prompts: int) -> None:
    if size != num_prompts:
        raise ConfigurationError(
            f"{name} have {size} rows, the pool has {num_prompts} prompts; give one a prompt, in the pool's order"
        )
