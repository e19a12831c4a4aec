"""Trainings as curves on one grid of rollouts: smoothed accuracy, and the tokens that were spent by then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from cero_api._types import FloatArray
from cero_api.analysis.learning.record import TrainingRecord
from cero_api.errors import ConfigurationError

WINDOW = 3  # evaluations that are averaged


def smoothed(values: ArrayLike) -> FloatArray:
    """Mean of each value and the two before it; the first two have fewer to average.

    Args:
        values: float64 `[..., evaluations]`.

    >>> smoothed([0.0, 3.0, 3.0, 6.0])
    array([0. , 1.5, 2. , 4. ])
    """
    array = np.asarray(values, dtype=np.float64)
    total = np.concatenate([np.zeros((*array.shape[:-1], 1)), array.cumsum(-1)], -1)
    end = np.arange(1, total.shape[-1])
    begin = np.maximum(end - WINDOW, 0)
    means: FloatArray = (total[..., end] - total[..., begin]) / (end - begin)
    return means


def common_grid(records: Iterable[TrainingRecord]) -> FloatArray:
    """Equal steps over the rollouts that every training has been evaluated at: float64 `[points]`.

    What one has spent beyond another is left out, so that only equal rollouts are compared. Rollouts are averaged like
    accuracies: a mean over three evaluations stands where their mean is, and is not late by one.

    Raises:
        ConfigurationError: no training, or two that have no rollouts in common.
    """
    different = {tuple(record.rollouts) for record in records}
    if not different:
        raise ConfigurationError("no trainings to compare; give at least one")
    places = [smoothed(rollouts) for rollouts in different]
    first, last = max(place[0] for place in places), min(place[-1] for place in places)
    if last <= first:
        end = min(rollouts[-1] for rollouts in different)
        raise ConfigurationError(
            f"one training ends at {end} rollouts, another begins at {first:.0f}; compare equal ones"
        )
    return np.linspace(first, last, max(place.size for place in places))


def curves(records: Sequence[TrainingRecord], grid: FloatArray | None = None) -> FloatArray:
    """Smoothed accuracy on one grid of rollouts, linear in between: float64 `[trainings, points]`.

    Args:
        records: of trainings, in order.
        grid: float64 `[points]`, rollouts; None is `common_grid(records)`.
    """
    points = common_grid(records) if grid is None else grid
    return _laid(records, [record.accuracy for record in records], points)


def token_curves(records: Sequence[TrainingRecord], grid: FloatArray) -> FloatArray | None:
    """Tokens that had been generated, on the same grid: float64 `[trainings, points]`; None if some did not count them.

    Args:
        records: of trainings, in order.
        grid: float64 `[points]`, rollouts.
    """
    counted = [record.tokens for record in records if record.tokens is not None]
    return _laid(records, counted, grid) if len(counted) == len(records) else None


def _laid(records: Sequence[TrainingRecord], values: Sequence[Sequence[float]], grid: FloatArray) -> FloatArray:
    """Smoothed values on the grid; those of equal rollouts, which usually are all, at once."""
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, record in enumerate(records):
        rows.setdefault(tuple(record.rollouts), []).append(row)
    laid = np.empty((len(records), grid.size))
    for rollouts, which in rows.items():
        places, heights = smoothed(rollouts), smoothed([values[row] for row in which])
        at = np.clip(np.searchsorted(places, grid, side="right") - 1, 0, places.size - 2)
        part = np.clip((grid - places[at]) / (places[at + 1] - places[at]), 0, 1)
        laid[which] = heights[:, at] * (1 - part) + heights[:, at + 1] * part
    return laid


def area(curve: FloatArray) -> float:
    """Mean height of a curve on an even grid, by the trapezoidal rule.

    >>> area(np.array([0.0, 0.5, 1.0]))
    0.5
    """
    return float((curve[:-1] + curve[1:]).mean() / 2)
