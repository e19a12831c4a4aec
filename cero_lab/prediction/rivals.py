"""Rivals of the library's beliefs, for held-out comparison only: a grid of log-odds, and VIP's Gaussian process."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.beliefs import Belief, Expectation, Results
from cero_api.changes import Changes


class Predictor(Protocol):
    """What is compared."""

    def ask(self, rows: IntArray) -> Expectation:
        """What is expected of these prompts in the round that comes."""
        ...

    def told(self, rows: IntArray, won: FloatArray, lost: FloatArray) -> None:
        """What they earned in it."""
        ...


class Believed:
    """A belief of the library, used as an allocator uses it."""

    def __init__(self, belief: Belief[object]) -> None:
        self._belief, self._state = belief, belief.start()
        self._round = 0

    def ask(self, rows: IntArray) -> Expectation:
        """What is expected of these prompts in the round that comes."""
        state = self._belief.learned(self._state)
        expected = self._belief.ask(state, rows)
        self._state = self._belief.tick(state)
        return expected

    def told(self, rows: IntArray, won: FloatArray, lost: FloatArray) -> None:
        """What they earned in it."""
        changes, none = Changes(), np.zeros(rows.size)
        self._belief.told(self._state, Results(self._round, rows, won, lost, none, none == 0), changes)
        changes.make()
        self._round += 1


class GridFilter:
    """The likelihood of what each prompt has earned as a function of today's log-odds, on a grid: 66 numbers a prompt.

    Every round it is moved by the pool's drift and blurred; the prior is the distribution over the grid that
    expectation maximisation finds most probable, for each class of prompts shrunk to the pool's.

    Args:
        size: M.
        classes: of each prompt, any labels; None is one class for all.
    """

    def __init__(self, size: int, classes: IntArray | None = None) -> None:
        self._odds = np.linspace(-8.0, 5.0, 66)
        self._rate = 1.0 / (1.0 + np.exp(-self._odds))
        self._likelihood = np.ones((size, 66))
        self._seen = np.zeros(size, dtype=np.bool_)
        bump = np.exp(-0.5 * ((self._odds + 1.0) / 2.5) ** 2)
        self._start = bump / bump.sum()
        self._prior = np.tile(self._start, (size, 1))
        self._classes = None if classes is None else np.unique(classes, return_inverse=True)[1]
        self._drift = 0.0

    def ask(self, rows: IntArray) -> Expectation:
        """What is expected of these prompts in the round that comes."""
        posterior = self._posterior(rows)
        return Expectation(posterior @ self._rate, posterior @ (self._rate * (1.0 - self._rate)))

    def told(self, rows: IntArray, won: FloatArray, lost: FloatArray) -> None:
        """What they earned in it."""
        self._drift = 0.9 * self._drift + 0.1 * self._movement(rows, won, lost)
        log = np.outer(won, np.log(self._rate)) + np.outer(lost, np.log1p(-self._rate))
        self._likelihood[rows] *= np.exp(log - log.max(1, keepdims=True))
        self._likelihood[rows] /= self._likelihood[rows].max(1, keepdims=True)
        self._seen[rows] = True
        self._fit()
        self._blur()

    def _posterior(self, rows: IntArray) -> FloatArray:
        both = self._prior[rows] * self._likelihood[rows]
        return np.asarray(both / both.sum(1, keepdims=True))

    def _movement(self, rows: IntArray, won: FloatArray, lost: FloatArray) -> float:
        """Of the log-odds of those seen before, by one step of their common score."""
        old = self._seen[rows]
        posterior, n = self._posterior(rows), won + lost
        mean, spread = posterior @ self._rate, posterior @ (self._rate * (1.0 - self._rate))
        variance = np.maximum(n * (spread + n * (posterior @ self._rate**2 - mean**2)), 1e-9)
        score = ((won - n * mean) * spread * n / variance)[old].sum()
        information = ((spread * n) ** 2 / variance)[old].sum()
        return float(np.clip(score / (information + 4.0), -0.3, 0.3))

    def _blur(self) -> None:
        step = float(self._odds[1] - self._odds[0])
        move = float(np.clip(self._drift, -0.1, 0.1)) / step
        spread = (0.1 / step) ** 2 + move * move
        right, left = max(0.0, (spread + move) / 2), max(0.0, (spread - move) / 2)
        old = self._likelihood
        new = old * (1.0 - right - left)
        new[:, 1:] += right * old[:, :-1]
        new[:, 0] += right * old[:, 0]
        new[:, :-1] += left * old[:, 1:]
        new[:, -1] += left * old[:, -1]
        self._likelihood = new

    def _fit(self) -> None:
        pool = self._maximised(self._start, self._likelihood[self._seen], self._start, weight=4.0, steps=8)
        if self._classes is None:
            self._prior[:] = pool
            return
        kinds = self._classes[self._seen]
        for kind in np.unique(self._classes):
            own = self._maximised(pool, self._likelihood[self._seen][kinds == kind], pool, weight=2.0, steps=5)
            self._prior[self._classes == kind] = own

    def _maximised(self, first: FloatArray, seen: FloatArray, to: FloatArray, weight: float, steps: int) -> FloatArray:
        found = first
        for _ in range(steps if len(seen) else 0):
            each = found * seen
            each = each / each.sum(1, keepdims=True)
            found = (weight * to + each.sum(0)) / (weight + len(seen))
            found = np.convolve(np.pad(found, 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
            found = found / found.sum()
        return found


class GaussianProcess:
    """VIP's predictor: a Gaussian process over the features predicts log-odds, told of each group's share of successes.

    A squared-exponential kernel on standardised features, its length the median distance, its variance the prior's;
    shares are smoothed by half a success, and their noise is that of a binomial's log-odds; what is old counts less.

    Args:
        features: float64 `[M, d]`.

    Source: arXiv 2602.01601.
    """

    def __init__(self, features: FloatArray) -> None:
        spread = features.std(0)
        scaled = (features - features.mean(0)) / np.where(spread > 0, spread, 1.0)
        distance = ((scaled[:, None] - scaled) ** 2).sum(-1)
        positive = distance[distance > 0]
        length = np.median(positive) if positive.size else 1.0
        self._kernel = 4.0 * np.exp(-0.5 * distance / length)
        self._mean = 0.0
        self._rows: list[IntArray] = []
        self._odds: list[FloatArray] = []
        self._noise: list[FloatArray] = []

    def ask(self, rows: IntArray) -> Expectation:
        """What is expected of these prompts in the round that comes."""
        mean, variance = np.full(rows.size, self._mean), self._kernel[rows, rows]
        if self._rows:
            seen, odds = np.concatenate(self._rows), np.concatenate(self._odds)
            age = np.repeat(np.arange(len(self._rows))[::-1], [part.size for part in self._rows])
            noise = np.concatenate(self._noise) * 1.02**age
            cross = self._kernel[np.ix_(rows, seen)]
            solved = np.linalg.solve(self._kernel[np.ix_(seen, seen)] + np.diag(noise), cross.T)
            mean = self._mean + solved.T @ (odds - self._mean)
            variance = np.maximum(variance - (cross * solved.T).sum(1), 1e-9)
        # Moments of the logistic of a normal, by Gauss and Hermite.
        nodes, weights = np.polynomial.hermite_e.hermegauss(15)
        rates = 1.0 / (1.0 + np.exp(-(mean[:, None] + np.sqrt(variance)[:, None] * nodes)))
        weights = weights / weights.sum()
        return Expectation(rates @ weights, (rates * (1.0 - rates)) @ weights)

    def told(self, rows: IntArray, won: FloatArray, lost: FloatArray) -> None:
        """What they earned in it."""
        odds = np.log(won + 0.5) - np.log(lost + 0.5)
        self._rows.append(rows)
        self._odds.append(odds)
        self._noise.append(1.0 / (won + 0.5) + 1.0 / (lost + 0.5))
        self._mean = float(np.concatenate(self._odds).mean())
