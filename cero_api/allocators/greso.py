"""GRESO: prompts whose groups keep coming out without contrast are passed over, more surely from time to time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cero_api._types import BoolArray, FloatArray, IntArray
from cero_api.allocators.groups import GroupAllocator
from cero_api.allocators.last_visit import LastVisit, LastVisitState, nothing_visited
from cero_api.allocators.whole import atomic
from cero_api.config import GresoConfig
from cero_api.mathematics.contrast import has_contrast
from cero_api.mathematics.selection import groups_in_order
from cero_api.mathematics.walk import Walk

_CITATION = """\
@article{zheng2025greso,
  title   = {Act Only When It Pays: Efficient Reinforcement Learning for {LLM} Reasoning via Selective Rollouts},
  author  = {Zheng, Haizhong and Zhou, Yang and Bartoldson, Brian R. and Kailkhura, Bhavya and Lai, Fan and
             Zhao, Jiawei and Chen, Beidi},
  journal = {arXiv preprint arXiv:2506.02177},
  year    = {2025}
}
"""


@dataclass
class GresoState(LastVisitState):
    """How long a prompt has been without contrast, and how readily such ones are tried again."""

    run: IntArray  # [M] visits without contrast before the last one, in a row: above 0 all right, below 0 all wrong
    easy_exploration: float
    hard_exploration: float
    adapted: int  # the latest round whose groups the two have been adapted to, -1 before the first


class GresoAllocator(LastVisit[GresoConfig, GresoState], GroupAllocator[GresoConfig, GresoState]):
    r"""Generates for a prompt with chance $\max(e^{z}, 0.01)$, $z$ the length of its run of groups without contrast.

    $e$ is of its own for runs of groups that were all right and for those that were all wrong. After each round it
    falls by a step where the share of such groups reached its target, and rises by one where it did not; not in the
    first epoch, in which nothing can be passed over yet.

    Over the pool a seeded walk brings the prompts; those not passed over get a group until the round is full, and the
    rest is the next round's. Of candidates, and of a window, those come first; a total that they do not fill is filled
    by the others, so every total is met.

    Deviations: the paper goes on generating until enough groups have contrast, and throws the others away; here a round
    has its size, and all groups count. A group without contrast is easy where half or more of it is right, and the
    visit of a prompt is judged by the rewards that are in.

    Source: arXiv 2506.02177.

    >>> allocator = GresoAllocator(GresoConfig(num_prompts=4, rounds=20, budget=320))
    >>> from cero_api import RolloutOutcomes
    >>> for _ in range(6):
    ...     allocation = allocator.allocate([0, 1, 2, 3], total=24)
    ...     won = allocation.counts * np.array([0, 0.5, 1, 1])
    ...     allocator.observe(RolloutOutcomes([0, 1, 2, 3], won, allocation.counts - won))
    >>> allocator.allocate([0, 1, 2, 3]).counts
    array([0, 8, 0, 0])
    """

    config_type = GresoConfig
    pilots = False  # a run is of whole visits, and a pilot is none

    def citation(self) -> str:
        """BibTeX of GRESO."""
        return _CITATION

    @atomic
    def metrics(self) -> dict[str, float]:
        """As of every allocator, and the present chances of a first repetition."""
        easy, hard = self._state.easy_exploration, self._state.hard_exploration
        return super().metrics() | {"easy_exploration": easy, "hard_exploration": hard}

    def _initial_state(self) -> GresoState:
        config = self.config
        return GresoState.initial(
            config,
            walk=Walk.start(config.num_prompts, config.seed),
            **nothing_visited(config),
            run=np.zeros(config.num_prompts, dtype=np.int64),
            easy_exploration=config.easy_exploration,
            hard_exploration=config.hard_exploration,
            adapted=-1,
        )

    def _fault(self, state: GresoState) -> str | None:
        if not (0 <= state.easy_exploration <= 1 and 0 <= state.hard_exploration <= 1):
            return "it has a chance that is none"
        if not -1 <= state.adapted < max(state.round, 1):
            return "it was adapted to a round that was not dealt"
        if (np.abs(state.run) > state.round).any():
            return "it has a run of more visits than there were rounds"
        return state.walk.check() or super()._fault(state)

    def _begin_visits(self, rows: IntArray) -> None:
        self._changes.put(self._state.run, rows, self._runs(rows))

    def _runs(self, rows: IntArray) -> IntArray:
        """Visits without contrast up to now, in a row: above 0 all right, below 0 all wrong, 0 the last had some."""
        state = self._state
        won, n, before = state.last_successes[rows], state.last_rollouts[rows], state.run[rows]
        graded = state.last_graded[rows] if state.last_graded.size else np.zeros(rows.size)
        plain = (n > 0) & ~has_contrast(won, n - won, won - graded)
        longer = np.where(2 * won >= n, np.maximum(before, 0) + 1, np.minimum(before, 0) - 1)
        return np.where(plain, longer, 0)

    def _deal(self, rows: IntArray | None, total: int | None) -> tuple[IntArray, IntArray]:
        easy, hard, adapted = self._exploration()
        self._changes.set(self._state, "easy_exploration", easy)
        self._changes.set(self._state, "hard_exploration", hard)
        self._changes.set(self._state, "adapted", adapted)
        return super()._deal(rows, total)

    def _exploration(self) -> tuple[float, float, int]:
        """The two chances, adapted to the latest round that has rewards, and that round."""
        config, state = self.config, self._state
        easy, hard, latest = state.easy_exploration, state.hard_exploration, int(state.last_round.max())
        if latest <= state.adapted:
            return easy, hard, state.adapted
        rows = np.flatnonzero(state.last_round == latest)
        if (state.exposure[rows] <= state.last_rollouts[rows]).any():  # a first visit: the first epoch
            return easy, hard, latest
        runs = self._runs(rows)
        least, most = config.exploration_range
        easy += -config.step if np.mean(runs > 0) >= config.easy_target else config.step
        hard += -config.step if np.mean(runs < 0) >= config.hard_target else config.step
        return float(np.clip(easy, least, most)), float(np.clip(hard, least, most)), latest

    def _chances(self, rows: IntArray) -> FloatArray:
        """Of a group, for each of these prompts."""
        easy, hard, _ = self._exploration()
        runs = self._runs(rows)
        return np.asarray(np.maximum(np.where(runs > 0, easy, hard) ** np.abs(runs), self.config.least_chance))

    def _worth(self, rows: IntArray, group: int) -> FloatArray:
        order = np.argsort(rows)  # the candidates' own order must not matter
        drawn = np.empty(rows.size)
        drawn[order] = self._chance(2).random(rows.size)
        return (drawn < self._chances(rows)).astype(np.float64)

    def _wanted(self, worth: FloatArray) -> int:
        return max(int(worth.sum()), min(worth.size, 1))

    def _deal_pool(self, need: int) -> tuple[IntArray, IntArray]:
        config, state = self.config, self._state
        room, seed = -(-need // config.group), (config.seed, state.round)
        ahead = min(room * config.window, config.num_prompts)
        rows, kept = self._next(ahead, seed)
        while np.count_nonzero(kept) < room and ahead < config.num_prompts:
            ahead = min(2 * ahead, config.num_prompts)
            rows, kept = self._next(ahead, seed)
        line = np.flatnonzero(kept)[:room]
        passed = ahead  # all of them were looked at
        if line.size == room:
            passed = int(line[-1]) + 1 if room else 0
        else:  # the whole pool has been asked: those passed over fill up what is left
            line = np.concatenate([line, np.flatnonzero(~kept)])[:room]
        self._changes.set(state, "walk", state.walk.take(passed, seed)[1])
        sizes = groups_in_order(line.size, need, config.group, smallest=2)
        return rows[line[: sizes.size]], sizes

    def _next(self, count: int, seed: tuple[int, ...]) -> tuple[IntArray, BoolArray]:
        """The walk's next prompts, and which of them are not passed over; more of them begin with the same."""
        rows, _ = self._state.walk.take(count, seed)
        return rows, self._chance(2).random(count) < self._chances(rows)
