"""Mastered and hopeless prompts are not offered for a while; some of them are looked at again meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cero_api._types import BoolArray, FloatArray, IntArray
from cero_api.changes import Changes
from cero_api.errors import ConfigurationError


@dataclass
class RestState:
    """Who rests."""

    until: IntArray  # [M] first round in which it is offered again
    exposure: IntArray  # [M] rollouts that it had had when it was put to rest


class Parted(NamedTuple):
    """The candidates of a round, aligned with what was offered.

    Args:
        awake: bool `[P]`, may be chosen.
        again: bool `[P]`, rests, and is to be looked at again in this round.
    """

    awake: BoolArray
    again: BoolArray


class Rest:
    """Who of the candidates rests: whose expected success was out of bounds when it was offered.

    Nobody rests before it has been tried, nobody again before it has been tried since, and nobody for good. In every
    round a share of the groups looks again at those that have rested longest.

    Args:
        num_prompts: M.
        hopeless: a prompt of a lower expected success rests; None lets none.
        mastered: a prompt of a higher one rests; None lets none.
        rounds: for how many.
        share: of a round's groups for those that rest.

    Raises:
        ConfigurationError: bounds that are no shares or in the wrong order, a rest of no round, a share that is none.

    >>> rest, changes = Rest(4, hopeless=0.02, mastered=0.98, rounds=10, share=0.0), Changes()
    >>> state, rows, mean = rest.start(), np.arange(4), np.array([0.01, 0.5, 0.99, 0.01])
    >>> rest.parted(state, rows, mean, np.array([8, 8, 8, 0]), 5, 2, changes).awake
    array([False,  True, False,  True])
    """

    def __init__(
        self,
        num_prompts: int,
        *,
        hopeless: float | None = None,
        mastered: float | None = None,
        rounds: int = 50,
        share: float = 0.05,
    ) -> None:
        low, high = 0.0 if hopeless is None else hopeless, 1.0 if mastered is None else mastered
        if not 0.0 <= low < high <= 1.0:
            raise ConfigurationError(
                f"hopeless={hopeless} and mastered={mastered} must be shares of successes, the first below the second; "
                "None lets no prompt rest"
            )
        if rounds < 1 or not 0.0 <= share < 1.0:
            raise ConfigurationError(
                f"a rest of {rounds} rounds with a share of {share} to look again cannot be; give 1 round or more, and "
                "a share of at least 0 and below 1"
            )
        self.num_prompts = num_prompts
        self._low, self._high, self._rounds, self._share = low, high, rounds, share

    def start(self) -> RestState:
        """Nobody rests."""
        return RestState(np.zeros(self.num_prompts, np.int64), np.zeros(self.num_prompts, np.int64))

    def parted(
        self,
        state: RestState,
        rows: IntArray,
        mean: FloatArray,
        exposure: IntArray,
        round: int,
        groups: int,
        changes: Changes,
    ) -> Parted:
        """Part the candidates of a round.

        Args:
            state: of this.
            rows: int64 `[P]`, that are offered.
            mean: expected success of each, float64 `[P]`.
            exposure: rollouts that each has had so far, int64 `[P]`.
            round: its number.
            groups: full groups that it has room for; so many candidates stay awake, if there are so many.
            changes: what is to change is added here.
        """
        until = state.until[rows]
        extreme = ((mean < self._low) | (mean > self._high)) & (until <= round) & (exposure > state.exposure[rows])
        until[extreme] = round + self._rounds
        resting = until > round
        # Longest at rest first, so those that are to be offered soonest; equals in the order of the offer.
        line = np.flatnonzero(resting)[np.argsort(until[resting], kind="stable")]
        missing = max(groups - int(np.count_nonzero(~resting)), 0)
        woken, line = line[:missing], line[missing:]
        old = line[~extreme[line]]
        parted = Parted(~resting, np.zeros(rows.size, dtype=np.bool_))
        parted.awake[woken] = True
        looks = int((round + 1) * self._share * groups) - int(
            round * self._share * groups
        )  # less than one, now and then
        parted.again[old[:looks]] = True
        changes.put(state.until, rows[extreme], until[extreme])
        changes.put(state.exposure, rows[extreme], exposure[extreme])
        return parted

    def fault(self, state: RestState) -> str | None:
        """What is wrong with a state of the right names and shapes, or None: for states that come from outside."""
        if min(state.until.min(initial=0), state.exposure.min(initial=0)) < 0:
            return "prompts rest until a negative round, or since a negative number of rollouts"
        return None

    def metrics(self, state: RestState, round: int) -> dict[str, float]:
        """How many prompts rest."""
        return {"resting_prompts": float(np.count_nonzero(state.until > round))}
