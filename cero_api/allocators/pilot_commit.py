"""Pilot-Commit: a pilot says which prompts are neither hopeless nor easy, and those get the rest of the round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.allocators.base import AllocatorState
from cero_api.allocators.groups import GroupAllocator
from cero_api.allocators.pilot import PilotState
from cero_api.allocators.whole import atomic
from cero_api.config import PilotCommitConfig
from cero_api.mathematics.contrast import alike_in_contrast
from cero_api.offers import Offered

_CITATION = """\
@article{kim2026pilotcommit,
  title   = {Spend Your Rollouts Where It Counts: Rollout Allocation for Group-Based {RL} Post-Training},
  author  = {Kim, Woojeong and Yang, Ziyi and Yan, Jing Nathan and Liu, Jialu},
  journal = {arXiv preprint arXiv:2605.26606},
  year    = {2026}
}
"""


@dataclass
class PilotCommitState(AllocatorState):
    """Who is not offered any more."""

    evicted: IntArray  # [M] 1 since a pilot of the prompt was all right


class PilotCommitAllocator(GroupAllocator[PilotCommitConfig, PilotCommitState]):
    r"""Commits to prompts whose pilot succeeds at a rate within a band, those of largest $\hat p(1-\hat p)$ first.

    Prompts below the band are deferred: the walk brings them again in the next epoch. Those above it wait, too; those
    that succeed as often as `solved` are evicted, and not offered again. It remembers nothing else of a prompt: each
    round's own pilot decides. Every round is dealt in two waves, `allocate` and `commit`.

    What the band does not fill goes to those nearest to it, so every round has its size.

    Deviations: the paper keeps what passes the band in a buffer, commits to it in a later step, up to four steps old,
    and generates until a batch is full; here a pilot is committed within its round, which has a size of its own. The
    paper throws the pilot of the others away; here all rollouts of a round train. It evicts from the next epoch on,
    here from the next round on; once everybody is evicted, everybody is offered again. Graded rewards, which the paper
    has not, are held against the band as the whole successes and failures with as much contrast, so a pilot whose
    rewards do not differ is below it, or above; only one of whole successes evicts.

    Source: arXiv 2605.26606.

    >>> from cero_api import RolloutOutcomes
    >>> allocator = PilotCommitAllocator(PilotCommitConfig(num_prompts=4, rounds=9, budget=144))
    >>> pilot = allocator.allocate([0, 1, 2, 3], total=16)
    >>> pilot.counts, pilot.to_commit
    (array([2, 2, 2, 2]), 8)
    >>> allocator.observe(RolloutOutcomes([0, 1, 2, 3], [0, 1, 2, 1], [2, 1, 0, 1]))
    >>> allocator.commit().counts, allocator.metrics()["evicted_prompts"]
    (array([0, 6, 0, 2]), 1.0)
    """

    config_type = PilotCommitConfig

    def citation(self) -> str:
        """BibTeX of Pilot-Commit."""
        return _CITATION

    @atomic
    def metrics(self) -> dict[str, float]:
        """As of every allocator, and how many prompts are not offered any more."""
        return super().metrics() | {"evicted_prompts": float(self._state.evicted.sum())}

    def _initial_state(self) -> PilotCommitState:
        return PilotCommitState.initial(self.config, evicted=np.zeros(self.config.num_prompts, dtype=np.int64))

    def _fault(self, state: PilotCommitState) -> str | None:
        if ((state.evicted != 0) & (state.evicted != 1)).any():
            return "its evicted prompts are marked by something else than 0 and 1"
        return super()._fault(state)

    def _offered(self, room: int) -> Offered:
        config, walk, seed = self.config, self._parts_now.window, (self.config.seed, self._state.round, 1)
        wanted = ahead = min(room * config.window, config.num_prompts)
        rows = walk.take(ahead, seed)[0]
        while np.count_nonzero(self._state.evicted[rows] == 0) < wanted and ahead < config.num_prompts:
            ahead = min(2 * ahead, config.num_prompts)
            rows = walk.take(ahead, seed)[0]
        out = self._state.evicted[rows] == 1
        kept = np.flatnonzero(~out)[:wanted]
        if kept.size == wanted:
            return Offered(rows[kept], walk.take(int(kept[-1]) + 1 if wanted else 0, seed)[1])
        # The whole pool has been asked, and too few are left: those longest not offered come again.
        everybody = np.concatenate([rows[~out], rows[out]])[:wanted]
        return Offered(everybody, walk.take(ahead, seed)[1])

    def _worth(self, rows: IntArray, group: int) -> FloatArray:
        return np.asarray(1.0 - self._state.evicted[rows])

    def _wanted(self, worth: FloatArray) -> int:
        # So that a pilot to all of them is its share of the round.
        share = self.config.pilot_share * self.config.group
        return -(-worth.size * self._pilot_size // max(int(share), 1))

    def _rest(self, pilot: PilotState) -> IntArray:
        if self.config.solved is not None:
            solved = (pilot.rollouts > 0) & (_rates(pilot.successes, pilot.rollouts) >= self.config.solved)
            self._changes.put(self._state.evicted, pilot.prompts[solved], 1)
        return super()._rest(pilot)

    def _worth_after(self, pilot: PilotState, more: int) -> FloatArray:
        low, high = self.config.band
        graded = pilot.successes - pilot.squares
        rate = _rates(alike_in_contrast(pilot.successes, pilot.failures, graded)[0], pilot.rollouts)
        away = np.maximum(np.maximum(low - rate, rate - high), 0.0)
        # In the band above 1, outside of it below.
        return np.where(away > 0, 1.0 - away, 1.0 + rate * (1.0 - rate))


def _rates(successes: FloatArray, rollouts: IntArray) -> FloatArray:
    """Success rates; 0 where nothing came of a pilot."""
    return np.asarray(successes / np.maximum(rollouts, 1))
