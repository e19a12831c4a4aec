"""What the cookbook can be asked for that would go wrong with counts of its own for each prompt: refused early."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

from cero_api import RolloutAllocator
from cero_api.adapting import limits
from cero_api.errors import ConfigurationError
from cero_tinker.config import CeroTinkerConfig
from cero_tinker.dataset import AllocatedDatasetBuilder
from cero_tinker.prompts import Prompts


def refuse_config(config: Any, settings: CeroTinkerConfig) -> None:
    """Refuse a configuration of the cookbook's before the dataset is read.

    Args:
        config: the cookbook's `train.Config`.
        settings: of the adapter.

    Raises:
        ConfigurationError: it does not fit; the message says what to change.
    """
    if isinstance(config.dataset_builder, AllocatedDatasetBuilder):
        raise ConfigurationError("the configuration has an allocator already; pass the one without, or train as it is")
    if config.async_config is not None:
        raise ConfigurationError(
            "async_config mixes the groups of several batches in a step and loses those that were under way when it is "
            "resumed, so rounds and steps are not the same; leave it out"
        )
    if config.stream_minibatch_config is not None and settings.chooses:
        raise ConfigurationError(
            f"stream_minibatch_config waits for a fixed number of groups in every step, and scope={settings.scope!r} "
            'deals to as many prompts as are worth it; leave it out, or choose scope="batch"'
        )


def refuse_executor(executor: Executor | None) -> None:
    """Refuse an executor in whose processes rewards would be lost.

    Raises:
        ConfigurationError: it is none of threads.
    """
    if executor is not None and not isinstance(executor, ThreadPoolExecutor):
        raise ConfigurationError(
            f"rollout_executor is a {type(executor).__name__}, and rewards are read in this process; leave it out, or "
            "give a ThreadPoolExecutor"
        )


def refuse_short_batches(config: Any, allocator: RolloutAllocator, prompts: Prompts) -> None:
    """Refuse steps with fewer groups than a streaming loop waits for.

    Raises:
        ConfigurationError: a prompt of a batch may be passed over.
    """
    if config.stream_minibatch_config is None:
        return
    bounds = limits(allocator.config, None)
    if (bounds is not None and bounds.floor < 1) or prompts.repeats:
        raise ConfigurationError(
            "stream_minibatch_config waits for as many groups as a batch has, and a prompt may be passed over or come "
            "twice; leave it out, or set min_rollouts_per_prompt to 1 or more and give no key"
        )
