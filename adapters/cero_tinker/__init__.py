"""CERO and its peers in tinker-cookbook: RL training whose rollouts per prompt an allocator decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cero_api.lazy import lazy_exports

if TYPE_CHECKING:
    from cero_api.adapting.records import RoundRecord
    from cero_tinker.config import CeroTinkerConfig
    from cero_tinker.dataset import AllocatedDataset, AllocatedDatasetBuilder
    from cero_tinker.training import allocated, main

__all__ = ["AllocatedDataset", "AllocatedDatasetBuilder", "CeroTinkerConfig", "RoundRecord", "allocated", "main"]

# The cookbook takes seconds to import.
__getattr__ = lazy_exports(
    __name__,
    {
        "AllocatedDataset": "dataset",
        "AllocatedDatasetBuilder": "dataset",
        "CeroTinkerConfig": "config",
        "RoundRecord": "books",
        "allocated": "training",
        "main": "training",
    },
)
