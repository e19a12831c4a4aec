"""What TRL can be asked for that would go wrong with counts of its own for each prompt: refused at the start."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from trl import GRPOTrainer

from cero_api import PilotAllocator, RolloutAllocator
from cero_api.allocators import BaseAllocator
from cero_api.errors import ConfigurationError
from cero_trl.config import CeroTRLConfig, Schedule
from cero_trl.waves import refuse_unequal_parts


def refuse_arguments(arguments: Mapping[str, Any], settings: CeroTRLConfig, on_round: object) -> None:
    """Refuse arguments for `GRPOTrainer` before it is made, and before it loads a model.

    Args:
        arguments: by name.
        settings: of the adapter.
        on_round: that is to be called after every round, or None.

    Raises:
        ConfigurationError: they do not fit; the message says what to change.
    """
    if on_round is not None and not callable(on_round):
        raise ConfigurationError(f"on_round is {on_round!r:.80}; give a function that takes a RoundRecord")
    dataset = arguments.get("train_dataset")
    if not isinstance(dataset, Dataset):
        raise ConfigurationError(
            f"train_dataset is {type(dataset).__name__}, but the allocator knows a prompt by its row in a "
            "datasets.Dataset; read a stream into one (Dataset.from_list), and where an environment owns the "
            "prompts, give it one row per task"
        )
    # A transform makes columns as rows are read; only then is one read here.
    columns = dataset.column_names if "prompt" in dataset.column_names or not len(dataset) else list(dataset[0])
    if len(dataset) and "prompt" not in columns:
        raise ConfigurationError(
            f"the train dataset has no column 'prompt', which TRL generates from; it has {', '.join(columns)}; rename "
            "the one that holds the prompts (dataset.rename_column)"
        )
    if arguments.get("rollout_func") is not None:
        raise ConfigurationError(
            "a rollout_func may count on runs of num_generations equal prompts, and dealt groups differ in "
            "size; let TRL generate, or use an environment_factory"
        )
    functions = arguments.get("reward_funcs") or []
    _refuse_unjudged(functions if isinstance(functions, list) else [functions], settings)
    args = arguments.get("args")
    if args is None:
        return
    if args.auto_find_batch_size:
        raise ConfigurationError(
            "auto_find_batch_size changes the rollouts of a round in the middle of a training, and the budget is "
            "planned for the rounds that were configured; set per_device_train_batch_size to what fits"
        )
    if args.use_vllm and args.vllm_mode == "server" and "seed" in (args.generation_kwargs or {}):
        raise ConfigurationError(
            "with a vLLM server every rollout is a request of its own, so generation_kwargs={'seed': …} "
            "would make all rollouts of a prompt equal; leave the seed out"
        )


def refuse_beside_a_pilot(
    allocator: RolloutAllocator, arguments: Mapping[str, Any], schedule: Schedule, scope: str
) -> None:
    """Refuse what cannot be generated in two waves, where the allocator deals a round in two.

    Args:
        allocator: of the training.
        arguments: for `GRPOTrainer`, by name.
        schedule: of the training.
        scope: who may be chosen.

    Raises:
        ConfigurationError: it does not fit; the message says what to change.
    """
    if allocator.config.pilot is None:
        return
    if not isinstance(allocator, PilotAllocator):
        raise ConfigurationError(
            f"{type(allocator).__name__} has pilot={allocator.config.pilot} and no `commit`, which deals the rest of a "
            "round; write one, or leave pilot out"
        )
    if arguments.get("environment_factory") is not None:
        raise ConfigurationError(
            "environments are set up for all rows of a generation batch before the first is generated, and with a "
            "pilot most rows are not known by then; leave pilot out, or do without environment_factory"
        )
    images = {"image", "images"} & set(arguments["train_dataset"].column_names)
    if images:
        raise ConfigurationError(
            f"the train dataset has a column {min(images)!r}, whose pictures TRL puts into all prompts before the "
            "first is generated, and with a pilot most prompts are not known by then; leave pilot out"
        )
    if isinstance(allocator, BaseAllocator):  # a copy of anybody's own may have effects
        rows = np.arange(schedule.prompts) if scope == "batch" else None
        first = copy.deepcopy(allocator).allocate(rows, total=schedule.rollouts)
        args = arguments.get("args")
        refuse_unequal_parts(first, 1 if args is None else args.world_size)


def arguments_for_trl(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """`GRPOTrainer`'s arguments by name, without those that a class before it takes for itself."""
    signatures = (inspect.signature(kind.__init__) for kind in GRPOTrainer.__mro__)
    # Unsloth wraps TRL's own: its arguments have names in a class further down.
    signature = next(signature for signature in signatures if "train_dataset" in signature.parameters)
    known = {name: value for name, value in kwargs.items() if name in signature.parameters}
    return signature.bind_partial(None, *args, **known).arguments


def refuse_success_reward(names: Sequence[str], settings: CeroTRLConfig) -> None:
    """Refuse a judge that is none of the reward functions.

    Args:
        names: TRL's, of the reward functions.
        settings: of the adapter.

    Raises:
        ConfigurationError: it is not there, or more than one has that name.
    """
    judge = settings.success_reward
    if judge is not None and list(names).count(judge) != 1:
        raise ConfigurationError(f"success_reward={judge!r} must be one of the reward functions {list(names)}")


def _refuse_unjudged(functions: Sequence[Any], settings: CeroTRLConfig) -> None:
    """Refuse what cannot tell a success from a failure, as far as functions have names before TRL gives them one."""
    names = [getattr(function, "__name__", None) for function in functions]
    models = [isinstance(function, str | torch.nn.Module) for function in functions]
    if all(names):
        refuse_success_reward([str(name) for name in names], settings)
    judged_by_function = settings.success_reward is not None and settings.success_reward in names
    ruled = settings.success_threshold is not None or settings.reward_range is not None
    if any(models) and not judged_by_function and not ruled:
        raise ConfigurationError(
            "a reward model's scores have no scale of their own, so none may ever reach the default success_threshold "
            "of 1.0; give success_threshold=…, reward_range=(lowest, highest), or success_reward=… if a function judges"
        )
