"""Through OpenRLHF's command line, on the CPU by the stand-ins of its suite."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.through.jobs import Through
from benchmarks.through.told import evaluated, told
from cero_api.errors import CeroError
from cero_lab.fast.training import Training
from cero_lab.tasks import pool
from integration_tests.openrlhf import tiny

REWARDS = Path(__file__).with_name("rewards.py")
os.environ["TINY_TOGETHER"] = "1"  # for the engine
LIMIT = 3600.0  # seconds of a training, after which it is no longer waited for


class TrainingFailedError(CeroError, RuntimeError):
    """The command line ended with an error."""


def train(job: Through, start: Path, folder: Path) -> Training:
    """Train, and tell it as the fast training does.

    Args:
        job: which training.
        start: folder of the checkpoint.
        folder: for what OpenRLHF writes.

    Raises:
        TrainingFailedError: it failed; the end of its log says why.
    """
    place = job.settings
    _prepare(job, start, folder)
    run = tiny.train(folder, command(job, folder), limit=LIMIT)
    if run.returncode:
        raise TrainingFailedError(f"OpenRLHF ended with {run.returncode}; mend what its log says: {run.output[-2000:]}")
    saved = {step: folder / "checkpoints" / f"global_step{step}_hf" for step in evaluated(place)}
    inside = sum(step["rollout_allocator/seconds"] for step in run.steps)
    return told(
        folder / "trace.jsonl",
        {0: folder / "model", **saved},
        place,
        seconds=run.seconds,
        allocator_seconds=inside,
    )


def command(job: Through, folder: Path) -> list[str]:
    """OpenRLHF's command line for a regime, but for the allocator's name the same for every variant."""
    place, sizes = job.settings, job.settings.train
    return tiny.arguments(
        folder,
        **{
            "cero.allocator": job.allocator,
            "cero.scope": None,  # not said, where the suite says another
            "reward.remote_url": REWARDS,
            "data.max_len": 32,
            "rollout.max_new_tokens": sizes.max_new_tokens,
            "rollout.batch_size": sizes.prompts_per_round,
            "rollout.n_samples_per_prompt": sizes.group_size,
            "rollout.micro_batch_size": place.rollouts,
            "train.batch_size": place.rollouts,
            "train.micro_batch_size": place.rollouts,
            "train.num_episodes": round(sizes.rounds * sizes.prompts_per_round / sizes.prompts),
            "train.seed": job.seed,
            "algo.advantage.estimator": "group_norm",
            "actor.adam.lr": sizes.learning_rate,
            "actor.adam.betas": (0.9, 0.999),
            "actor.lr_scheduler": "constant_with_warmup",
            "actor.lr_warmup_ratio": sizes.warmup / sizes.rounds,
            "ckpt.save_steps": place.evaluation.every,
            "ckpt.save_hf": True,
            "ckpt.disable_ds": True,
        },
    )


def _prepare(job: Through, start: Path, folder: Path) -> None:
    """The model, in the precision that OpenRLHF trains, and the prompts, where `tiny.arguments` looks for them."""
    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.bfloat16)
    model.save_pretrained(folder / "model")
    AutoTokenizer.from_pretrained(start, padding_side="left").save_pretrained(folder / "model")
    puzzles = pool(job.settings.pool, job.settings.train.prompts, job.seed)
    lines = (json.dumps({"input": p.prompt, "label": p.answer, "datasource": p.task}) for p in puzzles)
    (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
