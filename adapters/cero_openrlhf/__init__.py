"""CERO and its peers in OpenRLHF: `python -m cero_openrlhf`, its own arguments and `--cero.*` beside them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cero_openrlhf.config import OpenRLHFAllocatorConfig, Schedule
    from cero_openrlhf.launcher import main

__all__ = ["OpenRLHFAllocatorConfig", "Schedule", "main"]

_HOME = {
    "OpenRLHFAllocatorConfig": "config",
    "Schedule": "config",
    "main": "launcher",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: rollout engines import a class of this package, and need nothing else of it.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
