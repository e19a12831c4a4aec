"""The allocator for a training, judged before a model is loaded; and for a training that begins anew or goes on."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from cero_api import AllocatorConfig, BaseAllocator, RolloutAllocator, continued, make_allocator
from cero_api.adapting import (
    allocator_fields,
    idle_reasons,
    informed,
    limits,
    refuse_other_offer,
    scope_of,
    warn_if_idle,
)
from cero_api.adapting.waves import refuse_waves_of
from cero_api.config import Scope
from cero_api.errors import CeroWarning, ConfigurationError
from cero_trl.config import CeroTRLConfig, Schedule
from cero_trl.known import Known


def usual_scope(allocator: str | RolloutAllocator, scope: Scope | None) -> Scope:
    """Who may be chosen: the user's choice, or the method's usual one.

    Args:
        allocator: a registered name, or an allocator, which shares out batches if it was not made for a window.
        scope: the user's; None leaves it to the method.
    """
    if isinstance(allocator, str):
        return scope_of(allocator, scope)
    if scope is not None:
        return scope
    offer = getattr(getattr(allocator, "config", None), "offer", None)  # what is no allocator is refused later
    return "window" if offer == "window" else "batch"


def fitting_allocator(
    allocator: str | RolloutAllocator,
    allocator_config: Mapping[str, Any] | None,
    settings: CeroTRLConfig,
    schedule: Schedule,
    known: Known | None = None,
) -> RolloutAllocator:
    """The allocator, made if need be, and sure to last for the whole training and to fill its rounds.

    Args:
        allocator: a registered name, or an allocator.
        allocator_config: settings for one by name, or None.
        settings: of the adapter.
        schedule: of the training.
        known: of the prompts before they are tried; None is nothing.

    Raises:
        ConfigurationError: they do not fit; the message says what to change.
        BudgetError: floors, caps or units do not allow the rounds of this training.
    """
    if schedule.rounds == 0:
        raise ConfigurationError(
            f"the train dataset has {schedule.num_prompts} rows and a generation batch takes "
            f"{schedule.prompts} prompts, so nothing would be trained; lower its size"
        )
    if isinstance(allocator, str):
        told = (known or Known()).told(allocator, allocator_config or {})
        fields = allocator_fields(allocator, schedule.shape(settings.scope), told)
        allocator = make_allocator(allocator, **fields)
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
    refuse_waves_of(config)
    if config.num_prompts != schedule.num_prompts:
        raise ConfigurationError(
            f"the allocator knows {config.num_prompts} prompts, the train dataset has {schedule.num_prompts} "
            f"rows; build it with num_prompts={schedule.num_prompts}"
        )
    if config.rounds < schedule.rounds or config.budget < schedule.budget:
        raise ConfigurationError(
            f"this training generates {schedule.rounds} rounds of {schedule.rollouts} rollouts; the "
            f"allocator's rounds={config.rounds} and budget={config.budget} end earlier; give it at least "
            f"rounds={schedule.rounds} and budget={schedule.budget}, or lower max_steps"
        )
    _check_rounds(config, settings, schedule)
    if isinstance(allocator, BaseAllocator):  # a copy of anybody's own may have effects
        rows = None if settings.chooses else np.arange(schedule.prompts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CeroWarning)  # the first round itself says what there is to say
            copy.deepcopy(allocator).allocate(rows, total=schedule.rollouts)
    return allocator


def _check_rounds(config: AllocatorConfig, settings: CeroTRLConfig, schedule: Schedule) -> None:
    """Refuse settings of an allocator that TRL's rounds would pass over, without a word."""
    offer = getattr(config, "offer", None)
    if settings.scope == "window" or offer != type(config).model_fields["offer"].default:
        refuse_other_offer(settings.scope, offer)
    pacing = getattr(config, "pacing", None)
    if isinstance(pacing, tuple) and set(pacing[: schedule.rounds]) - {schedule.rollouts}:
        raise ConfigurationError(
            f"pacing asks for rounds of {min(pacing)} to {max(pacing)} rollouts, and TRL generates {schedule.rollouts} "
            "in every round; leave pacing out"
        )


def warn_of_idleness(allocator: RolloutAllocator, settings: CeroTRLConfig, schedule: Schedule, stacklevel: int) -> None:
    """Warn of settings with which the allocator has nothing to decide."""
    bounds = limits(allocator.config, None if settings.chooses else schedule.group_size)
    if bounds is None:  # uniform counts are what such a method is for
        return
    reasons = idle_reasons(
        scope=settings.scope,
        mean=schedule.group_size,
        floor=bounds.floor,
        cap=bounds.cap,
        batch=schedule.prompts,
        num_prompts=schedule.num_prompts,
        epochs=schedule.rounds * schedule.prompts / schedule.num_prompts,
        informed=informed(allocator),
        option=_option,
    )
    warn_if_idle(reasons, stacklevel=stacklevel + 1, allocator=allocator)


def lasting(saved: RolloutAllocator, config: AllocatorConfig, rounds: int, rollouts: int) -> RolloutAllocator:
    """An allocator that goes on where `saved` stands, with this configuration or as much longer a one as is needed.

    Args:
        saved: where the training stands.
        config: of this training.
        rounds: still to come.
        rollouts: in each of them.

    Returns:
        `saved` itself if it will do.

    Raises:
        CheckpointError: the configurations differ in more than the length of the training.
    """
    metrics = saved.metrics()
    length: dict[str, Any] = {
        "rounds": max(config.rounds, int(metrics["round"]) + rounds),
        "budget": max(config.budget, int(metrics["budget_spent"]) + rounds * rollouts),
    }
    pacing = getattr(config, "pacing", None)
    if isinstance(pacing, tuple):
        length["pacing"] = (*pacing, *[rollouts] * (length["rounds"] - config.rounds))
    config = config.model_copy(update=length)
    return saved if config == saved.config else continued(saved, config)


def length_of(config: AllocatorConfig) -> dict[str, Any]:
    """What a configuration says of the length of the training, as JSON values."""
    return config.model_dump(mode="json", include=set(config.replanned))


def of_the_length_of(other: AllocatorConfig, config: AllocatorConfig) -> AllocatorConfig:
    """A configuration, but for the length of the training, which is another's of the same type."""
    if type(other) is not type(config):
        return config
    return config.model_copy(update={name: getattr(other, name) for name in config.replanned})


def begun(allocator: RolloutAllocator, rounds: int, rollouts: int) -> RolloutAllocator:
    """A new allocator for what is left of a training that began without it.

    Args:
        allocator: new, and planned for the whole training; returned as it is if it has a plan of its own.
        rounds: still to come.
        rollouts: in each of them.
    """
    config = allocator.config
    planned = isinstance(getattr(config, "pacing", None), tuple)
    if not isinstance(allocator, BaseAllocator) or planned or rounds == 0:
        return allocator
    return continued(allocator, config.model_copy(update={"rounds": rounds, "budget": rounds * rollouts}))


def _option(setting: str) -> str:
    """How an option of the allocator or of the trainer is written."""
    name, _, value = setting.partition("=")
    if name == "scope":
        return f'{name}="{value}"'
    return f'allocator_config={{"{name}": {value or "..."}}}'
