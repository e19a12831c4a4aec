"""The allocator for a training, made if need be, and judged before anything of the training is begun."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from cero_api.adapting.defaults import RoundShape, allocator_fields, refuse_other_offer, scope_of
from cero_api.adapting.known import Known
from cero_api.adapting.waves import refuse_waves_of
from cero_api.allocators import BaseAllocator, make_allocator
from cero_api.config import AllocatorConfig, Scope
from cero_api.errors import CeroWarning, ConfigurationError
from cero_api.protocol import RolloutAllocator


def usual_scope(allocator: str | RolloutAllocator, scope: Scope | None) -> Scope:
    """Who may be chosen: the user's choice, or the method's usual one.

    Args:
        allocator: a registered name, or an allocator, which shares out batches if it was not made for a window.
        scope: the user's; None leaves it to the method.

    >>> usual_scope("cero", None), usual_scope("vip", None), usual_scope("vip", "pool")
    ('window', 'batch', 'pool')
    """
    if isinstance(allocator, str):
        return scope_of(allocator, scope)
    if scope is not None:
        return scope
    offer = getattr(getattr(allocator, "config", None), "offer", None)  # what is no allocator is refused later
    return "window" if offer == "window" else "batch"


def fitted_allocator(
    allocator: str | RolloutAllocator,
    allocator_config: Mapping[str, Any] | None,
    shape: RoundShape,
    known: Known | None = None,
) -> RolloutAllocator:
    """The allocator, made if need be, and sure to last for the whole training and to fill its rounds.

    Args:
        allocator: a registered name, or an allocator.
        allocator_config: settings for one by name, or None.
        shape: of the training.
        known: of the prompts before they are tried; None is nothing.

    Raises:
        ConfigurationError: they do not fit; the message says what to change.
        BudgetError: floors, caps or units do not allow the rounds of this training.

    >>> shape = RoundShape(num_prompts=8, rounds=4, budget=64, group_size=4, largest=16)
    >>> fitted_allocator("cero", {"saturation": 2.0}, shape).config.budget
    64
    """
    if isinstance(allocator, str):
        told = (known or Known()).told(allocator, allocator_config or {})
        allocator = make_allocator(allocator, **allocator_fields(allocator, shape, told))
    elif isinstance(allocator, type) or not hasattr(allocator, "allocate"):
        raise ConfigurationError(
            f"allocator is {allocator!r:.80}; give a name (its settings go with it, as allocator_config) or an "
            "allocator that is made, as by make_allocator"
        )
    elif allocator_config is not None:
        raise ConfigurationError("allocator_config goes with an allocator's name; configure the allocator itself")
    elif known is not None and known.given:
        raise ConfigurationError(
            "features and offline_rates go with an allocator's name; give them to the allocator itself (make_allocator)"
        )
    config = allocator.config
    refuse_waves_of(config, shape.waves, shape.scope)
    if config.num_prompts != shape.num_prompts:
        raise ConfigurationError(
            f"the allocator knows {config.num_prompts} prompts, the train dataset has {shape.num_prompts} "
            f"rows; build it with num_prompts={shape.num_prompts}"
        )
    if config.rounds < shape.rounds or config.budget < shape.budget:
        raise ConfigurationError(
            f"this training generates {shape.rounds} rounds of {shape.largest} rollouts; the "
            f"allocator's rounds={config.rounds} and budget={config.budget} end earlier; give it at least "
            f"rounds={shape.rounds} and budget={shape.budget}, or lower max_steps"
        )
    _check_rounds(config, shape)
    if isinstance(allocator, BaseAllocator):  # a copy of anybody's own may have effects
        rows = np.arange(shape.largest // shape.group_size) if shape.scope == "batch" else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CeroWarning)  # the first round itself says what there is to say
            copy.deepcopy(allocator).allocate(rows, total=shape.largest)
    return allocator


def _check_rounds(config: AllocatorConfig, shape: RoundShape) -> None:
    """Refuse settings of an allocator that a trainer's rounds would pass over, without a word."""
    offer = getattr(config, "offer", None)
    if shape.scope == "window" or offer != type(config).model_fields["offer"].default:
        refuse_other_offer(shape.scope, offer)
    refuse_other_pacing(config, shape.rounds, shape.largest)


def refuse_other_pacing(config: AllocatorConfig, rounds: int, total: int) -> None:
    """Refuse sizes of rounds that a trainer whose rounds have a fixed size would pass over, without a word.

    Args:
        config: of the allocator.
        rounds: of the training.
        total: rollouts of each.

    Raises:
        ConfigurationError: some round is to have another size.
    """
    pacing = getattr(config, "pacing", None)
    if isinstance(pacing, tuple) and set(pacing[:rounds]) - {total}:
        raise ConfigurationError(
            f"pacing asks for rounds of {min(pacing)} to {max(pacing)} rollouts, and the trainer generates "
            f"{total} in every round; leave pacing out"
        )
