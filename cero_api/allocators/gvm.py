"""GVM: counts in proportion to what a prompt's gradient needs to be estimated equally well."""

from __future__ import annotations

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.allocators.base import WalkState
from cero_api.allocators.batch import BatchAllocator
from cero_api.config import GvmConfig
from cero_api.mathematics.selection import in_proportion

_CITATION = """\
@article{yao2025gvm,
  title   = {Optimizing Chain-of-Thought Reasoners via Gradient Variance Minimization in Rejection Sampling and {RL}},
  author  = {Yao, Jiarui and others},
  journal = {arXiv preprint arXiv:2505.02391},
  year    = {2025}
}
"""


class GvmAllocator(BatchAllocator[GvmConfig, WalkState]):
    r"""Counts $n_i \propto G_i / \sqrt{p_i + \alpha/p_i^{\beta-1}}$, within floor and cap.

    $p_i$ is the prompt's success rate and $\alpha$ keeps the hopeless ones from taking everything. The scale is
    found by bisection, so that the counts sum to the total after floor and cap; the largest remainders round up.

    Deviations: $G_i = 1$, since a gradient norm is not known before generation. Of graded rewards, which the paper has
    not, it is their standard deviation over that of whole successes and failures of the same mean: where rewards never
    differ it sinks to 0. $p_i$ is the mean of the Beta posterior instead of a pilot sample's rate, which would cost
    rollouts of its own.

    Source: arXiv 2505.02391.

    >>> allocator = GvmAllocator(GvmConfig(num_prompts=2, rounds=2, budget=32))
    >>> from cero_api import RolloutOutcomes
    >>> allocation = allocator.allocate([0, 1])
    >>> allocator.observe(RolloutOutcomes([0, 1], [1, 7], [7, 1]))
    >>> allocator.allocate([0, 1]).counts
    array([11,  5])
    """

    config_type = GvmConfig
    asks_belief = True

    def citation(self) -> str:
        """BibTeX of GVM."""
        return _CITATION

    def _share(self, rows: IntArray, need: int) -> IntArray:
        floor, cap = self.config.min_rollouts_per_prompt, self.config.max_rollouts_per_prompt
        return in_proportion(self._worth(rows, need), need, floor, cap, self._ties.rank[rows])

    def _worth(self, rows: IntArray, group: int) -> FloatArray:
        rate = self._expect(rows).mean
        norm = np.sqrt(self._varying(rows))
        return np.asarray(norm / np.sqrt(rate + self.config.alpha / rate ** (self.config.beta - 1)))
