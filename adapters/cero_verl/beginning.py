"""Where the allocator begins: at the first step, at a checkpoint's, or anew in the middle of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cero_api import AllocatorConfig, RolloutAllocator, continued, make_allocator
from cero_api.adapting import by_features, differences, refuse_other_knowledge, refuse_other_rule
from cero_api.checkpoint import allocator_to_bytes
from cero_api.errors import CheckpointError
from cero_ray.durable import ALLOCATOR_FILE, restored
from cero_verl.config import FLAG, Schedule, VerlAllocatorConfig, allocator_config, read_flag, schedule_of
from cero_verl.prompts import TrainPrompts
from cero_verl.saved import Resumed, load_state, resumed_folder, saved_progress


@dataclass(frozen=True)
class Beginning:
    """How the allocator starts in this run."""

    begin: dict[str, Any]  # for `start_allocator`
    allocator: RolloutAllocator  # as it will stand there
    schedule: Schedule
    after: int  # steps that this allocator did not see
    next_step: int  # verl's first step in this run
    asked: tuple[int, int]  # rounds and budget by the configuration; the allocator may have more
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
    except CheckpointError as error:
        if not (settings.fresh_start or over):
            if str(found.path) in str(error):
                raise
            raise CheckpointError(f"{found.path}: {error}") from error
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
    known = _known(settings, wanted, prompts)
    begin = {"name": settings.name, "config": wanted.model_dump(mode="json"), "known": known}
    allocator = make_allocator(settings.name, wanted, **known)
    asked = (wanted.rounds, wanted.budget)
    return Beginning(begin, allocator, schedule, after, after + 1, asked, f"new after step {after}")


def _known(settings: VerlAllocatorConfig, config: AllocatorConfig, prompts: TrainPrompts) -> dict[str, Any]:
    """Of the prompts, before they are tried."""
    return prompts.known(by_features(config), settings.features, settings.offline_rates, settings.offline_samples)


def _resumed(
    config: Any, settings: VerlAllocatorConfig, fields: Mapping[str, Any], prompts: TrainPrompts, found: Resumed
) -> Beginning:
    progress = saved_progress(found.path)
    after = 0 if progress is None else progress.after
    schedule = _schedule(config, settings, prompts, after)
    files = load_state(found.path, found.step, prompts.index.fingerprint)
    saved, told = restored(files)[0], f"resumed from {found.path}"
    before = saved.config
    asked = None if progress is None else progress.asked
    left = schedule.steps - (found.step - after)
    if left > 0:
        wanted = allocator_config(settings, fields, schedule)
        asked, asked_before = (wanted.rounds, wanted.budget), asked or (before.rounds, before.budget)
        if type(wanted) is type(before):
            same = {"rounds": before.rounds, "budget": before.budget}
            length = same if asked == asked_before else _lasting(saved, wanted, fields, left, left * schedule.total)
            wanted = wanted.model_copy(update=length | _roomy(before, wanted, fields))
        if wanted != before:
            told += f", where it had {differences(before, wanted)}"
            saved, files = _continued(saved, wanted, files, found.path)
        refuse_other_rule({} if progress is None else progress.judged_by, settings.judged_by)
        refuse_other_knowledge(saved, make_allocator(settings.name, wanted, **_known(settings, wanted, prompts)))
    else:
        told += ", where the training is over"
    asked = asked or (before.rounds, before.budget)
    return Beginning({"files": files}, saved, schedule, after, found.step + 1, asked, told)


def _lasting(
    saved: RolloutAllocator, wanted: AllocatorConfig, fields: Mapping[str, Any], steps: int, spend: int
) -> dict[str, int]:
    """Rounds and budget of a training of another length than the saved one, which must last for the steps left.

    Refills and prompts that come twice in a batch take rounds of their own, so more may be dealt by now than planned.
    """
    numbers, length = saved.metrics(), {}
    if "rounds" not in fields:
        length["rounds"] = max(wanted.rounds, int(numbers["round"]) + steps)
    if "budget" not in fields:
        length["budget"] = max(wanted.budget, int(numbers["budget_spent"]) + spend)
    return length


def _roomy(before: AllocatorConfig, wanted: AllocatorConfig, fields: Mapping[str, Any]) -> dict[str, int]:
    """Room in a round for what the larger batches of before have spent of the budget, where CERO asks for it."""
    was, now = (getattr(config, "capacity", None) for config in (before, wanted))
    return {} if was is None or now is None or "capacity" in fields else {"capacity": max(was, now)}


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
