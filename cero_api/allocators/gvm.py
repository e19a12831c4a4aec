"""GVM: counts in proportion to what a prompt's gradient needs to be estimated equally well."""

from __future__ import annotations

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.allocators.base import WalkState
from cero_api.allocators.batch import BatchAllocator
from cero_api.config import GvmConfig
from cero_api.mathematics.selection import fill_by_table

_CITATION = """\
@article{yao2025gvm,
  title   = {Optimizing Chain-of-Thought Reasoners via Gradient Variance Minimization in Rejection Sampling and {RL}},
  author  = {Yao, Jiarui and others},
  journal = {arXiv preprint arXiv:2505.02391},
  year    = {2025}
}
"""

# Halvings of the scale; the rounding below makes the sum exact after any number.
_HALVINGS = 60


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
        exact = _proportional(self._worth(rows, need), need, floor, cap)
        counts: IntArray = np.floor(exact).astype(np.int64)
        remainder = np.where(counts < cap, exact - counts, -1.0)
        return counts + fill_by_table(
            lambda width: remainder[:, None], 1, self._ties.rank[rows], need - int(counts.sum())
        )

    def _worth(self, rows: IntArray, group: int) -> FloatArray:
        rate = self._expect(rows).mean
        norm = np.sqrt(self._varying(rows))
        return np.asarray(norm / np.sqrt(rate + self.config.alpha / rate ** (self.config.beta - 1)))


def _proportional(weight: FloatArray, need: int, floor: int, cap: int) -> FloatArray:
    """Shares in proportion to the weights, clipped to floor and cap, that sum to at most `need`, float64 `[P]`."""
    low, high = 0.0, cap / float(weight.min(initial=np.inf))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if np.clip(middle * weight, floor, cap).sum() > need:
            high = middle
        else:
            low = middle
    return np.clip(low * weight, floor, cap)
