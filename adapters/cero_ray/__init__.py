"""One allocator for several processes: a named Ray actor that can die at any moment and lose nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cero_api.lazy import lazy_exports

if TYPE_CHECKING:
    from cero_ray.actor import AllocatorClient, start_allocator
    from cero_ray.desk import Deal, Desk
    from cero_ray.durable import DurableDesk

__all__ = ["AllocatorClient", "Deal", "Desk", "DurableDesk", "start_allocator"]

# the desk needs no Ray, and whoever only reads its books should not wait for one.
__getattr__ = lazy_exports(
    __name__,
    {
        "AllocatorClient": "actor",
        "Deal": "desk",
        "Desk": "desk",
        "DurableDesk": "durable",
        "start_allocator": "actor",
    },
)
