r"""A prompt's posterior from what is common to the pool and what it has earned itself.

Today's rate of a prompt is Beta distributed around what is common,

$$ P_i \sim \mathrm{Beta}(s\,m_i,\ s\,(1 - m_i)), \qquad \mathrm{logit}\,m_i = \theta_0 + x_i^\top w, $$

and its own evidence, $S_i$ successes and $F_i$ failures of $t$ rounds ago, is as good as today's once its odds are
moved by the drift $\delta$ of a round, $S/F \mapsto e^{\delta t} S/F$, and once it weighs less,
$n \mapsto n/(1 + n\hat q\tau t)$: that is what a random walk of the log-odds with variance $\tau$ a round leaves of its
precision. Offline pass rates are evidence of round 0, worth $k$ rollouts. So the posterior is Beta again, and own
evidence takes over as it grows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.beliefs.features import Features
from cero_api.beliefs.offline import OfflineRates

LEVEL, DRIFT, FIXED = 0, 1, 2  # places of the coefficients that are no feature's, and how many there are
EVERY = slice(None)
_FASTEST = 0.2  # drift of a round that is believed
_FARTHEST = 3.0  # log-odds by which evidence is moved at most, however old
_EXTREME = 20.0  # log-odds of the farthest that the pool can make expect
_TINY = float(np.finfo(np.float64).tiny)


class Evidence(NamedTuple):
    """Outcomes of some prompts, and how many rounds ago they were seen."""

    successes: FloatArray  # [P]
    failures: FloatArray  # [P]
    age: FloatArray  # [P] or [1]


class Common(NamedTuple):
    """What is common to the pool; the last three may be guesses `[G, 1]`, and posteriors are then `[G, P]`."""

    coefficients: FloatArray  # [2 + d] level, drift, and one a feature
    strength: float | FloatArray  # s
    fading: float | FloatArray  # tau
    offline: float | FloatArray  # k

    @property
    def drift(self) -> float:
        """Of the log-odds in a round, as far as it is believed."""
        return float(np.clip(self.coefficients[DRIFT], -_FASTEST, _FASTEST))


class Moved(NamedTuple):
    """What evidence is worth some rounds later."""

    successes: FloatArray  # [P]
    weight: FloatArray  # [P] successes and failures
    age: FloatArray  # [P] or [1]


class Posterior(NamedTuple):
    """Beta posteriors of some prompts, and what they are made of."""

    mean: FloatArray  # [P]
    weight: FloatArray  # [P] a + b
    prior: FloatArray  # [P] s m, the successes that the pool is worth
    own: Moved
    offline: Moved | None


class Known(NamedTuple):
    """What is known of a pool's prompts from outside, for good."""

    features: Features
    offline: OfflineRates | None

    def part(self, rows: IntArray) -> Known:
        """What is known of some prompts, int64 `[P]`; they are `EVERY` row of it."""
        return Known(self.features.part(rows), None if self.offline is None else self.offline.part(rows))

    def posterior(self, rows: IntArray | slice, own: Evidence, began: FloatArray, common: Common) -> Posterior:
        """The posteriors of some prompts.

        Args:
            rows: int64 `[P]`, or a slice of the pool.
            own: their evidence.
            began: rounds since the training began, float64 `[P]` or `[1]`.
            common: what is common to the pool.
        """
        level, effects = common.coefficients[LEVEL], common.coefficients[FIXED:]
        prior = self.features.scores(rows, -effects, -level, _EXTREME)
        np.exp(prior, out=prior)
        prior += 1.0
        prior = common.strength / prior
        moved = _moved(own, prior, common)
        successes, weight = prior + moved.successes, common.strength + moved.weight
        earlier = None
        if self.offline is not None:
            earlier = _moved(Evidence(*self.offline.evidence(common.offline, rows), began), prior, common)
            successes, weight = successes + earlier.successes, weight + earlier.weight
        return Posterior(successes / weight, weight, prior, moved, earlier)

    def design(self, rows: IntArray | slice, found: Posterior, common: Common) -> FloatArray:
        """Derivatives of the log-odds of the posterior means by the coefficients.

        Args:
            rows: int64 `[P]`, or a slice of the pool.
            found: their posteriors.
            common: what is common to the pool, no guesses.

        Returns:
            float64 `[P, 2 + d]`.
        """
        spread = found.weight * found.mean * (1.0 - found.mean)
        by_prior = found.prior * (1.0 - found.prior / common.strength) / spread
        by_drift = sum(_by_drift(part) for part in (found.own, found.offline) if part is not None) / spread
        return np.column_stack((by_prior, by_drift, by_prior[:, None] * self.features.of(rows)))


def _moved(seen: Evidence, prior: FloatArray, common: Common) -> Moved:
    """In place where it can be: a pass over the pool is bounded by the memory that it touches."""
    weight = seen.successes + seen.failures
    if weight.shape == prior.shape == seen.age.shape and 4 * np.count_nonzero(held := weight > 0.0) < weight.size:
        return _moved_of_few(seen, prior, common, np.flatnonzero(held))
    total = weight + common.strength
    mean = np.divide(prior + seen.successes, total, out=total)
    loss = 1.0 - mean  # of weight: its own, the expected variance, tau and the age together
    loss *= mean
    loss *= weight
    loss *= common.fading * seen.age
    loss += 1.0
    kept = np.divide(weight, loss, out=loss)
    drift, odds = common.drift, seen.successes
    if drift != 0.0:
        growth = seen.age * drift
        if float(seen.age.max(initial=0.0)) * abs(drift) > _FARTHEST:
            np.clip(growth, -_FARTHEST, _FARTHEST, out=growth)
        odds = np.exp(growth, out=growth) * odds
    both = odds + seen.failures
    both += _TINY
    return Moved(np.divide(odds, both, out=both) * kept, kept, seen.age)


def _moved_of_few(seen: Evidence, prior: FloatArray, common: Common, held: IntArray) -> Moved:
    """In a large pool most prompts have no evidence yet, and nothing of theirs moves."""
    moved = Moved(seen.successes.copy(), seen.successes + seen.failures, seen.age)
    if held.size:
        few = _moved(Evidence(*(part[held] for part in seen)), prior[held], common)
        moved.successes[held], moved.weight[held] = few.successes, few.weight
    return moved


def _by_drift(moved: Moved) -> FloatArray:
    """Derivative of the successes."""
    failures = moved.weight - moved.successes
    return moved.successes * failures / np.maximum(moved.weight, _TINY) * moved.age
