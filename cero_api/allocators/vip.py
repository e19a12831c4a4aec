"""VIP: the batch's rollouts where they take most from the predicted variance of the gradient."""

from __future__ import annotations

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.allocators.base import WalkState
from cero_api.allocators.batch import BatchAllocator
from cero_api.config import VipConfig
from cero_api.mathematics.selection import fill_by_table

_CITATION = """\
@inproceedings{nguyen2026vip,
  title     = {Adaptive Rollout Allocation for Online Reinforcement Learning with Verifiable Rewards},
  author    = {Nguyen, Hieu Trung and Nguyen, Bao and Ma, Wenao and Zhao, Yuzhi and She, Ruifeng and Nguyen, Viet Anh},
  booktitle = {International Conference on Learning Representations},
  note      = {arXiv:2602.01601},
  year      = {2026}
}
"""


_LEAST = np.finfo(np.float64).tiny  # variance: rounding must not take its logarithm away


class VipAllocator(BatchAllocator[VipConfig, WalkState]):
    r"""Minimises $\sum_i 4\sigma^2 p_i(1-p_i)\, h(n_i)$, the predicted variance of the batch's gradient.

    $h(n) = (n-1)/n^2$ for Dr. GRPO and $1/(n-1)$ for RLOO; $\sigma^2$ is common to all prompts and drops out. Both are
    convex from the floor on, so dealing unit by unit to the largest decrease is exact, where the paper bisects
    on the continuous problem and rounds.

    Deviation: the paper predicts $p$ with a Gaussian process over prompt embeddings; here it is the mean of the
    prompt's Beta posterior, which needs no embeddings. Graded rewards have their own variance in the place of
    $p(1-p)$.

    Source: arXiv 2602.01601.

    >>> allocator = VipAllocator(VipConfig(num_prompts=2, rounds=2, budget=32))
    >>> from cero_api import RolloutOutcomes
    >>> allocation = allocator.allocate([0, 1])
    >>> allocator.observe(RolloutOutcomes([0, 1], [4, 8], [4, 0]))
    >>> allocator.allocate([0, 1]).counts
    array([10,  6])
    """

    config_type = VipConfig
    asks_belief = True

    def citation(self) -> str:
        """BibTeX of VIP."""
        return _CITATION

    def _share(self, rows: IntArray, need: int) -> IntArray:
        floor = self.config.min_rollouts_per_prompt
        weight, decreases = np.log(self._variance(rows))[:, None], np.log(self._decreases())
        return floor + fill_by_table(
            lambda width: weight + decreases[:width], decreases.size, self._ties.rank[rows], need - floor * rows.size
        )

    def _worth(self, rows: IntArray, group: int) -> FloatArray:
        return self._variance(rows)

    def _variance(self, rows: IntArray) -> FloatArray:
        """Of a rollout's reward, at the expected success rate."""
        mean = self._expect(rows).mean
        return np.maximum(mean * (1 - mean) * self._varying(rows), _LEAST)

    def _decreases(self) -> FloatArray:
        """h(n) - h(n + 1) for n = floor ... cap - 1."""
        n = np.arange(self.config.min_rollouts_per_prompt, self.config.max_rollouts_per_prompt + 1, dtype=np.float64)
        variance = (n - 1) / n**2 if self.config.estimator == "dr_grpo" else 1 / (n - 1)
        return -np.diff(variance)
