"""The allocator for a training, judged before a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cero_api import RolloutAllocator
from cero_api.adapting.fitting import fitted_allocator
from cero_api.errors import ConfigurationError
from cero_trl.config import CeroTRLConfig, Schedule
from cero_trl.known import Known


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
    return fitted_allocator(allocator, allocator_config, schedule.shape(settings.scope), known)
