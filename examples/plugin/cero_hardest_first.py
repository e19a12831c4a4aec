r"""`hardest_first`: what is above the floor goes to the hardest candidates, each up to its cap.

Of candidates by ascending posterior mean $m_1 \le m_2 \le \dots$ the first ones get the cap, one gets what is left,
and the others the floor. A method to show how one is made, and nobody's proposal: it spends most where least can be
learned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cero_api import BatchAllocator, BatchConfig
from cero_api.allocators import WalkState
from cero_api.mathematics.selection import fill_in_order


class HardestFirstConfig(BatchConfig):
    """Floor and cap, and nothing to add."""


class HardestFirst(BatchAllocator[HardestFirstConfig, WalkState]):
    """Up to the cap for the hardest, then for the next.

    Args:
        config: floor, cap, and the sizes of the training.

    >>> allocator = HardestFirst(HardestFirstConfig(num_prompts=3, rounds=2, budget=48))
    >>> sorted(allocator.allocate([0, 1, 2], total=24).counts.tolist())
    [2, 2, 20]
    """

    config_type = HardestFirstConfig

    def citation(self) -> str:
        """Nobody's paper."""
        return "@misc{hardest_first, title = {Hardest first, an example}}"

    def _share(self, rows: NDArray[np.int64], need: int) -> NDArray[Any]:
        line = np.lexsort((self._ties.rank[rows], self.success_rate()[rows]))  # equals by the seeded order
        floor, cap = self.config.min_rollouts_per_prompt, self.config.max_rollouts_per_prompt
        return fill_in_order(line, line.size, need, floor, cap, smallest=2)
