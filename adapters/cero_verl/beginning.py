"""Where the allocator begins: at the first step, at a checkpoint's, or anew in the middle of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cero_api.errors import CheckpointError
from cero_verl.checkpoint import Progress, load_state, resumed_folder, saved_progress
from cero_verl.config import Schedule, allocator_config, read_flag, schedule_of


@dataclass(frozen=True)
class Beginning:
    """How the allocator starts in this run."""

    begin: dict[str, Any]  # for `start_allocator`
    schedule: Schedule
    after: int  # steps that this allocator did not see
    next_step: int  # verl's first step in this run
    told: str  # in words, for the log


def beginning(config: Any, num_prompts: int, pool: str) -> Beginning:
    """The beginning that fits verl's own.

    Args:
        config: verl's, after its trainer has loaded its checkpoint.
        num_prompts: rows of the train dataset.
        pool: their fingerprint.

    Raises:
        ConfigurationError: the flag's settings do not fit the training.
        CheckpointError: verl resumes a checkpoint whose allocator state is missing or of another run.
    """
    settings, fields = read_flag(config)
    found = resumed_folder(config)
    if found is not None:
        saved = saved_progress(found.path)
        after = saved.after if saved is not None else 0
        schedule = schedule_of(config, settings, num_prompts, done=after)
        try:
            wanted = allocator_config(settings, fields, schedule)
            files = load_state(found.path, wanted, Progress(step=found.step, pool=pool, after=after))
        except CheckpointError:
            if not settings.fresh_start:
                raise
        else:
            return Beginning({"files": files}, schedule, after, found.step + 1, f"resumed from {found.path}")
    after = 0 if found is None else found.step
    schedule = schedule_of(config, settings, num_prompts, done=after)
    fresh = allocator_config(settings, fields, schedule).model_dump(mode="json")
    return Beginning({"name": settings.name, "config": fresh}, schedule, after, after + 1, f"new after step {after}")
