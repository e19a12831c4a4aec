r"""VIP's belief: a Gaussian process over the features, whose mean is carried from round to round.

Prompts whose features are alike are expected to succeed alike: their log-odds are normal around $m$, with covariance
$k(x, x') = e^{-|x - x'|^2 / 2\ell^2}$. The groups $B$ of a round say $y = \ln\frac{S + 1/2}{F + 1/2}$ of theirs and
move everybody's mean, which is the next round's; its covariance is the prior's again, and so older rounds fade:

$$ m \leftarrow m + K_{\cdot B} (K_{BB} + \sigma^2 I)^{-1} (y - m_B), \qquad m_B \leftarrow y. $$

A prompt is expected to succeed at $1/(1 + e^{-m_i})$. Kept are not the means but what they are made of,
$m_i = m_0 + \sum_j k(x_i, z_j) v_j + o_i$ with inducing points $z$ and what the prompt's own last group said otherwise,
$o_i$; so a round costs no pass over the pool.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.beliefs.base import Belief, Expectation, Results
from cero_api.beliefs.evidence import add_graded, evidence_fault
from cero_api.beliefs.features import Features
from cero_api.changes import Changes
from cero_api.mathematics.blocks import blocks
from cero_api.state import RAGGED, no_floats, no_integers

_POINTS = 256
_PIECE = 512  # prompts whose kernel is made at once: a megabyte
_FAINT = 1e-10  # share of the largest eigenvalue below which a direction is rounding


@dataclass
class GaussianState:
    """What the process has learned. Sizes: M prompts, Z inducing points."""

    round: int  # rounds dealt so far
    features: int  # fingerprint of the features it has learned by
    weights: FloatArray  # [Z] v
    own: FloatArray  # [M] o, in log-odds
    successes: FloatArray  # [M] of the latest group of each prompt
    failures: FloatArray  # [M]
    fresh: IntArray = field(default_factory=no_integers, metadata=RAGGED)  # prompts whose latest is to be learned from
    graded: FloatArray = field(default_factory=no_floats, metadata=RAGGED)  # [M] of the latest; [0] while all were 0


class GaussianBelief(Belief[GaussianState]):
    r"""VIP's Gaussian process; of a prompt's own past only the latest group counts, as $m_B \leftarrow y$ has it.

    Deviations: the published code takes a group's rate for all but exact ($\sigma^2 = 10^{-4}$, $y$ up to $\pm 14$),
    which predicts far worse where groups are of eight (docs/evidence.md has both); here $\sigma^2 = 1$, and the half
    successes bound $y$. Its $\ell = 0.4$ is for unit vectors, about a third of the distance of unrelated ones; here it
    is a third of the median distance. With more than 256 different rows of features 256 of them are inducing points,
    and what these do not explain of a prompt is taken for noise.

    Args:
        num_prompts: M.
        features: of each prompt, such as the first principal components of an embedding.
        prior: of everything, `(successes, failures)`; $m_0$ is the logarithm of their ratio.
        noise: $\sigma^2$, of a group's log-odds.
        scale: $\ell$, in median distances of the inducing points.

    Source: arXiv 2602.01601.

    >>> belief = GaussianBelief(300, features=Features(np.arange(300) % 3 == 0, 300))
    >>> state, changes = belief.start(), Changes()
    >>> rows = np.arange(40)  # every third prompt is solved half of the time, the others never
    >>> won, none = np.where(rows % 3 == 0, 4.0, 0.0), np.zeros(40)
    >>> belief.told(state, Results(0, rows, won, 8 - won, none, none == 0), changes)
    >>> changes.make()
    >>> belief.ask(belief.learned(state), np.array([297, 298])).variance.round(2)  # neither was tried
    array([0.25, 0.06])
    """

    def __init__(
        self,
        num_prompts: int,
        *,
        features: Features,
        prior: tuple[float, float] = (1.0, 1.0),
        noise: float = 1.0,
        scale: float = 1.0 / 3.0,
    ) -> None:
        super().__init__(num_prompts)
        self._features, self._noise = features, noise
        self._mean = float(np.log(prior[0]) - np.log(prior[1]))
        points = features.of(_different(features, num_prompts))
        self._scale = scale * _median_distance(points)
        self._points = points / self._scale
        roots, basis = np.linalg.eigh(_kernel(self._points, self._points))
        strong = roots > _FAINT * roots[-1]
        self._basis = basis[:, strong] / np.sqrt(roots[strong])  # [Z, r]: the kernel with it is coordinates

    def start(self) -> GaussianState:
        """The prior for all."""
        pool = self.num_prompts
        return GaussianState(
            round=0,
            features=self._features.fingerprint,
            weights=np.zeros(len(self._points)),
            own=np.zeros(pool),
            successes=np.zeros(pool),
            failures=np.zeros(pool),
        )

    def expectation(self, state: GaussianState, rows: IntArray | slice) -> Expectation:
        """Mean and its Bernoulli variance, less what graded rewards lacked of it in the latest group."""
        found = state.own[rows]
        odds = np.empty(found.size)
        for piece in blocks(found.size, _PIECE):
            part = rows[piece] if isinstance(rows, np.ndarray) else _slice_of(rows, piece)
            odds[piece] = (self._with_points(part) * state.weights).sum(1)
        odds += self._mean
        odds += found
        mean = 1.0 / (1.0 + np.exp(-odds))
        variance = mean * (1.0 - mean)
        if state.graded.size:
            seen = np.maximum(state.successes[rows] + state.failures[rows], 1.0)
            variance = np.maximum(variance - state.graded[rows] / seen, 0.0)
        return Expectation(mean, variance)

    def told(self, state: GaussianState, results: Results, changes: Changes) -> None:
        """The latest group of each prompt; what is common is learned before the next round."""
        rows, kept = results.rows, np.where(results.first, 0.0, 1.0)
        changes.put(state.successes, rows, state.successes[rows] * kept + results.successes)
        changes.put(state.failures, rows, state.failures[rows] * kept + results.failures)
        add_graded(state, rows, kept, results.graded, changes)
        changes.set(state, "fresh", np.union1d(state.fresh, rows))

    def learned(self, state: GaussianState) -> GaussianState:
        """One update by all groups told since the last, by Woodbury's identity in the points' coordinates."""
        rows = state.fresh
        if not rows.size:
            return state
        kernel = self._with_points(rows)
        design = kernel @ self._basis
        noise = self._noise + np.maximum(1.0 - (design * design).sum(1), 0.0)
        said = np.log(state.successes[rows] + 0.5) - np.log(state.failures[rows] + 0.5)
        missed = said - self._mean - kernel @ state.weights - state.own[rows]
        scaled = design / noise[:, None]
        moved = np.linalg.solve(np.eye(design.shape[1]) + scaled.T @ design, scaled.T @ missed)
        weights = state.weights + self._basis @ moved
        own = state.own.copy()
        own[rows] = said - self._mean - kernel @ weights
        return replace(state, weights=weights, own=own, fresh=no_integers())

    def tick(self, state: GaussianState) -> GaussianState:
        """Rounds are counted, and nothing else."""
        return replace(state, round=state.round + 1)

    def fault(self, state: GaussianState) -> str | None:
        """Whether it has learned by other features, or from what cannot have been."""
        if state.features != self._features.fingerprint or state.weights.size != len(self._points):
            return "its belief has learned by other features than these"
        if state.round < 0:
            return f"its belief is of round {state.round}"
        if not ((state.fresh >= 0) & (state.fresh < self.num_prompts)).all():
            return "its belief has results of a prompt that there is not"
        return evidence_fault(state.successes, state.failures, state.graded)

    def _with_points(self, rows: IntArray | slice) -> FloatArray:
        return _kernel(self._features.of(rows) / self._scale, self._points)


def _kernel(some: FloatArray, points: FloatArray) -> FloatArray:
    """Column by column: each row's the same to the last bit whoever is asked for beside it, which BLAS does not say."""
    distance = np.zeros((len(some), len(points)))
    for mine, theirs in zip(some.T, points.T, strict=True):
        away = mine[:, None] - theirs
        away *= away
        distance += away
    distance *= -0.5
    return np.exp(distance, out=distance)


def _different(features: Features, num_prompts: int) -> IntArray:
    """Prompts with different features, at most 256, in a seeded order; all that there are if they are no more."""
    order, found = np.random.default_rng(0).permutation(num_prompts), no_integers()
    for piece in blocks(num_prompts):
        if found.size >= _POINTS:
            break
        seen = np.concatenate([found, order[piece]])
        found = seen[np.sort(np.unique(features.of(seen), axis=0, return_index=True)[1])][:_POINTS]
    return found


def _median_distance(points: FloatArray) -> float:
    """1 where there is none."""
    one, other = np.triu_indices(len(points), 1)
    return float(np.median(np.sqrt(((points[one] - points[other]) ** 2).sum(1)))) if one.size else 1.0


def _slice_of(rows: slice, piece: slice) -> slice:
    """A piece of a block of the pool."""
    start = rows.start or 0
    return slice(start + piece.start, start + piece.stop)
