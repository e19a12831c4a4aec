"""What the last visit of each prompt brought, for methods that go by it rather than by all that was ever seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.allocators.base import BaseAllocator, WalkState
from cero_api.config import AllocatorConfig
from cero_api.mathematics.contrast import graded_fits
from cero_api.mathematics.ledger import Report
from cero_api.state import RAGGED, no_floats


@dataclass
class LastVisitState(WalkState):
    """Rewards of the last visit."""

    last_round: IntArray  # [M] of the last visit with rewards, -1 before the first
    last_successes: FloatArray  # [M]
    last_rollouts: FloatArray  # [M]
    last_graded: FloatArray = field(metadata=RAGGED)  # [M] sum of x(1 - x) over rewards x; [0] while all were 0 or 1


def nothing_visited(config: AllocatorConfig) -> dict[str, Any]:
    """The fields of a `LastVisitState` before the first visit."""
    pool = config.num_prompts
    return {
        "last_round": np.full(pool, -1),
        "last_successes": np.zeros(pool),
        "last_rollouts": np.zeros(pool),
        "last_graded": no_floats(),
    }


ConfigT = TypeVar("ConfigT", bound=AllocatorConfig)
StateT = TypeVar("StateT", bound=LastVisitState)


class LastVisit(BaseAllocator[ConfigT, StateT]):
    """The part of an allocator that keeps this; `_begin_visits` is there to fill in."""

    def _fault(self, state: StateT) -> str | None:
        if (state.last_round >= state.round).any() or (state.last_round < -1).any():
            return "it has a last visit in a round that was not dealt"
        if (state.last_successes < 0).any() or (state.last_successes > state.last_rollouts).any():
            return "it has more successes than rollouts in a last visit"
        if state.last_rollouts.max() > state.ledger.budget:
            return "it has more rollouts in a last visit than were ever dealt"
        if not graded_fits(state.last_graded, state.last_successes, state.last_rollouts - state.last_successes):
            return "it has a last visit whose squares do not fit"
        return super()._fault(state)

    def _learn(
        self, round: int, ids: IntArray, won: FloatArray, lost: FloatArray, graded: FloatArray, report: Report
    ) -> None:
        super()._learn(round, ids, won, lost, graded, report)
        state = self._state
        # Late rewards of an earlier visit are no news to a method that goes by the last one.
        current = state.last_round[ids] <= round
        rows, won, lost, graded = ids[current], won[current], lost[current], graded[current]
        same_visit = state.last_round[rows] == round
        self._begin_visits(rows[~same_visit])
        self._changes.put(state.last_round, rows, round)
        for name, earned in (("last_successes", won), ("last_rollouts", won + lost), ("last_graded", graded)):
            known = getattr(state, name)
            if known.size or earned.any():
                known = known[rows] if known.size else np.zeros(rows.size)
                self._write(name, rows, np.where(same_visit, known, 0.0) + earned)

    def _begin_visits(self, rows: IntArray) -> None:
        """These prompts are visited anew; the state still has what their last visit brought."""
