"""The length of a training as its allocator knows it: resumed, lengthened, or begun in the middle."""

from __future__ import annotations

from typing import Any

from cero_api.allocators import BaseAllocator
from cero_api.config import AllocatorConfig
from cero_api.continuing import continued
from cero_api.protocol import RolloutAllocator


def lasting(saved: RolloutAllocator, config: AllocatorConfig, rounds: int, spend: int) -> RolloutAllocator:
    """An allocator that goes on where `saved` stands, with this configuration or as much longer a one as is needed.

    Args:
        saved: where the training stands.
        config: of this training.
        rounds: still to come.
        spend: rollouts in all of them.

    Returns:
        `saved` itself if it will do.

    Raises:
        CheckpointError: the configurations differ in more than the length of the training.

    >>> from cero_api import make_allocator
    >>> allocator = make_allocator("uniform", num_prompts=4, rounds=2, budget=16)
    >>> lasting(allocator, allocator.config, rounds=3, spend=24).config.budget
    24
    """
    metrics = saved.metrics()
    length: dict[str, Any] = {
        "rounds": max(config.rounds, int(metrics["round"]) + rounds),
        "budget": max(config.budget, int(metrics["budget_spent"]) + spend),
    }
    pacing = getattr(config, "pacing", None)
    if isinstance(pacing, tuple) and rounds:
        length["pacing"] = (*pacing, *[spend // rounds] * (length["rounds"] - config.rounds))
    config = config.model_copy(update=length)
    return saved if config == saved.config else continued(saved, config)


def begun(allocator: RolloutAllocator, rounds: int, spend: int) -> RolloutAllocator:
    """A new allocator for what is left of a training that began without it.

    Args:
        allocator: new, and planned for the whole training; returned as it is if it has a plan of its own.
        rounds: still to come.
        spend: rollouts in all of them.

    >>> from cero_api import make_allocator
    >>> begun(make_allocator("uniform", num_prompts=4, rounds=9, budget=72), rounds=2, spend=16).config.rounds
    2
    """
    config = allocator.config
    planned = isinstance(getattr(config, "pacing", None), tuple)
    if not isinstance(allocator, BaseAllocator) or planned or rounds == 0:
        return allocator
    return continued(allocator, config.model_copy(update={"rounds": rounds, "budget": spend}))


def length_of(config: AllocatorConfig) -> dict[str, Any]:
    """What a configuration says of the length of the training, as JSON values."""
    return config.model_dump(mode="json", include=set(config.replanned))


def of_the_length_of(other: AllocatorConfig, config: AllocatorConfig) -> AllocatorConfig:
    """A configuration, but for the length of the training, which is another's of the same type."""
    if type(other) is not type(config):
        return config
    return config.model_copy(update={name: getattr(other, name) for name in config.replanned})
