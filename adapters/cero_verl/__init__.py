"""CERO and its peers in verl: `+rollout_allocator=cero` on the command line of `verl.trainer.main_ppo`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cero_verl.checkpoint import AllocatorCheckpoint
    from cero_verl.config import VerlAllocatorConfig
    from cero_verl.counts import AllocatedAgentLoopManager

__all__ = ["AllocatedAgentLoopManager", "AllocatorCheckpoint", "VerlAllocatorConfig"]

_HOME = {
    "AllocatedAgentLoopManager": "counts",
    "AllocatorCheckpoint": "checkpoint",
    "VerlAllocatorConfig": "config",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: Hydra reads the flag's defaults from here before verl itself is imported.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
