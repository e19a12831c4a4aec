"""The allocator's state in verl's checkpoint folder, and where verl resumes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError
from verl.trainer.ppo.checkpoint_callback import CheckpointCallback
from verl.utils.checkpoint.checkpoint_manager import find_latest_ckpt_path
from verl.utils.import_utils import load_class_from_fqn

from cero_api.adapting import differences
from cero_api.config import AllocatorConfig
from cero_api.errors import CheckpointError
from cero_api.files import write_whole
from cero_ray.durable import ALLOCATOR_FILE, TICKETS_FILE, restored
from cero_verl.config import FLAG
from cero_verl.guard import check_verl
from cero_verl.refusals import refuse_unsupported

PROGRESS_FILE = "cero_verl.json"


class Progress(BaseModel):
    """Where the training stood; plain JSON beside the allocator.

    Args:
        step: verl's global step.
        pool: fingerprint of the prompts and their order, of which the allocator's rows speak.
        after: steps before the allocator began, if it began in the middle of a training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    pool: str
    after: int = 0


class Resumed(NamedTuple):
    """The checkpoint that verl resumes."""

    path: Path
    step: int


class AllocatorCheckpoint(CheckpointCallback):
    """verl's checkpoint callback: refuses a configuration that cannot work, and saves the allocator.

    verl builds it before it loads a model or starts a worker, so a refusal costs seconds.

    Args:
        config: verl's.
    """

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        check_verl()
        own = refuse_unsupported(config).checkpoint_callback
        self._own = load_class_from_fqn(own, "CheckpointCallback")(config=config) if own else None

    def on_save(
        self, trainer: Any, global_step: int, checkpoint_dir: str, async_save: bool = False, **kwargs: Any
    ) -> None:
        """Write the allocator's state beside verl's; then call the user's own callback, if there is one."""
        trainer.agent_loop_manager.save(checkpoint_dir, global_step)
        if self._own is not None:
            self._own.on_save(
                trainer=trainer,
                global_step=global_step,
                checkpoint_dir=checkpoint_dir,
                async_save=async_save,
                **kwargs,
            )


def resumed_folder(config: Any) -> Resumed | None:
    """The checkpoint that verl loads with this configuration, by its own rules; None if it starts from scratch."""
    trainer = config.trainer
    if trainer.resume_mode == "disable":
        return None
    if trainer.resume_mode == "auto":
        found = find_latest_ckpt_path(os.path.abspath(trainer.default_local_dir))
    else:
        found = trainer.resume_from_path
    if found is None:
        return None
    path = Path(os.path.abspath(found))
    return Resumed(path, int(str(path).split("global_step_")[-1]))


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


def load_state(folder: Path, config: AllocatorConfig, expected: Progress) -> dict[str, bytes]:
    """A desk's checkpoint, if it belongs to this run.

    Args:
        folder: verl's `global_step_N`.
        config: this run's allocator configuration.
        expected: what this run would save at this step.

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
    if progress.pool != expected.pool:
        raise CheckpointError(
            f"{folder} was written with other train prompts, or the same in another order, and the allocator knows "
            "prompts by their row; resume with data.train_files and the filters of that run"
        )
    if progress.step != expected.step:
        raise CheckpointError(f"{folder} holds the allocator of step {progress.step}; resume an earlier checkpoint")
    files = {name: (folder / name).read_bytes() for name in (ALLOCATOR_FILE, TICKETS_FILE)}
    saved = restored(files)[0].config
    if saved != config:
        raise CheckpointError(
            f"{folder} holds an allocator with {differences(saved, config)}; resume with the settings and the length "
            f"of training of that run, or begin a new allocator with {FLAG}.fresh_start=true"
        )
    return files
