"""CERO and its peers in TRL: a `GRPOTrainer` whose rollouts per prompt an allocator decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cero_api.lazy import lazy_exports

if TYPE_CHECKING:
    from cero_trl.config import CeroTRLConfig, Schedule
    from cero_trl.feedback import RoundRecord
    from cero_trl.trainer import CeroGRPOTrainer

__all__ = ["CeroGRPOTrainer", "CeroTRLConfig", "RoundRecord", "Schedule"]

# TRL takes seconds to import.
__getattr__ = lazy_exports(
    __name__,
    {
        "CeroGRPOTrainer": "trainer",
        "CeroTRLConfig": "config",
        "RoundRecord": "feedback",
        "Schedule": "config",
    },
)
