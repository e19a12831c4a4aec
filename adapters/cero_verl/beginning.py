"""Where the allocator begins: at the first step, at a checkpoint's, or anew in the middle of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cero_api import AllocatorConfig, RolloutAllocator, continued, make_allocator
from cero_api.adapting import differences
from cero_api.checkpoint import allocator_to_bytes
from cero_api.errors import CheckpointError
from cero_ray.durable import ALLOCATOR_FILE, restored
from cero_verl.config import FLAG, Schedule, VerlAllocatorConfig, allocator_config, read_flag, schedule_of
from cero_verl.prompts import TrainPrompts
from cero_verl.saved import Progress, Resumed, load_state, resumed_folder, saved_progress


@dataclass(frozen=True)
class Beginning:
    """How the allocator starts in this run."""

    begin: dict[str, Any]  # for `start_allocator`
    allocator: RolloutAllocator  # as it will stand there
    schedule: Schedule
    after: int  # steps that this allocator did not see
    next_step: int  # verl's first step in this run
    told: str  # in words, for the log


def beginning(config: Any, prompts: TrainPrompts) -> Beginning:
    """The beginning that fits verl's own.

    A checkpoint of a shorter training, or of one with another budget, goes on as the longer one: what is known and
    spent stays, and what is left is planned anew (`cero_api.continued`). One of a training that is over is taken as it
    is, for there is nothing left to plan.

    Args:
        config: verl's.
        prompts: the pool.

    Raises:
        ConfigurationError: the flag's settings do not fit the training.
        CheckpointError: verl resumes a checkpoint whose allocator state is missing or does not fit.
    """
    settings, fields = read_flag(config)
    found = resumed_folder(config)
    if found is None:
        return _new(config, settings, fields, prompts, 0)
    over = found.step >= _schedule(config, settings, prompts, 0).steps
    try:
        return _resumed(config, settings, fields, prompts, found)
    except CheckpointError:
        if not (settings.fresh_start or over):
            raise
    return _new(config, settings, fields, prompts, found.step)


def _schedule(config: Any, settings: VerlAllocatorConfig, prompts: TrainPrompts, after: int) -> Schedule:
    return schedule_of(config, settings, prompts.dataset_rows, len(prompts), done=after)


def _new(
    config: Any, settings: VerlAllocatorConfig, fields: Mapping[str, Any], prompts: TrainPrompts, after: int
) -> Beginning:
    schedule = _schedule(config, settings, prompts, after)
    if after and schedule.steps < 1:
        # Nothing is left to train, and verl will say so; the allocator needs but some length.
        schedule = _schedule(config, settings, prompts, 0)
    wanted = allocator_config(settings, fields, schedule)
    known = prompts.known(wanted.belief, settings.features, settings.offline_rates, settings.offline_samples)
    begin = {"name": settings.name, "config": wanted.model_dump(mode="json"), "known": known}
    allocator = make_allocator(settings.name, wanted, **known)
    return Beginning(begin, allocator, schedule, after, after + 1, f"new after step {after}")


def _resumed(
    config: Any, settings: VerlAllocatorConfig, fields: Mapping[str, Any], prompts: TrainPrompts, found: Resumed
) -> Beginning:
    progress = saved_progress(found.path)
    after = 0 if progress is None else progress.after
    schedule, fingerprint = _schedule(config, settings, prompts, after), prompts.index.fingerprint
    files = load_state(found.path, Progress(step=found.step, pool=fingerprint, after=after))
    saved, told = restored(files)[0], f"resumed from {found.path}"
    left = schedule.steps - (found.step - after)
    if left > 0:
        wanted = _lasting(saved, allocator_config(settings, fields, schedule), fields, left, schedule)
        if wanted != saved.config:
            told += f", where it had {differences(saved.config, wanted)}"
            saved, files = _continued(saved, wanted, files, found.path)
    else:
        told += ", where the training is over"
    return Beginning({"files": files}, saved, schedule, after, found.step + 1, told)


def _lasting(
    saved: RolloutAllocator, wanted: AllocatorConfig, fields: Mapping[str, Any], left: int, schedule: Schedule
) -> AllocatorConfig:
    """The configuration of this training; of another length than the saved one, it must last for the steps left.

    Refills and prompts that come twice in a batch take rounds of their own, so more may be dealt by now than planned.
    """
    if type(wanted) is not type(saved.config) or (wanted.rounds, wanted.budget) == (
        saved.config.rounds,
        saved.config.budget,
    ):
        return wanted
    numbers, length = saved.metrics(), {}
    if "rounds" not in fields:
        length["rounds"] = max(wanted.rounds, int(numbers["round"]) + left)
    if "budget" not in fields:
        spend = left * schedule.batch * schedule.rollouts
        length["budget"] = max(wanted.budget, int(numbers["budget_spent"]) + spend)
    return wanted.model_copy(update=length)


def _continued(
    saved: RolloutAllocator, wanted: AllocatorConfig, files: dict[str, bytes], folder: Path
) -> tuple[RolloutAllocator, dict[str, bytes]]:
    """The allocator with another length, and the files from which it begins so.

    Raises:
        CheckpointError: more than the length differs.
    """
    try:
        longer = continued(saved, wanted)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error} with {FLAG}.fresh_start=true") from error
    return longer, files | {ALLOCATOR_FILE: allocator_to_bytes(longer)}
