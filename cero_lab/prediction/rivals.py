"""Whoever predicts: the library's beliefs, and a rival of theirs that is here for comparison only."""

from __future__ import annotations

from typing import Any, Protocol

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

    def __init__(self, belief: Belief[Any]) -> None:
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
