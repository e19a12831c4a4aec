"""CERO and its peers in verl: `+rollout_allocator=cero` on the command line of `verl.trainer.main_ppo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cero_api.lazy import lazy_exports

if TYPE_CHECKING:
    from cero_verl.checkpoint import AllocatorCheckpoint
    from cero_verl.config import VerlAllocatorConfig
    from cero_verl.counts import AllocatedAgentLoopManager

__all__ = ["AllocatedAgentLoopManager", "AllocatorCheckpoint", "VerlAllocatorConfig"]

# Hydra reads the flag's defaults from here before verl itself is imported.
__getattr__ = lazy_exports(
    __name__,
    {
        "AllocatedAgentLoopManager": "counts",
        "AllocatorCheckpoint": "checkpoint",
        "VerlAllocatorConfig": "config",
    },
)
