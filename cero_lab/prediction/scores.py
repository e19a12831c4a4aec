"""Predicted against true: correlation, error, bias and calibration, at first visits and later ones apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from cero_api._types import FloatArray
from cero_lab.prediction.history import History
from cero_lab.prediction.rivals import Predictor

VISITS = ("zeroth", "first", "later")  # how often a prompt had been tried before
_FEWEST = 40  # groups of a history that make a number


class Score(NamedTuple):
    r"""How the predicted variance $\hat q$ of a group compares with the true $p(1-p)$.

    Args:
        r: correlation; NaN where all predictions are equal.
        rmse: root of the mean squared error.
        bias: mean of $\hat q - p(1-p)$.
        slope: of the truth regressed on the prediction, 1 if a difference that is predicted is there.
    """

    r: float
    rmse: float
    bias: float
    slope: float


def predictions(predictor: Predictor, history: History) -> FloatArray:
    """Replay a history: how often each prompt had been tried, what was expected of it, and what was true.

    Args:
        predictor: is told of the history's outcomes, each after it was asked.
        history: with true rates.

    Returns:
        float64 `[G, 3]`, the groups in order.
    """
    tried = np.zeros(history.num_prompts)
    parts = []
    for k, (rows, counts, won) in enumerate(history.visits):
        rate = history.rates(k)[rows]
        expected = predictor.ask(rows).variance
        parts.append(np.column_stack([tried[rows], expected, rate * (1.0 - rate)]))
        predictor.told(rows, won, counts - won)
        tried[rows] += 1
    return np.concatenate(parts)


def score(expected: FloatArray, true: FloatArray) -> Score:
    """Compare predictions with the truth.

    >>> score(np.array([0.1, 0.2, 0.1, 0.2]), np.array([0.05, 0.25, 0.05, 0.25]))
    Score(r=1.0, rmse=0.05, bias=0.0, slope=2.0)
    """
    error = expected - true
    spread = float(expected.var())
    flat = spread < 1e-18
    covariance = float(((expected - expected.mean()) * (true - true.mean())).mean())
    r = float("nan") if flat else covariance / np.sqrt(spread * true.var())
    slope = float("nan") if flat else covariance / spread
    rounded = (round(float(value), 12) for value in (r, np.sqrt((error**2).mean()), error.mean(), slope))
    return Score(*rounded)


def scores(make: Callable[[History], Predictor], histories: Sequence[History]) -> dict[str, Score]:
    """By visit, the mean over histories; a visit that too few groups are of is left out.

    Args:
        make: a new predictor for a history.
        histories: of one regime.
    """
    found: dict[str, list[Score]] = {}
    for history in histories:
        tried, expected, true = predictions(make(history), history).T
        for name, of in zip(VISITS, (tried == 0, tried == 1, tried > 1), strict=True):
            if np.count_nonzero(of) >= _FEWEST:
                found.setdefault(name, []).append(score(expected[of], true[of]))
    return {name: Score(*np.array(each).mean(0).tolist()) for name, each in found.items()}
