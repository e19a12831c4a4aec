"""MoPPS: groups for the prompts that look nearest to even odds, by a draw from what is known of each."""

from __future__ import annotations

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.allocators.base import AllocatorState
from cero_api.allocators.groups import GroupAllocator
from cero_api.beliefs import OfflineRates
from cero_api.config import MoppsConfig
from cero_api.mathematics.contrast import alike_in_contrast
from cero_api.mathematics.ledger import Report

_CITATION = """\
@article{qu2025mopps,
  title   = {Can Prompt Difficulty be Online Predicted for Accelerating {RL} Finetuning of Reasoning Models?},
  author  = {Qu, Yun and Wang, Qi and Mao, Yixiu and Hu, Vincent Tao and Ommer, Bj{\\"o}rn and Ji, Xiangyang},
  journal = {arXiv preprint arXiv:2507.04632},
  year    = {2025}
}
"""

_WEIGHT = 3.0  # rollouts that an offline sample counts as, in the published code
_NO_BOUND = 1e9  # strength of offline rates that are worth all of their samples


class MoppsAllocator(GroupAllocator[MoppsConfig, AllocatorState]):
    r"""Draws $\hat\gamma_i \sim \mathrm{Beta}(\alpha_i, \beta_i)$, takes the smallest $(\hat\gamma_i - \gamma^*)^2$.

    Each visit of $s$ successes and $f$ failures discounts what was known before:
    $\alpha \gets \lambda\alpha + (1-\lambda)\alpha_0 + s$ and $\beta \gets \lambda\beta + (1-\lambda)\beta_0 + f$.

    Offline pass rates are where it starts: successes and failures of a visit before the first, three for each sample
    that a rate is of, or three groups of a rate whose samples are not known; `offline_strength` says otherwise.

    By default it chooses from a window; candidates are one too, of which a round without a total takes one in `window`.
    With offer="pool" it chooses among everybody.

    Deviations: the paper draws its candidates anew each step, where a window offers each prompt once an epoch. Late
    rewards of a visit are added as they come, and what a later visit has begun to forget is not forgotten again. Graded
    rewards, which the paper sums, count as the whole successes and failures with as much contrast, so a prompt whose
    rewards never differ counts as never solved, or as always.

    Source: arXiv 2507.04632.

    >>> allocator = MoppsAllocator(MoppsConfig(num_prompts=4, rounds=20, budget=320, forgetting=1))
    >>> from cero_api import RolloutOutcomes
    >>> for _ in range(6):
    ...     allocation = allocator.allocate([0, 1, 2, 3], total=24)
    ...     won = allocation.counts * np.array([0, 0.5, 1, 1])
    ...     allocator.observe(RolloutOutcomes([0, 1, 2, 3], won, allocation.counts - won))
    >>> allocator.allocate([0, 1, 2, 3], total=8).counts
    array([0, 8, 0, 0])
    """

    config_type = MoppsConfig
    starts_by_rates = True

    def citation(self) -> str:
        """BibTeX of MoPPS."""
        return _CITATION

    def _initial_state(self) -> AllocatorState:
        config, known = self.config, self.knowledge
        state = AllocatorState.initial(config)
        if known.offline_rates is not None:
            rates = OfflineRates(
                known.offline_rates, config.num_prompts, known.offline_samples, config.offline_strength
            )
            everybody = slice(None)
            if config.offline_strength is not None:
                state.successes, state.failures = rates.evidence(config.offline_strength, everybody)
            elif known.offline_samples is None:
                state.successes, state.failures = rates.evidence(_WEIGHT * config.group, everybody)
            else:
                won, lost = rates.evidence(_NO_BOUND, everybody)
                state.successes, state.failures = _WEIGHT * won, _WEIGHT * lost
        return state

    def _learn(
        self, round: int, ids: IntArray, won: FloatArray, lost: FloatArray, graded: FloatArray, report: Report
    ) -> None:
        self._add(ids, won, lost, graded, np.where(report.first, self.config.forgetting, 1.0))

    def _worth(self, rows: IntArray, group: int) -> FloatArray:
        a0, b0 = self.config.prior
        order = np.argsort(rows)  # the candidates' own order must not matter
        seen, graded = rows[order], self._graded(rows[order])
        won, lost = alike_in_contrast(self._state.successes[seen], self._state.failures[seen], graded)
        drawn = np.empty(rows.size)
        drawn[order] = self._chance(2).beta(a0 + won, b0 + lost)
        # Falls with the distance, and is positive, so that it can be weighed by a cost.
        return 1.0 - np.abs(drawn - self.config.target)

    def _wanted(self, worth: FloatArray) -> int:
        return -(-worth.size // self.config.window)
