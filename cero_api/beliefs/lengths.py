r"""How many tokens a rollout of a prompt will take: by its features, and more and more by its own.

The logarithm of a group's mean length is regressed on the features, with a level that follows the pool; a prompt's own
lengths are kept as what they differ from that by, and its expectation is the pool's until they weigh more:

$$ \hat\ell_i = \rho \exp\left(\theta_0 + x_i^\top w + \frac{\sum_j n_{ij} r_{ij}}{\kappa + \sum_j n_{ij}}\right). $$

$\kappa$, what the pool's expectation is worth in rollouts, is the value that predicts best, and $\rho$ makes the sum of
all predictions that of all tokens, which a mean of logarithms would miss.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.beliefs.features import Features
from cero_api.beliefs.grid import GridNumber
from cero_api.changes import Changes
from cero_api.mathematics.blocks import blocks
from cero_api.mathematics.shrinkage import feature_precisions, most_probable
from cero_api.state import RAGGED

_LOOSE = np.array([1e-6])  # prior precision of the level, which the first results set
_SPREAD, _SPREAD_WEIGHT = 0.25, 2.0  # variance of prompts' log-lengths before any is known, and its weight in groups
_MOST = 30.0  # logarithm of the longest rollout
_FARTHEST = 4.0  # factor by which rho corrects at most


@dataclass
class LengthState:
    """Own lengths of each prompt, and what is common to the pool. Sizes: M prompts, D = d features and one."""

    rollouts: FloatArray  # [M] seen of each prompt
    residual: FloatArray  # [M] sum over them of what the logarithm of their length differs from the pool's by
    information: FloatArray = field(metadata=RAGGED)  # [D * D] row by row
    pull: FloatArray = field(metadata=RAGGED)  # [D]
    coefficients: FloatArray = field(metadata=RAGGED)  # [D] level, and one a feature
    precision: FloatArray = field(metadata=RAGGED)  # [d]
    worth_evidence: FloatArray = field(metadata=RAGGED)  # [8] log-likelihoods of the values of kappa
    groups: float  # weight of the groups behind the next
    squares: float  # sum of squared residuals
    tokens: float  # that came
    predicted: float  # that had been predicted, without rho


class LengthBelief:
    """Expected tokens of a rollout. The object is its settings; a state is a value, as that of `Belief`.

    Args:
        num_prompts: M.
        features: what is known of each prompt; None is nothing.
        memory: rounds after which what a round told of the pool weighs a third.

    >>> belief = LengthBelief(4, features=Features([0, 0, 1, 1], 4))
    >>> state, changes = belief.start(), Changes()
    >>> belief.told(state, np.array([0, 2]), np.array([400.0, 3200.0]), np.array([8, 8]), changes)
    >>> changes.make()
    >>> belief.ask(belief.learned(state)).round()
    array([ 54.,  90., 371., 222.])
    """

    def __init__(self, num_prompts: int, *, features: Features | None = None, memory: float = 50.0) -> None:
        self.num_prompts = num_prompts
        self._features = Features.none(num_prompts) if features is None else features
        self._keep = 1.0 - 1.0 / memory
        self._worth = GridNumber(1.0, 128.0, 8, 8.0, 1.0)

    def start(self) -> LengthState:
        """Every prompt is like every other."""
        size = 1 + self._features.columns
        return LengthState(
            rollouts=np.zeros(self.num_prompts),
            residual=np.zeros(self.num_prompts),
            information=np.zeros(size * size),
            pull=np.zeros(size),
            coefficients=np.zeros(size),
            precision=np.full(size - 1, float(max(size - 1, 1))),
            worth_evidence=self._worth.start(),
            groups=0.0,
            squares=0.0,
            tokens=0.0,
            predicted=0.0,
        )

    def ask(self, state: LengthState, rows: IntArray | None = None) -> FloatArray:
        """Expected tokens of a rollout, each prompt's the same whoever is asked for beside it.

        Args:
            state: of this belief.
            rows: int64 `[P]`; None is the whole pool.

        Returns:
            float64 `[P]`, positive; 1 for all before anything is known.
        """
        if rows is not None:
            return self._expected(state, rows)
        answer = np.empty(self.num_prompts)
        for block in blocks(self.num_prompts):
            answer[block] = self._expected(state, block)
        return answer

    def told(
        self, state: LengthState, rows: IntArray, tokens: FloatArray, rollouts: IntArray, changes: Changes
    ) -> None:
        """Rollouts came in: in any order, late, in parts.

        Args:
            state: of this belief.
            rows: int64 `[P]`, no repeats.
            tokens: float64 `[P]`, of all of a prompt's rollouts together.
            rollouts: int64 `[P]`, positive.
            changes: what is to change is added here.
        """
        order = np.argsort(rows)
        rows, n, total = rows[order], rollouts[order].astype(np.float64), tokens[order]
        logs = np.log(np.maximum(total / n, 1.0))
        coefficients = state.coefficients
        if not state.groups:
            coefficients = coefficients.copy()
            coefficients[0] = logs.mean()
            changes.set(state, "coefficients", coefficients)
        common = self._features.scores(rows, coefficients[1:], coefficients[0], _MOST)
        worth, held = self._worth.value(state.worth_evidence), state.rollouts[rows]
        design = np.column_stack([np.ones(rows.size), self._features.of(rows)])
        weight = n / (n + worth)
        away = logs - common
        groups, squares = state.groups + float(weight.sum()), state.squares + float((weight * away**2).sum())
        own = state.residual[rows] / (self._worth.values[:, None] + held)
        missed = (weight * (away - own) ** 2).sum(1) / _spread(groups, squares)
        predicted = np.exp(common + state.residual[rows] / (worth + held))
        changes.put(state.rollouts, rows, held + n)
        changes.put(state.residual, rows, state.residual[rows] + n * away)
        changes.set(state, "information", state.information + ((design * weight[:, None]).T @ design).ravel())
        changes.set(state, "pull", state.pull + design.T @ (weight * logs))
        changes.set(state, "worth_evidence", state.worth_evidence - 0.5 * missed)
        changes.set(state, "groups", groups)
        changes.set(state, "squares", squares)
        if state.groups:  # the first results meet no prediction
            changes.set(state, "tokens", state.tokens + float(total.sum()))
            changes.set(state, "predicted", state.predicted + float((n * predicted).sum()))

    def learned(self, state: LengthState) -> LengthState:
        """The state before a round, in which what was told has changed what is common to the pool."""
        if not state.groups:
            return state
        spread = _spread(state.groups, state.squares)
        pull = state.pull / spread
        information = state.information.reshape(pull.size, pull.size) / spread
        information = 0.5 * (information + information.T)
        mean = np.zeros(pull.size)
        found = feature_precisions(information, pull, mean[:1], _LOOSE)
        coefficients = most_probable(information, pull, mean, np.concatenate([_LOOSE, found]))
        return replace(state, coefficients=coefficients, precision=found)

    def tick(self, state: LengthState) -> LengthState:
        """The state after a round has been dealt: what older rounds told fades."""
        keep = self._keep
        return replace(
            state,
            information=keep * state.information,
            pull=keep * state.pull,
            worth_evidence=keep * state.worth_evidence,
            groups=keep * state.groups,
            squares=keep * state.squares,
            tokens=keep * state.tokens,
            predicted=keep * state.predicted,
        )

    def fault(self, state: LengthState) -> str | None:
        """What is wrong with a state of the right names and shapes, or None: for states that come from outside."""
        size = 1 + self._features.columns
        shapes = (state.information.size, state.pull.size, state.coefficients.size, state.precision.size + 1)
        if shapes != (size * size, size, size, size) or state.worth_evidence.size != self._worth.values.size:
            return "its expected lengths have been learned by other features than these"
        sums = (state.groups, state.squares, state.tokens, state.predicted)
        if min(state.rollouts.min(initial=0.0), state.precision.min(initial=1.0), *sums) < 0.0:
            return "its expected lengths rest on a negative number of rollouts or tokens"
        return None

    def _expected(self, state: LengthState, rows: IntArray | slice) -> FloatArray:
        common = self._features.scores(rows, state.coefficients[1:], state.coefficients[0], _MOST)
        own = state.residual[rows] / (self._worth.value(state.worth_evidence) + state.rollouts[rows])
        ratio = state.tokens / state.predicted if state.predicted else 1.0
        return np.asarray(np.exp(common + own) * np.clip(ratio, 1.0 / _FARTHEST, _FARTHEST))


def _spread(groups: float, squares: float) -> float:
    """Variance of the prompts' log-lengths around what their features say."""
    return (squares + _SPREAD * _SPREAD_WEIGHT) / (groups + _SPREAD_WEIGHT)
