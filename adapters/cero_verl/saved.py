"""The allocator's files in verl's checkpoint folder, and where verl resumes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError
from verl.utils.checkpoint.checkpoint_manager import find_latest_ckpt_path

from cero_api.errors import CheckpointError, ConfigurationError
from cero_api.files import write_whole
from cero_ray.durable import ALLOCATOR_FILE, TICKETS_FILE
from cero_verl.config import FLAG

PROGRESS_FILE = "cero_verl.json"


class Progress(BaseModel):
    """Where the training stood; plain JSON beside the allocator.

    Args:
        step: verl's global step.
        pool: fingerprint of the prompts and their order, of which the allocator's rows speak.
        after: steps before the allocator began, if it began in the middle of a training.
        asked: rounds and budget that the configuration asked for, where the allocator was given more to last.
        judged_by: what makes a reward a success, `cero_api.adapting.said_rule`; empty where nobody wrote it down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    pool: str
    after: int = 0
    asked: tuple[int, int] | None = None
    judged_by: dict[str, Any] = {}


class Resumed(NamedTuple):
    """The checkpoint that verl resumes."""

    path: Path
    step: int


def resumed_folder(config: Any) -> Resumed | None:
    """The checkpoint that verl loads with this configuration, by its own rules; None if it starts from scratch.

    Raises:
        ConfigurationError: verl would not know which, and say so when the model is loaded.
        CheckpointError: the file that names the latest one is torn.
    """
    trainer = config.trainer
    if trainer.resume_mode == "disable":
        return None
    if trainer.resume_mode == "auto":
        folder = os.path.abspath(trainer.default_local_dir)
        try:
            found = find_latest_ckpt_path(folder)
        except ValueError as error:
            raise CheckpointError(
                f"{folder}/latest_checkpointed_iteration.txt holds no number ({error}); write that of the last whole "
                "global_step_N into it, or resume one by trainer.resume_mode=resume_path"
            ) from error
        return None if found is None else Resumed(Path(found), _step_of(found))
    if trainer.resume_mode != "resume_path":
        raise ConfigurationError(
            f"trainer.resume_mode={trainer.resume_mode} is none; choose auto, disable, resume_path"
        )
    given = trainer.resume_from_path
    if not (isinstance(given, str) and given.rpartition("global_step_")[2].isdecimal()):
        raise ConfigurationError(
            f"trainer.resume_from_path={given} does not end in global_step_N; give the folder of one step, without a "
            "slash at its end"
        )
    path = Path(os.path.abspath(given))
    if not path.is_dir():
        raise CheckpointError(f"trainer.resume_from_path={given} is no folder here; give that of a checkpoint")
    return Resumed(path, _step_of(given))


def _step_of(folder: str) -> int:
    return int(folder.rpartition("global_step_")[2])


def save_state(folder: Path, files: dict[str, bytes], progress: Progress) -> None:
    """Write a desk's checkpoint; the progress comes last and makes it whole."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROGRESS_FILE).unlink(missing_ok=True)
    for name, content in files.items():
        write_whole(folder / name, content)
    write_whole(folder / PROGRESS_FILE, progress.model_dump_json(indent=2))


def saved_progress(folder: Path) -> Progress | None:
    """Where a checkpoint's training stood; None if it has no allocator state.

    Raises:
        CheckpointError: the file cannot be read.
    """
    path = folder / PROGRESS_FILE
    if not path.is_file():
        return None
    try:
        return Progress.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise CheckpointError(f"{path} cannot be read ({error}); resume an earlier checkpoint") from error


def load_state(folder: Path, step: int, pool: str) -> dict[str, bytes]:
    """A desk's checkpoint, if it is of these prompts and this step.

    Args:
        folder: verl's `global_step_N`.
        step: its number.
        pool: fingerprint of this run's prompts.

    Raises:
        CheckpointError: there is none, or it is torn or of another run; the message says what to do.
    """
    progress = saved_progress(folder)
    missing = [name for name in (ALLOCATOR_FILE, TICKETS_FILE, PROGRESS_FILE) if not (folder / name).is_file()]
    if missing or progress is None:
        raise CheckpointError(
            f"{folder} has no {', '.join(missing)}: it was written without +{FLAG}, or only in part, and to go on "
            "would be to restart the allocator unnoticed; resume an earlier checkpoint with trainer.resume_mode="
            f"resume_path and trainer.resume_from_path, or begin a new allocator for the remaining steps with "
            f"{FLAG}.fresh_start=true"
        )
    if progress.pool != pool:
        raise CheckpointError(
            f"{folder} was written with other train prompts, or the same in another order, and the allocator knows "
            f"prompts by their row; resume with data.train_files, the filters and {FLAG}.identity of that run, or "
            f"begin a new allocator with {FLAG}.fresh_start=true"
        )
    if progress.step != step:
        raise CheckpointError(f"{folder} holds the allocator of step {progress.step}; resume an earlier checkpoint")
    return {name: (folder / name).read_bytes() for name in (ALLOCATOR_FILE, TICKETS_FILE)}
