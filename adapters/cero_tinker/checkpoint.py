"""The allocator's state beside the cookbook's `checkpoints.jsonl`: one file a checkpoint, by its number of steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from tinker_cookbook import checkpoint_utils

from cero_api import RolloutAllocator, load_allocator, save_allocator
from cero_api.errors import CheckpointError
from cero_api.files import write_whole

FOLDER = "cero"


class Progress(BaseModel):
    """Where a training stood when its allocator was saved; plain JSON beside it.

    Args:
        step: steps so far.
        rollouts_so_far: rollouts dealt so far.
        pool: fingerprint of the dataset, whose places the allocator's state speaks of.
        length: of the training, as the allocator was configured for it; what it has by now may be longer.
        judged_by: what makes a reward a success, `cero_api.adapting.said_rule`; empty where nobody wrote it down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    rollouts_so_far: int
    pool: str
    length: dict[str, Any] = {}
    judged_by: dict[str, Any] = {}


def first_step(log_path: str) -> int:
    """The step at which the cookbook will go on with what its folder of logs holds; 0 is the beginning."""
    record = checkpoint_utils.get_last_checkpoint(log_path)
    return 0 if record is None or record.batch is None else int(record.batch)


def save_state(folder: Path, allocator: RolloutAllocator, progress: Progress) -> None:
    """Write the state after a step, and drop those that no checkpoint of the cookbook's needs any more.

    The cookbook writes its own checkpoint later, when it has trained on the step: the two latest states stay, so that
    a training that is killed in between finds that of the checkpoint before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state, told = _files(folder, progress.step)
    write_whole(told, progress.model_dump_json(indent=2) + "\n")
    save_allocator(allocator, state)
    records = checkpoint_utils.load_checkpoints_file(str(folder.parent))
    needed = {record.batch for record in records if not record.get("rolling", False)}
    steps = sorted(int(path.stem) for path in folder.glob("*.npz") if path.stem.isdigit())
    for step in steps[:-2]:
        if step not in needed:
            for path in _files(folder, step):
                path.unlink(missing_ok=True)


def load_state(folder: Path, step: int, pool: str) -> tuple[RolloutAllocator, Progress]:
    """The allocator as it stood after `step` steps; refuse whatever is not of this dataset.

    Raises:
        CheckpointError: no state, an unreadable one, or one of another dataset.
    """
    state, told = _files(folder, step)
    missing = [path.name for path in (state, told) if not path.is_file()]
    if missing:
        raise CheckpointError(
            f"{folder} has no {' or '.join(missing)}, and the cookbook goes on at step {step}: cero_tinker was not "
            "there when that checkpoint was written, and to train on would be to restart the allocator; to begin a "
            "new allocator in the middle of that training, pass fresh_start=True, or start anew with another log_path "
            "and load_checkpoint_path"
        )
    try:
        progress = Progress.model_validate_json(told.read_text())
    except ValidationError as error:
        raise CheckpointError(
            f"{told} cannot be read: {error}; restore it, or pass fresh_start=True to begin a new allocator"
        ) from error
    if progress.pool != pool:
        raise CheckpointError(
            f"{state} was written with another dataset, or the same in another order or batch size, and the allocator "
            "knows prompts by their place; resume with the dataset of that run, or pass fresh_start=True"
        )
    return load_allocator(state), progress


def _files(folder: Path, step: int) -> tuple[Path, Path]:
    return folder / f"{step:06d}.npz", folder / f"{step:06d}.json"
