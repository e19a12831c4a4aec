"""What TRL can be asked for that would go wrong with counts of its own for each prompt: refused at the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets import Dataset
from trl import GRPOTrainer

from cero_api.errors import ConfigurationError


def refuse_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments for `GRPOTrainer` before it is made.

    Args:
        arguments: by name.

    Raises:
        ConfigurationError: they do not fit; the message says what to change.
    """
    dataset = arguments.get("train_dataset")
    if not isinstance(dataset, Dataset):
        raise ConfigurationError(
            f"train_dataset is {type(dataset).__name__}, but the allocator knows a prompt by its row in a "
            "datasets.Dataset; read a stream into one (Dataset.from_list), and where an environment owns the "
            "prompts, give it one row per task"
        )
    if arguments.get("rollout_func") is not None:
        raise ConfigurationError(
            "a rollout_func may count on runs of num_generations equal prompts, and dealt groups differ in "
            "size; let TRL generate, or use an environment_factory"
        )


def refuse_options(trainer: GRPOTrainer, success_reward: str | None) -> None:
    """Refuse options that are known once TRL has read its arguments.

    Args:
        trainer: as TRL has made it.
        success_reward: name of the reward function that judges success, or None.

    Raises:
        ConfigurationError: they do not fit; the message says what to change.
    """
    if trainer.use_vllm and trainer.vllm_mode == "server" and "seed" in (trainer.args.generation_kwargs or {}):
        raise ConfigurationError(
            "with a vLLM server every rollout is a request of its own, so generation_kwargs={'seed': …} "
            "would make all rollouts of a prompt equal; leave the seed out"
        )
    if success_reward is not None and trainer.reward_func_names.count(success_reward) != 1:
        raise ConfigurationError(
            f"success_reward={success_reward!r} must be one of the reward functions {trainer.reward_func_names}"
        )
