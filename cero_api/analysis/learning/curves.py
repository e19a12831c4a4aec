"""Trainings as curves on one grid of rollouts: smoothed accuracy, and the tokens that were spent by then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from cero_api._types import FloatArray
from cero_api.analysis.learning.record import TrainingRecord
from cero_api.errors import ConfigurationError

WINDOW = 3  # evaluations that are averaged


def smoothed(values: Sequence[float]) -> FloatArray:
    """Mean of each value and the two before it; the first two have fewer to average.

    >>> smoothed([0.0, 3.0, 3.0, 6.0])
    array([0. , 1.5, 2. , 4. ])
    """
    total = np.cumsum([0.0, *values])
    end = np.arange(1, total.size)
    begin = np.maximum(end - WINDOW, 0)
    means: FloatArray = (total[end] - total[begin]) / (end - begin)
    return means


def common_grid(records: Iterable[TrainingRecord]) -> FloatArray:
    """Equal steps over the rollouts that every training has been evaluated at: float64 `[points]`.

    What one has spent beyond another is left out, so that only equal rollouts are compared. Rollouts are averaged like
    accuracies: a mean over three evaluations stands where their mean is, and is not late by one.

    Raises:
        ConfigurationError: no training, or two that have no rollouts in common.
    """
    places = [(smoothed(record.rollouts), record.rollouts[-1]) for record in records]
    if not places:
        raise ConfigurationError("no trainings to compare; give at least one")
    first, last = max(place[0] for place, _ in places), min(place[-1] for place, _ in places)
    if last <= first:
        ends = min(end for _, end in places)
        raise ConfigurationError(
            f"one training ends at {ends} rollouts, another begins at {first:.0f}; compare equal ones"
        )
    return np.linspace(first, last, max(place.size for place, _ in places))


def curves(records: Sequence[TrainingRecord], grid: FloatArray | None = None) -> FloatArray:
    """Smoothed accuracy on one grid of rollouts, linear in between: float64 `[trainings, points]`.

    Args:
        records: of trainings, in order.
        grid: float64 `[points]`, rollouts; None is `common_grid(records)`.
    """
    points = common_grid(records) if grid is None else grid
    return np.array([np.interp(points, smoothed(record.rollouts), smoothed(record.accuracy)) for record in records])


def token_curves(records: Sequence[TrainingRecord], grid: FloatArray) -> FloatArray | None:
    """Tokens that had been generated, on the same grid: float64 `[trainings, points]`; None if some did not count them.

    Args:
        records: of trainings, in order.
        grid: float64 `[points]`, rollouts.
    """
    counted = [(smoothed(record.rollouts), smoothed(record.tokens)) for record in records if record.tokens is not None]
    if len(counted) < len(records):
        return None
    return np.array([np.interp(grid, rollouts, tokens) for rollouts, tokens in counted])


def area(curve: FloatArray) -> float:
    """Mean height of a curve on an even grid, by the trapezoidal rule.

    >>> area(np.array([0.0, 0.5, 1.0]))
    0.5
    """
    return float((curve[:-1] + curve[1:]).mean() / 2)
