"""An allocator of somebody else's: what is above the floor goes to the candidates of lowest success rate."""

import numpy as np

from cero_api import BatchAllocator, BatchConfig
from cero_api.allocators import WalkState
from cero_api.mathematics.selection import fill_in_order


class HardestFirstConfig(BatchConfig):
    """Nothing to add to floor and cap."""


class HardestFirst(BatchAllocator[HardestFirstConfig, WalkState]):
    """Up to the cap for the hardest, then for the next."""

    config_type = HardestFirstConfig

    def citation(self) -> str:
        """Nobody's paper."""
        return "@misc{hardest_first}"

    def _share(self, rows: np.ndarray, need: int) -> np.ndarray:
        line = np.lexsort((self._ties.rank[rows], self.success_rate()[rows]))
        floor, cap = self.config.min_rollouts_per_prompt, self.config.max_rollouts_per_prompt
        return fill_in_order(line, line.size, need, floor, cap, smallest=2)
