"""One allocator for several processes: a named Ray actor that can die at any moment and lose nothing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cero_ray.actor import AllocatorClient, start_allocator
    from cero_ray.desk import Deal, Desk
    from cero_ray.durable import DurableDesk

__all__ = ["AllocatorClient", "Deal", "Desk", "DurableDesk", "start_allocator"]

_HOME = {
    "AllocatorClient": "actor",
    "Deal": "desk",
    "Desk": "desk",
    "DurableDesk": "durable",
    "start_allocator": "actor",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: the desk needs no Ray, and whoever only reads its books should not wait for one.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
