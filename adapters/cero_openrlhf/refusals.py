"""What OpenRLHF can be asked for that would go wrong with counts of its own for each prompt: refused at the start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cero_api.errors import ConfigurationError
from cero_openrlhf.config import PREFIX, OpenRLHFAllocatorConfig, Schedule, allocator_config, batch_size, read_settings
from cero_openrlhf.shares import refuse_uneven_shares

# Fields that are judged when the number of prompts is known.
_OF_THE_LENGTH = ("rounds", "budget", "capacity", "pacing")


def refuse_unsupported(args: Any) -> OpenRLHFAllocatorConfig:
    """The adapter's settings, if OpenRLHF's arguments fit them.

    Args:
        args: OpenRLHF's, nested.

    Raises:
        ConfigurationError: they do not; the message says what to change.
    """
    settings, fields = read_settings(args)
    if not args.data.prompt_dataset:
        raise ConfigurationError("--data.prompt_dataset is missing; name the file or the data set to train on")
    scored_by_model = not (args.reward.remote_url or args.train.agent_func_path)
    if not args.vllm.num_engines:
        raise ConfigurationError("rollouts come from OpenRLHF's vLLM engines; set --vllm.num_engines to at least 1")
    if args.rollout.n_samples_per_prompt < 2:
        raise ConfigurationError(
            f"--rollout.n_samples_per_prompt={args.rollout.n_samples_per_prompt} leaves nothing to allocate; it is the "
            "mean count, and a group needs two rollouts for contrast: set it to at least 2"
        )
    if scored_by_model and args.train.async_enable:
        raise ConfigurationError(
            "with --train.async_enable a reward model scores rollouts in another process than the one that allocates, "
            "after the next ones were dealt; use --reward.remote_url or --train.agent_func_path, or train synchronously"
        )
    if scored_by_model and settings.success_key != "reward":
        raise ConfigurationError(
            f"--cero.success_key {settings.success_key}: a reward model gives a reward and nothing else; drop it"
        )
    if scored_by_model and settings.success_threshold is None and settings.reward_range is None:
        raise ConfigurationError(
            "a reward model's scores have a scale of their own, of which the allocator knows nothing; give "
            "--cero.success_threshold (a score from which on a rollout is a success) or --cero.reward_range LOW HIGH"
        )
    refuse_uneven_shares(args)
    _refuse_bounds(args, settings, fields)
    _refuse_files(args, settings)
    return settings


def _refuse_bounds(args: Any, settings: OpenRLHFAllocatorConfig, fields: Mapping[str, Any]) -> None:
    """Refuse what the allocator cannot deal in a batch of any dataset."""
    batch, mean = batch_size(args), int(args.rollout.n_samples_per_prompt)
    floor, cap = fields.get("min_rollouts_per_prompt"), fields.get("max_rollouts_per_prompt")
    if (floor is not None and int(floor) > mean) or (cap is not None and int(cap) < mean):
        raise ConfigurationError(
            f"groups of {floor or 0} to {cap or 'any number of'} rollouts cannot have a mean of "
            f"--rollout.n_samples_per_prompt={mean}; change --{PREFIX}.min_rollouts_per_prompt, "
            f"--{PREFIX}.max_rollouts_per_prompt or the mean"
        )
    # As if the batch, and what a window offers for it, were the dataset: a real one is judged when it has been read.
    offered = batch * int(fields.get("window") or 1)
    one = Schedule(rounds=1, prompts=batch, batch=batch, group_size=mean, num_prompts=offered, refills=False)
    allocator_config(settings, {name: given for name, given in fields.items() if name not in _OF_THE_LENGTH}, one)


def _refuse_files(args: Any, settings: OpenRLHFAllocatorConfig) -> None:
    """Refuse what the disk can tell: a trace that cannot be written."""
    if settings.trace is not None:
        file = Path(settings.trace).absolute()
        folder = file.parent
        while not folder.exists():
            folder = folder.parent
        if file.is_dir():
            raise ConfigurationError(f"--{PREFIX}.trace {settings.trace} is a folder; name a file in it")
        written = file if file.exists() else folder
        if not folder.is_dir() or not os.access(written, os.W_OK):
            raise ConfigurationError(
                f"--{PREFIX}.trace {settings.trace}: {written} cannot be written to; choose another"
            )
