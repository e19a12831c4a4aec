r"""How long a rollout of a prompt will be: its own mean, shrunk to what the pool and the features expect.

What the pool expects is a ridge regression of tokens on the features, by sufficient statistics that fade:
$\ell_i = \beta_0 + x_i^\top\beta$ with $(A + \alpha I)\beta = b$, $A = \sum n z z^\top$, $b = \sum n z \bar t$. Of a prompt
with $T_i$ tokens in $n_i$ rollouts $\hat\ell_i = (k\ell_i + T_i)/(k + n_i)$ is expected, and of no rollout less than one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.beliefs.features import Features
from cero_api.changes import Changes

_SHRINK = 4.0  # k: rollouts that what the pool expects is worth
_RIDGE = 4.0  # of the features' coefficients, in rollouts
_KEEP = 1.0 - 1.0 / 50.0  # of what older rounds told of the pool, a round


@dataclass
class LengthState:
    """Tokens and rollouts of each prompt, and of the pool. Sizes: M prompts, D = d features and one."""

    tokens: FloatArray  # [M]
    rollouts: FloatArray  # [M] of which they are
    information: FloatArray  # [D, D]
    pull: FloatArray  # [D]


class LengthBelief:
    """Expected tokens of a rollout.

    Args:
        num_prompts: M.
        features: what is known of each prompt; None is nothing.

    >>> belief = LengthBelief(4, Features([[0.0], [0.0], [1.0], [1.0]], 4))
    >>> state, changes = belief.start(), Changes()
    >>> belief.told(state, np.array([0, 2]), np.array([80.0, 800.0]), np.array([8.0, 8.0]), changes)
    >>> changes.make()
    >>> belief.expected(state, np.array([1, 3])).round()  # neither was tried
    array([28., 82.])
    """

    def __init__(self, num_prompts: int, features: Features | None = None) -> None:
        self._features = Features.none(num_prompts) if features is None else features
        self._size = num_prompts

    def start(self) -> LengthState:
        """Nothing seen: all are as long as one another."""
        columns = self._features.columns + 1
        return LengthState(np.zeros(self._size), np.zeros(self._size), np.zeros((columns, columns)), np.zeros(columns))

    def expected(self, state: LengthState, rows: IntArray) -> FloatArray:
        """Tokens of a rollout of each of these prompts, float64 `[P]`, at least 1."""
        own, n = state.tokens[rows], state.rollouts[rows]
        pool = self._features.scores(rows, *self._coefficients(state))
        return np.maximum((_SHRINK * np.maximum(pool, 1.0) + own) / (_SHRINK + n), 1.0)

    def told(
        self, state: LengthState, rows: IntArray, tokens: FloatArray, rollouts: FloatArray, changes: Changes
    ) -> None:
        """Rollouts came in, with their tokens."""
        design = np.column_stack((np.ones(rows.size), self._features.of(rows)))
        changes.put(state.tokens, rows, state.tokens[rows] + tokens)
        changes.put(state.rollouts, rows, state.rollouts[rows] + rollouts)
        changes.set(state, "information", state.information + (design * rollouts[:, None]).T @ design)
        changes.set(state, "pull", state.pull + design.T @ tokens)

    def tick(self, state: LengthState) -> LengthState:
        """What older rounds told of the pool fades."""
        return replace(state, information=_KEEP * state.information, pull=_KEEP * state.pull)

    def fault(self, state: LengthState) -> str | None:
        """What is wrong with a state of the right names and shapes, or None."""
        if min(state.tokens.min(initial=0.0), state.rollouts.min(initial=0.0)) < 0.0:
            return "it has rollouts of a negative length"
        return None

    def _coefficients(self, state: LengthState) -> tuple[FloatArray, float]:
        total = state.information[0, 0]
        if total <= 0.0:
            return np.zeros(self._features.columns), 1.0
        ridge = np.diag(np.concatenate(([1e-9], np.full(self._features.columns, _RIDGE))))
        found = np.linalg.solve(state.information + ridge, state.pull)
        return found[1:], float(found[0])
