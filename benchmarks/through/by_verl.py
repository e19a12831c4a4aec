"""Through verl's own task runner, on the CPU by the stand-ins of its suite."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from integration_tests.verl import tiny

# Before anything imports verl, which looks for its platform then.
os.environ |= tiny.ENVIRONMENT | {"TINY_TOGETHER": "1"}
os.environ.pop("CUDA_VISIBLE_DEVICES", None)

import datasets
import torch
from transformers import AutoTokenizer

from benchmarks.through.jobs import Through
from benchmarks.through.told import evaluated, told
from cero_lab.fast.training import Training
from cero_lab.tasks import pool

REWARDS = Path(__file__).with_name("rewards.py")


def train(job: Through, start: Path, folder: Path) -> Training:
    """Train, and tell it as the fast training does.

    Args:
        job: which training.
        start: folder of the checkpoint.
        folder: for what verl writes.
    """
    place = job.settings
    _prepare(job, start, folder)
    torch.manual_seed(job.seed)
    began = time.perf_counter()
    made = tiny.train(command(job, folder))
    seconds = time.perf_counter() - began
    saved = {step: folder / "checkpoints" / f"global_step_{step}" for step in evaluated(place)}
    checkpoints = {step: path / "actor" / "huggingface" for step, path in saved.items()}
    inside = sum(row["data"].get("rollout_allocator/seconds", 0.0) for row in made.log)
    return told(folder / "trace.jsonl", {0: start, **checkpoints}, place, seconds=seconds, allocator_seconds=inside)


def command(job: Through, folder: Path) -> tiny.Tiny:
    """verl's command line for a regime, but for the flag the same for every variant."""
    place, sizes = job.settings, job.settings.train
    rows = place.rollouts
    training = tiny.Tiny(folder, sizes.rounds, sizes.prompts_per_round, sizes.group_size, sizes.prompts)
    training.extra = [
        f"data.seed={job.seed}",
        f"data.max_response_length={sizes.max_new_tokens}",
        f"actor_rollout_ref.actor.optim.lr={sizes.learning_rate}",
        f"actor_rollout_ref.actor.optim.lr_warmup_steps={sizes.warmup}",
        "actor_rollout_ref.actor.optim.weight_decay=0.0",  # TRL's default
        f"actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu={rows}",
        f"actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu={rows}",
        "actor_rollout_ref.actor.checkpoint.save_contents=[hf_model]",
        f"trainer.save_freq={place.evaluation.every}",
        f"reward.custom_reward_function.path={REWARDS}",
        f"+rollout_allocator={job.allocator}",
        "rollout_allocator.scope=null",  # not said, which the suite would take for another
        f"rollout_allocator.trace={folder / 'trace.jsonl'}",
    ]
    return training


def _prepare(job: Through, start: Path, folder: Path) -> None:
    """The model and the prompts, where `tiny.Tiny` looks for them."""
    shutil.copytree(start, folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(start, padding_side="left")
    tokenizer.chat_template = tiny.TEMPLATE
    tokenizer.save_pretrained(folder / "model")
    rows = [
        {
            "data_source": puzzle.task,
            "prompt": [{"role": "user", "content": puzzle.prompt}],
            "ability": "letters",
            "reward_model": {"style": "rule", "ground_truth": puzzle.answer},
            "extra_info": {"index": i, "split": "train", "prompt": puzzle.prompt},
        }
        for i, puzzle in enumerate(pool(job.settings.pool, job.settings.train.prompts, job.seed))
    ]
    datasets.Dataset.from_list(rows).to_parquet(str(folder / "train.parquet"))
