"""What OpenRLHF can be asked for that would go wrong with counts of its own for each prompt: refused at the start."""

from __future__ import annotations

from typing import Any

from cero_api.errors import ConfigurationError
from cero_openrlhf.config import OpenRLHFAllocatorConfig, read_settings


def refuse_unsupported(args: Any) -> OpenRLHFAllocatorConfig:
    """The adapter's settings, if OpenRLHF's arguments fit them.

    Args:
        args: OpenRLHF's, nested.

    Raises:
        ConfigurationError: they do not; the message says what to change.
    """
    settings, _ = read_settings(args)
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
    _refuse_uneven_shares(args)
    return settings


def _refuse_uneven_shares(args: Any) -> None:
    per_rank = args.rollout.micro_batch_size
    ranks = (
        args.actor.num_nodes * args.actor.num_gpus_per_node // args.ds.ring_attn_size // args.ds.tensor_parallel_size
    )
    total = args.rollout.batch_size * args.rollout.n_samples_per_prompt
    if ranks > 1 and total % (ranks * per_rank):
        raise ConfigurationError(
            f"a batch of {total} rollouts (--rollout.batch_size x --rollout.n_samples_per_prompt) cannot be shared "
            f"evenly by {ranks} training processes in micro-batches of {per_rank} (--rollout.micro_batch_size), and "
            "uneven shares make OpenRLHF wait for ever; make it a multiple of their product"
        )
