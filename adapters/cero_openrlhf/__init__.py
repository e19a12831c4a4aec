"""CERO and its peers in OpenRLHF: `python -m cero_openrlhf`, its own arguments and `--cero.*` beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cero_api.lazy import lazy_exports

if TYPE_CHECKING:
    from cero_openrlhf.config import OpenRLHFAllocatorConfig, Schedule
    from cero_openrlhf.launcher import main

__all__ = ["OpenRLHFAllocatorConfig", "Schedule", "main"]

# rollout engines import a class of this package, and need nothing else of it.
__getattr__ = lazy_exports(
    __name__,
    {
        "OpenRLHFAllocatorConfig": "config",
        "Schedule": "config",
        "main": "launcher",
    },
)
