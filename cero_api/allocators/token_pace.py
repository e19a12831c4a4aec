r"""A budget in tokens, kept by the size of rounds: what is left of it is spread over the rounds that are left.

With $T$ tokens in all, $t$ generated, $o$ rollouts out and $\bar\ell$ tokens in a recent rollout, a round with $k$
rounds to go, itself included, deals at most

$$ \left\lfloor \frac{T - t - o\,\bar\ell}{k\,\bar\ell} \right\rfloor $$

rollouts. How long a rollout was is known afterwards, so a round's error is made good by those after it, and the budget
is overrun by what the last round's are longer than the recent ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cero_api.changes import Changes


@dataclass
class PaceState:
    """What recent rollouts took; older ones fade."""

    tokens: float
    rollouts: float


class TokenPace:
    """Rollouts that a round may deal. The object is its settings; a state is a value, as that of `Belief`.

    Args:
        budget: tokens of the whole training, T.
        memory: rounds after which a rollout weighs a third: lengths drift as a model learns.

    >>> pace, changes = TokenPace(100_000), Changes()
    >>> state = pace.start()
    >>> pace.told(state, 8000.0, 16, changes); changes.make()
    >>> pace.affordable(state, generated=8000.0, outstanding=16, rounds=4)  # (100000 - 8000 - 16 x 500) / (4 x 500)
    42
    """

    def __init__(self, budget: int, memory: float = 10.0) -> None:
        self.budget = budget
        self._keep = math.exp(-1.0 / memory)

    def start(self) -> PaceState:
        """Nothing is known of lengths."""
        return PaceState(0.0, 0.0)

    def told(self, state: PaceState, tokens: float, rollouts: int, changes: Changes) -> None:
        """Rollouts came in, with so many tokens together."""
        changes.set(state, "tokens", state.tokens + tokens)
        changes.set(state, "rollouts", state.rollouts + rollouts)

    def tick(self, state: PaceState) -> PaceState:
        """The state after a round has been dealt."""
        return PaceState(self._keep * state.tokens, self._keep * state.rollouts)

    def affordable(self, state: PaceState, generated: float, outstanding: int, rounds: int) -> int | None:
        """Rollouts that the next round may deal; None before any length is known.

        Args:
            state: of this pace.
            generated: tokens so far, t.
            outstanding: rollouts of which nothing has come, o.
            rounds: to go, the next included, k.
        """
        if not state.rollouts:
            return None
        length = max(state.tokens / state.rollouts, 1.0)  # a rollout has a token, if only the one that ends it
        return max(math.floor((self.budget - generated - outstanding * length) / (rounds * length)), 0)

    def fault(self, state: PaceState) -> str | None:
        """What is wrong with a state of the right names, or None: for states that come from outside."""
        return "its pace rests on a negative number of tokens" if min(state.tokens, state.rollouts) < 0 else None
