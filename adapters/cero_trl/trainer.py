"""`GRPOTrainer` with rollouts per prompt decided by an allocator."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate.utils import gather_object
from numpy.typing import NDArray
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOTrainer

from cero_api import Allocation, RolloutAllocator, make_allocator
from cero_api.adapting import allocator_fields, round_numbers
from cero_api.advantages import PromptWeight
from cero_api.errors import CeroError, ConfigurationError
from cero_trl.advantages import grouped_advantages, prompt_weights
from cero_trl.checkpoint import Progress, load_batch, load_state, pool_fingerprint, save_batch, save_state
from cero_trl.config import CeroTRLConfig, Schedule, Scope, schedule_of
from cero_trl.counts import candidates, check_filled, checksum, group_sizes, share_of_rank
from cero_trl.feedback import RoundRecord, judged_rewards, outcomes_of, record_of, trace_of
from cero_trl.guard import check_trainer, check_trl
from cero_trl.refusals import refuse_arguments, refuse_options

T = TypeVar("T")


class CeroGRPOTrainer(GRPOTrainer):
    r"""TRL's `GRPOTrainer`, with rollouts shared out among prompts by an allocator.

    Every generation batch keeps the number of rows that TRL would generate; what changes is how many of them
    go to which prompt, and advantages are taken over the true groups. At equal counts it trains exactly as
    `GRPOTrainer` does.

    Args:
        *args: as for `GRPOTrainer`.
        allocator: a registered name, or an allocator over the rows of `train_dataset`.
        allocator_config: settings for an allocator given by name. Prompts, rounds and budget default to what
            this training would generate at uniform counts.
        scope: "batch" shares each batch's rollouts among the prompts the loader drew; "pool" picks prompts
            from the whole train dataset.
        success_threshold: a rollout whose reward reaches this is a success; 1.0 unless a range is given.
        reward_range: (lowest, highest) in place of a threshold, for fractional successes.
        success_reward: name of the reward function that judges success; None is TRL's weighted sum.
        prompt_weight: "prompt" undoes the larger weight of a prompt with more rollouts in the loss.
        on_round: called on the main process after every round with its `RoundRecord`.
        trace: file to which every round is appended, for `cero replay` and `cero report`; compressed if it ends in
            `.gz`. A resumed training goes on with it as if it had never stopped.
        **kwargs: as for `GRPOTrainer`.

    Attributes:
        allocator: the allocator, with `metrics()`, `exposure()` and `success_rate()`.
        schedule: rounds and rollouts of this training.

    Raises:
        ConfigurationError: an option that would go wrong silently; the message says what to do.
        MissingDependencyError: another version of TRL, whose internals differ.
        CheckpointError: on resuming from a checkpoint without, or with another run's, allocator state.
        TraceError: the file for the trace is another run's.
    """

    def __init__(
        self,
        *args: Any,
        allocator: str | RolloutAllocator = "cero",
        allocator_config: Mapping[str, Any] | None = None,
        scope: Scope = "batch",
        success_threshold: float | None = None,
        reward_range: tuple[float, float] | None = None,
        success_reward: str | None = None,
        prompt_weight: PromptWeight = "rollout",
        on_round: Callable[[RoundRecord], None] | None = None,
        trace: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        check_trl()
        self.cero_config = CeroTRLConfig(
            scope=scope,
            success_threshold=success_threshold,
            reward_range=reward_range,
            success_reward=success_reward,
            prompt_weight=prompt_weight,
        )
        refuse_arguments(inspect.signature(GRPOTrainer).bind_partial(*args, **kwargs).arguments)

        super().__init__(*args, **kwargs)

        check_trainer(self)
        self.schedule = schedule_of(self.args, len(self.train_dataset))
        self.allocator = _fitting_allocator(allocator, allocator_config, scope, self.schedule)
        refuse_options(self, success_reward)
        self._on_round = on_round
        self._rollouts_so_far = 0
        self._allocator_seconds = 0.0
        # The round in generation, and its rewards on all ranks; None outside training's generation.
        self._allocation: Allocation | None = None
        self._gathered_rewards: torch.Tensor | None = None
        # As TRL's loader would hand rows out: without the columns that remove_unused_columns drops.
        self._pool = self._remove_unused_columns(self.train_dataset, description="training")
        self._fingerprint = pool_fingerprint(self.train_dataset)
        self._trace = None
        if trace is not None and self.is_world_process_zero():
            self._trace = trace_of(trace, self.allocator, self._fingerprint, self.args.seed)

    # Counts into generation

    def _get_dataloader(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        # The training loader hands out row numbers: a prompt's identity through shuffling, epochs, restarts.
        # The rows themselves are read when dealt: once per rollout, where TRL's loader reads a row for each of
        # its uses, steps_per_generation * num_iterations times as often.
        if kwargs.get("is_training"):
            dataset = range(len(dataset))
        return super()._get_dataloader(dataset, *args, **kwargs)

    def _generate_and_score_completions(self, inputs: list[Any]) -> dict[str, Any]:
        output: dict[str, Any]
        if not self.model.training:
            output = super()._generate_and_score_completions(inputs)
            return output
        self._allocator_seconds = 0.0
        self._allocation = allocation = self._allocate(inputs)
        try:
            output = super()._generate_and_score_completions(self._rows_of_this_rank(allocation))
            rewards_per_func = self._gathered_rewards
        finally:
            self._allocation = self._gathered_rewards = None
        assert rewards_per_func is not None  # _calculate_rewards was called, or super() raised
        self._replace_advantages(output, allocation, rewards_per_func)
        self._learn(allocation, rewards_per_func)
        return output

    def _allocate(self, inputs: list[int]) -> Allocation:
        total = self.schedule.rollouts
        if self.cero_config.scope == "pool":
            allocation = self._timed(self.allocator.allocate, total=total)
        else:
            rows = candidates(gather_object(inputs), self.num_generations)
            allocation = self._timed(self.allocator.allocate, rows, total=total)
        check_filled(allocation, total, self.schedule.num_prompts)
        if self.accelerator.num_processes > 1:
            # Each rank runs its own copy of the allocator on the same evidence, so nothing is broadcast.
            # A copy that has drifted would train on mislabelled groups without a word.
            mine = torch.tensor([checksum(allocation)], device=self.accelerator.device)
            if self.accelerator.gather(mine).unique().numel() > 1:
                raise CeroError(
                    f"round {allocation.round}: the ranks' allocators disagree; give every rank an equal "
                    "one, with the same configuration and seed, that draws on no global random state"
                )
        return allocation

    def _rows_of_this_rank(self, allocation: Allocation) -> list[dict[str, Any]]:
        rows = share_of_rank(allocation, self.accelerator.process_index, self.accelerator.num_processes)
        return [self._pool[row] for row in rows]  # one by one, so that no two rollouts share an object

    def _generate_single_turn(
        self,
        prompt_ids: Any,
        images: Any,
        multimodal_fields: Any,
        num_generations: int,
        has_tool_images: bool = False,
    ) -> Any:
        # With a vLLM server TRL samples num_generations completions of every num_generations-th prompt. Dealt
        # rows are one rollout each.
        if self._allocation is not None:
            num_generations = 1
        return super()._generate_single_turn(prompt_ids, images, multimodal_fields, num_generations, has_tool_images)

    # Rewards back

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        rewards_per_func = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if self._allocation is not None:
            self._gathered_rewards = rewards_per_func
        return rewards_per_func

    def _replace_advantages(
        self, output: dict[str, Any], allocation: Allocation, rewards_per_func: torch.Tensor
    ) -> None:
        """Put the true groups' advantages wherever TRL put those of blocks of `num_generations`."""
        sizes = torch.as_tensor(group_sizes(allocation), device=rewards_per_func.device)
        advantages, is_std_zero = grouped_advantages(
            rewards_per_func,
            self.reward_weights,
            sizes,
            scale_rewards=self.scale_rewards,
            aggregation=self.multi_objective_aggregation,
        )
        if self.cero_config.prompt_weight == "prompt":
            advantages = advantages * prompt_weights(sizes)
        local = len(output["advantages"])
        start = self.accelerator.process_index * local
        output["advantages"] = advantages[start : start + local]
        self._metrics["train"]["frac_reward_zero_std"][-1] = is_std_zero.float().mean().item()
        # A deque as long as one generation batch, so this drops what TRL has just logged.
        self._logs["advantages"].extend(advantages.tolist())

    def _learn(self, allocation: Allocation, rewards_per_func: torch.Tensor) -> None:
        """Tell the allocator, the log and the listener what the round earned."""
        judged = judged_rewards(
            rewards_per_func, self.reward_weights, self.reward_func_names, self.cero_config.success_reward
        )
        outcomes = outcomes_of(allocation, judged, self.cero_config)
        if outcomes is not None:
            self._timed(self.allocator.observe, outcomes)
        self._rollouts_so_far += allocation.total
        record = record_of(
            allocation,
            outcomes,
            rollouts_so_far=self._rollouts_so_far,
            allocator_seconds=self._allocator_seconds,
        )
        self._log_round(record, judged)
        if self._trace is not None:
            self._trace(record)
        if self._on_round is not None and self.is_world_process_zero():
            self._on_round(record)

    def _timed(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        started = time.perf_counter()
        result = call(*args, **kwargs)
        self._allocator_seconds += time.perf_counter() - started
        return result

    def _log_round(self, record: RoundRecord, judged: NDArray[np.float64]) -> None:
        given = record.counts[record.counts > 0]
        starts = np.cumsum(given) - given
        has_contrast = np.fmax.reduceat(judged, starts) > np.fmin.reduceat(judged, starts)
        contrast = np.zeros(record.counts.size, dtype=bool)
        contrast[record.counts > 0] = has_contrast
        metrics = {
            **round_numbers(record.counts, record.successes, record.failures, contrast),
            "rollouts_so_far": record.rollouts_so_far,
            "allocator_seconds": record.allocator_seconds,
            **self.allocator.metrics(),
        }
        for name, value in metrics.items():
            self._metrics["train"][f"cero/{name}"].append(float(value))

    # Checkpoints

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # Before TRL's own files, so that a push of the folder to the hub includes these.
        name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        folder = Path(os.path.join(self._get_output_dir(trial=trial), name))
        progress = self._progress()
        if self.args.should_save:
            save_state(folder, self.allocator, progress)
        if progress.in_mid_round and self._buffered_inputs is not None:
            save_batch(folder, self.accelerator.process_index, self._buffered_inputs)
        super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        folder = Path(checkpoint)
        progress = load_state(folder, self.allocator, self._progress())
        # On resuming, TRL counts micro-batches from 0 and has lost the generation batch in training: it
        # generates (and pays for) the same prompts again, and ends with one round more than planned.
        self._step = progress.step
        self._buffered_inputs = None
        if progress.in_mid_round:
            rank, device = self.accelerator.process_index, self.accelerator.device
            self._buffered_inputs = load_batch(folder, rank, device)
        self._rollouts_so_far = progress.rollouts_so_far

    def _progress(self) -> Progress:
        return Progress(
            step=self._step,
            rollouts_so_far=self._rollouts_so_far,
            micro_batches_per_round=self.args.steps_per_generation * self.num_iterations,
            world_size=self.accelerator.num_processes,
            pool=self._fingerprint,
        )


def _fitting_allocator(
    allocator: str | RolloutAllocator,
    allocator_config: Mapping[str, Any] | None,
    scope: Scope,
    schedule: Schedule,
) -> RolloutAllocator:
    """The allocator, made if need be, and sure to last for the whole training."""
    if schedule.rounds == 0:
        raise ConfigurationError(
            f"the train dataset has {schedule.num_prompts} rows and a generation batch takes "
            f"{schedule.rollouts // schedule.group_size} prompts, so nothing would be trained; lower its size"
        )
    if isinstance(allocator, str):
        fields = allocator_fields(allocator, schedule.shape(scope), allocator_config or {})
        allocator = make_allocator(allocator, **fields)
    elif allocator_config is not None:
        raise ConfigurationError("allocator_config goes with an allocator's name; configure the allocator itself")
    config = allocator.config
    if config.num_prompts != schedule.num_prompts:
        raise ConfigurationError(
            f"the allocator knows {config.num_prompts} prompts, the train dataset has {schedule.num_prompts} "
            f"rows; build it with num_prompts={schedule.num_prompts}"
        )
    if config.rounds < schedule.rounds or config.budget < schedule.budget:
        raise ConfigurationError(
            f"this training generates {schedule.rounds} rounds of {schedule.rollouts} rollouts; the "
            f"allocator's rounds={config.rounds} and budget={config.budget} end earlier; give it at least "
            f"rounds={schedule.rounds} and budget={schedule.budget}, or lower max_steps"
        )
    return allocator
