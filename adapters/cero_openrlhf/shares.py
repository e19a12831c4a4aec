"""Equal shares of a batch for all training processes, which would wait for one another for ever without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cero_api.errors import ConfigurationError
from cero_openrlhf.config import batch_size


def processes(args: Any) -> int:
    """Training processes that each get rollouts of their own.

    Args:
        args: OpenRLHF's, nested.
    """
    gpus = args.actor.num_nodes * args.actor.num_gpus_per_node
    return int(gpus // args.ds.ring_attn_size // args.ds.tensor_parallel_size)


def divisor(args: Any) -> int:
    """What the size of a batch must be a multiple of, so that all training processes get equal shares.

    A process with fewer micro-batches than another leaves a collective call that the other waits in for ever.
    """
    ranks = processes(args)
    if args.train.dynamic_batch_enable:  # then OpenRLHF makes as many micro-batches for each, of whatever size
        return 1 if _shares_any_number() else ranks
    return int(ranks * args.rollout.micro_batch_size) if ranks > 1 else 1


def evened(samples: Sequence[Any], divisor: int) -> list[Any]:
    """Rollouts without as many as are too many for equal shares, always one of the largest group."""
    groups: dict[int, list[Any]] = {}
    for sample in samples:
        groups.setdefault(sample.prompts[0].uid, []).append(sample)
    for _ in range(len(samples) % divisor):
        max(groups.values(), key=len).pop()
    return [sample for group in groups.values() for sample in group]


def refuse_uneven_shares(args: Any) -> None:
    """Refuse batches that cannot be shared evenly.

    Raises:
        ConfigurationError: they cannot; the message says what to change.
    """
    total, parts = batch_size(args) * args.rollout.n_samples_per_prompt, divisor(args)
    if total % parts == 0:
        return
    smaller = batch_size(args) < args.rollout.batch_size
    sizes = f"--rollout.{'vllm_generate_batch_size' if smaller else 'batch_size'} x --rollout.n_samples_per_prompt"
    said = f"a batch of {total} rollouts ({sizes}) cannot be shared evenly"
    if args.train.dynamic_batch_enable:
        raise ConfigurationError(
            f"{said} by {parts} training processes, and before 0.11.0 OpenRLHF leaves out what is too much; make it a "
            "multiple, or pip install 'openrlhf>=0.11.0'"
        )
    raise ConfigurationError(
        f"{said} by {processes(args)} training processes in micro-batches of {args.rollout.micro_batch_size} "
        "(--rollout.micro_batch_size), and uneven shares make OpenRLHF wait for ever; make it a multiple of their "
        "product, or pass --train.dynamic_batch_enable"
    )


def _shares_any_number() -> bool:
    """Whether OpenRLHF's dynamic batches hold every rollout of any number; before 0.11.0 the shortest share cut all."""
    from openrlhf.trainer.ppo_utils.experience import balance_experiences

    return "zip_longest" in balance_experiences.__code__.co_names
