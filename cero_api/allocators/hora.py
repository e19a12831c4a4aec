"""HORA: the batch's rollouts where another one is likeliest to bring the first success."""

from __future__ import annotations

from functools import partial

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.allocators.base import WalkState
from cero_api.allocators.batch import BatchAllocator
from cero_api.config import HoraConfig
from cero_api.mathematics.selection import fill_by_table

_CITATION = """\
@article{wang2026hora,
  title   = {Where to Spend Rollouts: Hit-Utility Optimal Rollout Allocation for Group-Based {RLVR}},
  author  = {Wang, Tao and Li, Shuo and Sun, Yan and Ding, Dongsheng and Dobriban, Edgar},
  journal = {arXiv preprint arXiv:2605.07114},
  year    = {2026}
}
"""


class HoraAllocator(BatchAllocator[HoraConfig, WalkState]):
    r"""Maximises $\sum_i P(\text{at least one success in } n_i) = \sum_i 1 - \frac{B(a, b+n_i)}{B(a, b)}$.

    The expectation is over the prompt's Beta(a, b) posterior. The gain of one more rollout after $n$ is
    $\frac{a}{a+b+n}\prod_{j<n}\frac{b+j}{a+b+j}$; it decreases in $n$, so greedy is exact.

    Deviation: the gain of graded rewards, which the paper has not, is multiplied by the share of the variance of whole
    successes and failures that they have, for where rewards never differ a first success has nothing to tell.

    Source: arXiv 2605.07114.

    >>> allocator = HoraAllocator(HoraConfig(num_prompts=2, rounds=2, budget=32))
    >>> from cero_api import RolloutOutcomes
    >>> allocation = allocator.allocate([0, 1])
    >>> allocator.observe(RolloutOutcomes([0, 1], [1, 7], [7, 1]))
    >>> allocator.allocate([0, 1]).counts
    array([13,  3])
    """

    config_type = HoraConfig

    def citation(self) -> str:
        """BibTeX of HORA."""
        return _CITATION

    def _share(self, rows: IntArray, need: int) -> IntArray:
        floor, cap = self.config.min_rollouts_per_prompt, self.config.max_rollouts_per_prompt
        a0, b0 = self.config.prior
        a, b = a0 + self._state.successes[rows], b0 + self._state.failures[rows]
        gains, varying = partial(self._gains, a, b, floor), np.log(self._varying(rows))[:, None]
        return floor + fill_by_table(
            lambda width: gains(width) + varying, cap - floor, self._ties.rank[rows], need - floor * rows.size
        )

    def _worth(self, rows: IntArray, group: int) -> FloatArray:
        a0, b0 = self.config.prior
        a, b = a0 + self._state.successes[rows], b0 + self._state.failures[rows]
        return np.asarray(np.exp(self._gains(a, b, 0, group)).sum(1) * self._varying(rows))

    @staticmethod
    def _gains(a: FloatArray, b: FloatArray, floor: int, width: int) -> FloatArray:
        """Logarithms of the gains of units floor + 1, floor + 2, ..., `[P, width]`."""
        n = np.arange(floor + width)
        total = a[:, None] + b[:, None] + n
        all_failed = np.cumsum(np.log((b[:, None] + n) / total), axis=1)
        gains: FloatArray = np.log(a[:, None] / total) + np.hstack([np.zeros((a.size, 1)), all_failed[:, :-1]])
        return gains[:, floor:]
