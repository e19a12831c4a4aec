"""The cookbook's RL training with rollouts per prompt decided by an allocator."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import chz
from numpy.typing import ArrayLike
from tinker_cookbook.rl import train

from cero_api import RolloutAllocator
from cero_api.adapting import (
    features_help,
    refuse_other_knowledge,
    refuse_other_rule,
    run_identity,
    said_rule,
    start_line,
    warn_of_idleness,
)
from cero_api.adapting.fitting import fitted_allocator, usual_scope
from cero_api.adapting.lengths import begun, lasting, length_of, of_the_length_of
from cero_api.allocators import allocator_name
from cero_api.config import Scope
from cero_api.errors import CheckpointError, ConfigurationError
from cero_api.trace import TraceWriter
from cero_tinker.books import Books, RoundRecord
from cero_tinker.checkpoint import FOLDER, Progress, first_step, load_state
from cero_tinker.config import CeroTinkerConfig, Schedule, schedule_of
from cero_tinker.counts import Resize, resized, size_field
from cero_tinker.dataset import AllocatedDataset, AllocatedDatasetBuilder, Prepared
from cero_tinker.guard import check_cookbook
from cero_tinker.prompts import Prompts
from cero_tinker.refusals import refuse_config, refuse_executor, refuse_short_batches

logger = logging.getLogger(__name__)


async def main(config: train.Config, rollout_executor: Executor | None = None, **options: Any) -> None:
    """`tinker_cookbook.rl.train.main`, with an allocator.

    Args:
        config: the cookbook's.
        rollout_executor: the cookbook's; threads only.
        **options: of `allocated`.

    Raises:
        ConfigurationError: something does not fit; the message says what to change, and nothing was begun.
        CheckpointError: the cookbook would go on with a checkpoint whose allocator state is missing or does not fit.
    """
    refuse_executor(rollout_executor)
    await train.main(await allocated(config, **options), rollout_executor)


async def allocated(
    config: train.Config,
    allocator: str | RolloutAllocator = "cero",
    *,
    allocator_config: Mapping[str, Any] | None = None,
    scope: Scope | None = None,
    success_threshold: float | None = None,
    reward_range: tuple[float, float] | None = None,
    success_metric: str | None = None,
    features: ArrayLike | None = None,
    offline_rates: ArrayLike | None = None,
    offline_samples: ArrayLike | None = None,
    key: Callable[[Any], str] | None = None,
    resize: Resize | None = None,
    group_size: int | None = None,
    on_round: Callable[[RoundRecord], None] | None = None,
    trace: str | os.PathLike[str] | None = None,
    fresh_start: bool = False,
) -> train.Config:
    r"""The same configuration, whose dataset asks an allocator how many rollouts each prompt gets.

    The user's dataset is built and read here, so that whatever does not fit is refused before the cookbook's loop
    begins. Every step keeps the number of rollouts that it would have; what changes is how many of them go to which
    prompt. The loop computes advantages over the groups as they are. At equal counts it trains as it would without.

    Args:
        config: the cookbook's, as it will be trained with; changing its length, its dataset or its checkpoints
            afterwards is not noticed.
        allocator: a registered name, or an allocator over the dataset's prompts: the places of its batches, in order.
        allocator_config: settings for an allocator given by name. Prompts, rounds and budget default to what this
            training would generate at uniform counts.
        scope: "batch" shares each batch's rollouts among its prompts; "window" chooses among more than fit, by what
            is known of them; "pool" picks prompts from the whole dataset; None is the method's usual one.
        success_threshold: a rollout whose total reward reaches this is a success; 1.0 unless a range is given.
        reward_range: (lowest, highest) in place of a threshold, for fractional successes.
        success_metric: name of an environment's metric that judges success, such as "correct"; None is the reward.
        features: what is known of each prompt before it is tried, numbers `[M, d]`. With scope="window" the length of
            the question (of the cookbook's own `ProblemEnv`) and the logging tags are taken by themselves.
        offline_rates: pass rates of another model or run, `[M]`.
        offline_samples: from how many samples each rate is, `[M]`.
        key: what tells prompts apart, a function of a group builder; None is the place in the dataset. Give one where
            a dataset hands out the same prompt in several of its batches.
        resize: makes of a group builder one with so many environments; None sets its field `num_envs` or `group_size`.
        group_size: environments that the dataset's own builders make; only together with `resize`.
        on_round: called after every round with its `RoundRecord`.
        trace: file to which every round is appended, for `cero replay` and `cero report`; compressed if it ends in
            `.gz`. A resumed training goes on with it as if it had never stopped.
        fresh_start: whether a checkpoint whose allocator is missing, or of another dataset or configuration, is resumed
            with a new allocator for the steps that are left; without it such a checkpoint is refused.

    Returns:
        a configuration for `tinker_cookbook.rl.train.main`, or for a loop of your own that asks its `dataset_builder`.

    Raises:
        ConfigurationError: an option that would go wrong silently; the message says what to do.
        MissingDependencyError: another version of the cookbook, which works differently.
        CheckpointError: the cookbook would resume without, or with another run's, allocator state.
        TraceError: the file for the trace is another run's.
    """
    check_cookbook()
    settings = CeroTinkerConfig(
        scope=usual_scope(allocator, scope),
        success_threshold=success_threshold,
        reward_range=reward_range,
        success_metric=success_metric,
    )
    refuse_config(config, settings)
    if (resize is None) != (group_size is None):
        raise ConfigurationError("resize and group_size go together: give the size that the dataset's builders have")
    inner, test = await config.dataset_builder()
    prompts = Prompts(inner, _size if group_size is None else lambda _: group_size, key)
    schedule = schedule_of(config, prompts.sizes, len(prompts), first_step(config.log_path))
    known = prompts.known(features, offline_rates, offline_samples, features_help(settings.scope, allocator_config))
    made = fitted_allocator(allocator, allocator_config, schedule.shape(settings.scope), known)
    name = allocator_name(made)  # what cannot be saved is refused now, not at the first checkpoint
    refuse_short_batches(config, made, prompts)
    warn_of_idleness(made, schedule.shape(settings.scope))
    fresh = Progress(
        step=schedule.first,
        rollouts_so_far=0,
        pool=prompts.fingerprint,
        length=length_of(made.config),
        judged_by=said_rule(settings, success_metric=success_metric),
    )
    folder = Path(config.log_path) / FOLDER
    made, progress = _standing(made, schedule, folder, fresh, fresh_start)
    listeners: list[Callable[[RoundRecord], None]] = [] if on_round is None else [on_round]
    if trace is not None:
        metadata = run_identity(made, trainer="tinker", pool=prompts.fingerprint)
        listeners.insert(0, TraceWriter(trace, num_prompts=len(prompts), metadata=metadata))
    print(
        start_line(name, made, scope=settings.scope, mean=schedule.group_size, rule=settings, judge=success_metric),
        file=sys.stderr,
    )
    books = Books(
        made,
        prompts,
        schedule,
        settings,
        limited=_limited(config),
        folder=folder,
        due=lambda step: _due(config, step, schedule.steps),
        progress=progress,
        listeners=listeners,
    )
    dataset = AllocatedDataset(prompts, books, resized if resize is None else resize)
    told = {"allocator": name, **settings.model_dump(mode="json")}
    told["config"] = made.config.model_dump(mode="json")
    builder = AllocatedDatasetBuilder(inner=config.dataset_builder, prepared=Prepared(dataset, test, told))
    return chz.replace(config, dataset_builder=builder)


def _standing(
    allocator: RolloutAllocator, schedule: Schedule, folder: Path, fresh: Progress, fresh_start: bool
) -> tuple[RolloutAllocator, Progress]:
    """The allocator as it stands at the first step of this process, and the progress that goes with it."""
    if schedule.first == 0:
        return allocator, fresh
    try:
        saved, progress = load_state(folder, schedule.first, fresh.pool)
        refuse_other_rule(progress.judged_by, fresh.judged_by)
        config = allocator.config
        if progress.length == fresh.length:  # nobody asked for another
            config = of_the_length_of(saved.config, config)
        resumed = lasting(saved, config, schedule.left, schedule.spend_left)
        refuse_other_knowledge(saved, allocator)
    except CheckpointError as error:
        if not fresh_start:
            raise
        logger.warning("a new allocator begins after step %d, for %s", schedule.first, error)
        return begun(allocator, schedule.left, schedule.spend_left), fresh
    if resumed.config == allocator.config:  # the user's own object goes on
        allocator.load_state_dict(resumed.state_dict())
        resumed = allocator
    return resumed, progress.model_copy(update={"length": fresh.length})


def _size(builder: Any) -> int:
    return int(getattr(builder, size_field(builder)))


def _limited(config: train.Config) -> frozenset[str]:
    """Reasons to stop for which this training makes a positive reward zero."""
    policy = config.effective_termination()
    if policy is None or not policy.zero_reward_on_limit:
        return frozenset()
    return frozenset(str(reason) for reason in policy.limit_stop_reasons)


def _due(config: train.Config, step: int, last: int) -> bool:
    """Whether the cookbook saves a checkpoint after so many steps."""
    every = (config.save_every, config.rolling_save_every)
    return step == last or any(n > 0 and step % n == 0 for n in every)
