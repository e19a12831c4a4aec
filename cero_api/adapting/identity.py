"""What tells one run's trace from another's: the same in every adapter, and not the length of the training."""

from __future__ import annotations

from typing import Any

from cero_api.allocators import allocator_name
from cero_api.errors import ConfigurationError
from cero_api.protocol import RolloutAllocator


def name_of(allocator: RolloutAllocator) -> str:
    """The registered name of an allocator, or else the name of its class."""
    try:
        return allocator_name(allocator)
    except ConfigurationError:
        return type(allocator).__qualname__


def run_identity(allocator: RolloutAllocator, **more: Any) -> dict[str, Any]:
    """Metadata for `TraceWriter`: the allocator, its settings but for the training's length, and what else is given.

    A training that is given more rounds goes on with its trace; `cero_api.continued` says what is of its length.

    Args:
        allocator: of the run.
        **more: JSON values: the trainer, a fingerprint of the prompts, a seed.

    >>> from cero_api import make_allocator
    >>> run_identity(make_allocator("uniform", num_prompts=4, rounds=2, budget=64), trainer="trl")
    {'trainer': 'trl', 'allocator': 'uniform', 'config': {'num_prompts': 4, 'prior': [1.0, 1.0], 'seed': 0, ...}}
    """
    config = allocator.config
    return {
        **more,
        "allocator": name_of(allocator),
        "config": config.model_dump(mode="json", exclude=set(config.replanned)),
    }
