"""The allocator's state beside TRL's checkpoint, and the generation batch that TRL itself would lose."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import send_to_device
from datasets import Dataset
from pydantic import BaseModel, ConfigDict
from transformers.trainer import TRAINER_STATE_NAME

from cero_api import RolloutAllocator, load_allocator, save_allocator
from cero_api.adapting import refuse_other_rule
from cero_api.errors import CheckpointError
from cero_api.files import replacing, write_whole

ALLOCATOR_FILE = "cero_allocator.npz"
PROGRESS_FILE = "cero_trl.json"
LAYOUT = ("micro_batches_per_round", "world_size")


class Progress(BaseModel):
    """Where a training run stood when it was saved; plain JSON beside the allocator.

    Args:
        step: micro-batches trained so far (TRL's `_step`).
        rollouts_so_far: rollouts generated for training.
        micro_batches_per_round: `steps_per_generation * num_iterations`.
        world_size: number of ranks.
        pool: fingerprint of the train dataset, whose row numbers the allocator's state speaks of.
        length: of the training, as the allocator was configured for it; what it has by now may be longer.
        judged_by: what makes a reward a success, `cero_api.adapting.said_rule`; empty where nobody wrote it down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    rollouts_so_far: int
    micro_batches_per_round: int
    world_size: int
    pool: str
    length: dict[str, Any] = {}
    judged_by: dict[str, Any] = {}

    @property
    def in_mid_round(self) -> bool:
        """Whether some of the last generation batch was still to be trained on."""
        return self.buffered != 0

    @property
    def buffered(self) -> int:
        """Micro-batches of the last generation batch that were still to be trained on."""
        return -self.step % self.micro_batches_per_round


def pool_fingerprint(dataset: Dataset, samples: int = 64) -> str:
    """Short hash of the dataset's length and of up to 64 evenly spaced prompts.

    The allocator knows prompts by their row. Another or a reordered dataset must not inherit its beliefs.
    """
    if "prompt" in dataset.column_names:
        dataset = dataset.select_columns(["prompt"])
    raw = dataset.with_format("arrow")  # neither transforms nor decoded images, whose repr holds an address
    rows = np.unique(np.linspace(0, len(raw) - 1, samples).astype(int))
    prompts = [repr(raw[int(row)].to_pylist()) for row in rows]
    return hashlib.sha256(json.dumps([len(raw), prompts]).encode()).hexdigest()[:16]


def save_state(folder: Path, allocator: RolloutAllocator, progress: Progress) -> None:
    """Write the allocator and the progress into a checkpoint folder (one rank does)."""
    folder.mkdir(parents=True, exist_ok=True)
    save_allocator(allocator, folder / ALLOCATOR_FILE)
    write_whole(folder / PROGRESS_FILE, progress.model_dump_json(indent=2) + "\n")


def save_batch(folder: Path, rank: int, batch: list[dict[str, Any]]) -> None:
    """Write this rank's share of a generation batch that is still being trained on."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / _batch_file(rank)) as file:
        torch.save(batch, file)


def load_state(folder: Path, expected: Progress) -> tuple[RolloutAllocator, Progress]:
    """The allocator that a checkpoint holds, and how far its training was; refuse whatever is not of this dataset.

    Args:
        folder: the checkpoint.
        expected: what this run would save now; its pool, success rule and layout must fit.

    Raises:
        CheckpointError: no state, an unreadable one, or one of another dataset, success rule or batch layout.
    """
    missing = [name for name in (ALLOCATOR_FILE, PROGRESS_FILE) if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{folder} has no {' or '.join(missing)}: CeroGRPOTrainer did not write it, and to train on would be to "
            "restart the allocator; to begin a new allocator in the middle of that training, pass fresh_start=True, "
            "or start anew from its weights and pass the folder as `model`"
        )
    try:
        progress = Progress.model_validate_json((folder / PROGRESS_FILE).read_text())
    except ValueError as error:  # pydantic's and that of other bytes than text
        raise _torn(folder / PROGRESS_FILE, error) from error
    if progress.pool != expected.pool:
        raise CheckpointError(
            f"{folder} was written with another train dataset, or the same in another order, and the "
            "allocator knows prompts by their row; resume with the dataset of that run, or pass fresh_start=True"
        )
    refuse_other_rule(progress.judged_by, expected.judged_by)
    differing = [name for name in LAYOUT if getattr(progress, name) != getattr(expected, name)]
    if progress.in_mid_round and differing:
        was_and_is = (f"{name}={getattr(progress, name)} (now {getattr(expected, name)})" for name in differing)
        raise CheckpointError(
            f"{folder} was written in the middle of a generation batch with {', '.join(was_and_is)}; resume "
            "with the same values, or from a checkpoint at the end of a generation batch"
        )
    return load_allocator(folder / ALLOCATOR_FILE), progress


def steps_done(folder: Path) -> int:
    """Optimiser steps of the training that wrote a checkpoint.

    Raises:
        CheckpointError: the folder is no whole checkpoint, or the file is torn.
    """
    path = folder / TRAINER_STATE_NAME
    if not path.is_file():
        raise CheckpointError(f"{folder} has no {path.name}, which is written last; resume an earlier checkpoint")
    try:
        return int(json.loads(path.read_text())["global_step"])
    except (ValueError, KeyError, TypeError) as error:
        raise _torn(path, error) from error


def load_batch(folder: Path, rank: int, device: torch.device) -> list[dict[str, Any]]:
    """Read back this rank's share of a generation batch in training.

    Raises:
        CheckpointError: it is not there, or torn.
    """
    path = folder / _batch_file(rank)
    if not path.is_file():
        raise CheckpointError(
            f"{path} is missing: the checkpoint was written in the middle of a generation batch; copy the "
            "whole folder, or resume from a checkpoint at the end of a generation batch"
        )
    try:
        # By way of the CPU: torch.load cannot restore to "cpu:0", as accelerate calls the device of a CPU rank.
        batch: list[dict[str, Any]] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:  # by where it is torn
        raise _torn(path, error) from error
    moved: list[dict[str, Any]] = send_to_device(batch, device)
    return moved


def _torn(path: Path, cause: Exception) -> CheckpointError:
    said = " ".join(str(cause).split())
    return CheckpointError(
        f"{path} cannot be read ({type(cause).__name__}: {said:.120}); it is torn or foreign, so copy the folder "
        "again, or resume an earlier checkpoint"
    )


def _batch_file(rank: int) -> str:
    return f"cero_batch_{rank}.pt"
