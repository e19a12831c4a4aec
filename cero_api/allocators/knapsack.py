"""Knapsack: the batch's rollouts where the expected progress of a mixed group is largest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from cero_api._types import FloatArray, IntArray, RankArray
from cero_api.allocators.batch import BatchAllocator
from cero_api.allocators.last_visit import LastVisit, LastVisitState, nothing_visited
from cero_api.config import KnapsackConfig
from cero_api.mathematics.contrast import varying_share
from cero_api.mathematics.selection import fill_by_table

_CITATION = """\
@article{li2025knapsack,
  title   = {Knapsack {RL}: Unlocking Exploration of {LLMs} via Optimizing Budget Allocation},
  author  = {Li, Ziniu and Chen, Congliang and Yang, Tianyun and Ding, Tian and Sun, Ruoyu and Zhang, Ge and
             Huang, Wenhao and Luo, Zhi-Quan},
  journal = {arXiv preprint arXiv:2509.25849},
  year    = {2025}
}
"""


@dataclass
class KnapsackState(LastVisitState):
    """Pass rates of the last visit: this method forgets everything before it."""


class KnapsackAllocator(LastVisit[KnapsackConfig, KnapsackState], BatchAllocator[KnapsackConfig, KnapsackState]):
    r"""Maximises $\sum_i [1 - p^n - (1-p)^n]\, p(1-p)^2$: the chance of a mixed group times the progress it brings.

    $p$ is the pass rate of the prompt's last visit. The value is concave in $n$, so dealing unit by unit to the largest
    gain solves the knapsack exactly; the paper's dynamic programme gives the same value at a thousand times the cost.
    Prompts of $p \in \{0, 1\}$ and unseen ones have no value to compare, and get the batch's mean; what the others
    cannot take goes to those of $p = 0$.

    Deviation: of graded rewards, which the paper has not, the progress is $v(1-p)$ with $v$ their variance in the last
    visit, $p(1-p)$ if they are binary; prompts whose rewards did not differ have no value to compare.

    Source: arXiv 2509.25849.

    >>> allocator = KnapsackAllocator(KnapsackConfig(num_prompts=3, rounds=2, budget=48))
    >>> from cero_api import RolloutOutcomes
    >>> allocator.allocate([0, 1, 2]).counts
    array([8, 8, 8])
    >>> allocator.observe(RolloutOutcomes([0, 1, 2], [1, 4, 7], [7, 4, 1]))
    >>> allocator.allocate([0, 1, 2]).counts
    array([15,  7,  2])
    """

    config_type = KnapsackConfig

    def citation(self) -> str:
        """BibTeX of Knapsack RL."""
        return _CITATION

    def _initial_state(self) -> KnapsackState:
        return KnapsackState.initial(self.config, walk=self._walk(), **nothing_visited(self.config))

    def _share(self, rows: IntArray, need: int) -> IntArray:
        floor, cap = self.config.min_rollouts_per_prompt, self.config.max_rollouts_per_prompt
        won, n = self._state.last_successes[rows], self._state.last_rollouts[rows]
        varying, seen, rate = self._varying(rows), n > 0, won / np.maximum(n, 1.0)
        valued = seen & (rate > 0) & (rate < 1) & (varying > 0)
        counts = np.full(rows.size, floor)
        # Deviation: the paper's constant base count, where it would leave the others less than the floor, is lowered.
        base = min(need // max(rows.size, 1), cap)
        counts[~valued] = base
        rank = self._ties.rank[rows]
        table = partial(self._gains, rate[valued], np.log(varying[valued]), floor)
        counts[valued] += fill_by_table(table, cap - floor, rank[valued], need - int(counts.sum()))
        # What is left when everybody of value is at the cap: first to prompts never solved, then to whoever has room.
        for takers in (seen & (rate == 0), np.ones(rows.size, dtype=np.bool_)):
            left, room = need - int(counts.sum()), cap - counts[takers]
            if left:
                counts[takers] += _evenly(room, rank[takers], min(left, int(room.sum())))
        return counts

    def _worth(self, rows: IntArray, group: int) -> FloatArray:
        won, n = self._state.last_successes[rows], self._state.last_rollouts[rows]
        # Deviation: the paper has no window. A prompt that nothing is known of is valued at the prior's rate.
        rate = np.where(n > 0, won / np.maximum(n, 1.0), self.config.prior[0] / sum(self.config.prior))
        return (1.0 - rate**group - (1.0 - rate) ** group) * rate * (1.0 - rate) ** 2 * self._varying(rows)

    def _varying(self, rows: IntArray) -> FloatArray:
        """Of p(1-p), the part that varied from rollout to rollout: all of it unless rewards are graded."""
        if not self._state.last_graded.size:
            return np.ones(rows.size)
        won, n, graded = (getattr(self._state, f"last_{name}")[rows] for name in ("successes", "rollouts", "graded"))
        return varying_share(won, n - won, graded)

    @staticmethod
    def _gains(rate: FloatArray, log_varying: FloatArray, floor: int, width: int) -> FloatArray:
        r"""Gains $\ln v(1-p)[(1-p)p^n + p(1-p)^n]$ of a unit after $n = $ floor, floor + 1, ..., `[P, width]`."""
        p, group = np.unique(rate, return_inverse=True)  # pass rates are fractions of small counts: few differ
        log_p, log_q = np.log(p)[:, None], np.log1p(-p)[:, None]
        n = np.arange(floor, floor + width)
        gains: FloatArray = log_p + 2 * log_q + np.logaddexp(log_q + n * log_p, log_p + n * log_q)
        return gains[group] + log_varying[:, None]


def _evenly(room: IntArray, rank: RankArray, left: int) -> IntArray:
    """Split `left` as evenly as the room of each allows, which suffices."""
    # Each further unit of a prompt is worth less than anybody's earlier one, whatever the prompt.

    def table(width: int) -> FloatArray:
        unit = np.arange(width)
        return np.where(unit < room[:, None], -unit, -np.inf)

    return fill_by_table(table, int(room.max(initial=0)), rank, left)
