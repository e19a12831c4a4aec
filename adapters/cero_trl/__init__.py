"""CERO and its peers in TRL: a `GRPOTrainer` whose rollouts per prompt an allocator decides."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cero_trl.config import CeroTRLConfig, Schedule
    from cero_trl.feedback import RoundRecord
    from cero_trl.trainer import CeroGRPOTrainer

__all__ = ["CeroGRPOTrainer", "CeroTRLConfig", "RoundRecord", "Schedule"]

_HOME = {
    "CeroGRPOTrainer": "trainer",
    "CeroTRLConfig": "config",
    "RoundRecord": "feedback",
    "Schedule": "config",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: TRL takes seconds, and the demo's command line lives in this package.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
