"""`GRPOTrainer` with counts per prompt decided by an allocator."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from datasets import Dataset
from pydantic import ValidationError
from torch.utils.data import DataLoader
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOTrainer

from cero_api import RolloutAllocator, make_allocator
from cero_api.advantages import PromptWeight
from cero_api.errors import CeroError, ConfigurationError
from cero_trl.advantages import grouped_advantages, prompt_weights
from cero_trl.checkpoint import Progress, load_batch, load_state, pool_fingerprint, save_batch, save_state
from cero_trl.config import CeroTRLConfig, Schedule, Scope, default_allocator_config, schedule_of
from cero_trl.counts import Deal, candidates, deal
from cero_trl.feedback import RoundRecord, judged_rewards, round_outcomes, round_record
from cero_trl.guard import check_trainer, check_trl


class CeroGRPOTrainer(GRPOTrainer):
    r"""TRL's `GRPOTrainer`, with rollouts shared out among prompts by an allocator.

    Every generation batch keeps the number of rows that TRL would generate; only how many of them go to which prompt
    changes, and advantages are taken over the true groups. At equal counts it trains exactly as `GRPOTrainer` does.

    Args:
        *args: as for `GRPOTrainer`.
        allocator: a registered name (`"cero"`, `"uniform"`, …), or an allocator over the rows of `train_dataset`.
        allocator_config: settings for an allocator given by name. Prompts, rounds and budget default to what this
            training would generate at uniform counts.
        scope: `"batch"` shares each batch's rollouts among the prompts the loader drew; `"pool"` picks the prompts
            from the whole train dataset.
        success_threshold: a rollout whose reward reaches this is a success (default 1.0).
        reward_range: `(low, high)`, in place of a threshold: fractional successes.
        success_reward: name of the reward function that judges success; default: TRL's weighted sum.
        prompt_weight: `"prompt"` undoes the larger weight that a prompt with more rollouts has in the loss.
        on_round: called on the main process after every round with its `RoundRecord`.
        **kwargs: as for `GRPOTrainer`.

    Attributes:
        allocator: the allocator, with `metrics()`, `exposure()` and `success_rate()`.
        schedule: rounds and rollouts of this training.

    Raises:
        ConfigurationError: an option that would go wrong silently; the message says what to do.
        MissingDependencyError: another version of TRL, whose internals differ.
        CheckpointError: on resuming from a checkpoint without, or with another run's, allocator state.
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
        **kwargs: Any,
    ) -> None:
        check_trl()
        try:
            self.cero_config = CeroTRLConfig(
                scope=scope,
                reward_range=reward_range,
                success_reward=success_reward,
                prompt_weight=prompt_weight,
                **({} if success_threshold is None else {"success_threshold": success_threshold}),
            )
        except ValidationError as error:
            raise ConfigurationError(str(error)) from error
        _refuse_unsupported(inspect.signature(GRPOTrainer).bind_partial(*args, **kwargs).arguments)

        super().__init__(*args, **kwargs)

        check_trainer(self)
        self.schedule = self._checked_schedule()
        if isinstance(allocator, str):
            defaults = default_allocator_config(allocator, scope, self.schedule)
            self.allocator = make_allocator(allocator, **{**defaults, **(allocator_config or {})})
        elif allocator_config is not None:
            raise ConfigurationError("allocator_config goes with an allocator's name, not with an allocator")
        else:
            self.allocator = allocator
        self._on_round = on_round
        self._rollouts_so_far = 0
        # The round being generated, and its rewards on all ranks; None outside training's generation.
        self._deal: Deal | None = None
        self._gathered_rewards: torch.Tensor | None = None
        # As the loader would hand rows out: without the columns that remove_unused_columns drops.
        self._pool = self._remove_unused_columns(self.train_dataset, description="training")
        self._fingerprint = pool_fingerprint(self.train_dataset)

    # ---- Counts into generation -------------------------------------------------------------------------------

    def _get_dataloader(self, dataset: Any, *args: Any, **kwargs: Any) -> DataLoader:
        # The training loader hands out row numbers: a prompt's identity through shuffling, epochs and restarts.
        # Rows themselves are read when they are dealt, once per prompt (TRL's loader reads each one
        # num_generations * num_iterations * steps_per_generation times).
        return super()._get_dataloader(
            range(len(dataset)) if kwargs.get("is_training") else dataset, *args, **kwargs
        )

    def _generate_and_score_completions(self, inputs: list[Any]) -> dict[str, Any]:
        if not self.model.training:
            return super()._generate_and_score_completions(inputs)
        started = time.perf_counter()
        dealt = self._deal_round(inputs)
        seconds = time.perf_counter() - started

        self._deal = dealt
        try:
            output: dict[str, Any] = super()._generate_and_score_completions(self._rows_of_this_rank(dealt))
            rewards_per_func = self._gathered_rewards
        finally:
            self._deal = self._gathered_rewards = None
        assert rewards_per_func is not None  # _calculate_rewards ran, or super() raised

        self._replace_advantages(output, dealt, rewards_per_func)
        started = time.perf_counter()
        judged = judged_rewards(
            rewards_per_func.double().cpu().numpy(),
            self.reward_weights.double().cpu().numpy(),
            self.reward_func_names,
            self.cero_config,
        )
        outcomes = round_outcomes(dealt, judged, self.cero_config)
        if outcomes is not None:
            self.allocator.observe(outcomes)
        seconds += time.perf_counter() - started

        self._rollouts_so_far += self.schedule.rollouts
        record = round_record(
            dealt, outcomes, rollouts_so_far=self._rollouts_so_far, allocator_seconds=seconds
        )
        self._log_round(record, judged)
        if self._on_round is not None and self.is_world_process_zero():
            self._on_round(record)
        return output

    def _deal_round(self, inputs: list[int]) -> Deal:
        if self.cero_config.scope == "pool":
            allocation = self.allocator.allocate(total=self.schedule.rollouts)
        else:
            rows = candidates(gather_object(inputs), self.num_generations)
            allocation = self.allocator.allocate(rows, total=self.schedule.rollouts)
        dealt = deal(allocation, self.schedule.rollouts, self.schedule.num_prompts)
        if self.accelerator.num_processes > 1:
            # Each rank runs its own copy of the allocator on the same evidence; a copy that has drifted would
            # silently train on mislabelled groups.
            mine = torch.tensor([dealt.checksum], device=self.accelerator.device)
            if self.accelerator.gather(mine).unique().numel() > 1:
                raise CeroError(
                    f"round {dealt.round}: the ranks' allocators disagree. They must start equal and be deterministic: "
                    "same allocator, configuration and seed on every rank, no global random state."
                )
        return dealt

    def _rows_of_this_rank(self, dealt: Deal) -> list[dict[str, Any]]:
        rows = dealt.share(self.accelerator.process_index, self.accelerator.num_processes)
        read = {row: self._pool[row] for row in dict.fromkeys(rows)}
        return [dict(read[row]) for row in rows]  # copies: TRL adds fields to each rollout's row

    def _generate_single_turn(
        self,
        prompt_ids: Any,
        images: Any,
        multimodal_fields: Any,
        num_generations: int,
        has_tool_images: bool = False,
    ) -> Any:
        # vLLM's server mode samples num_generations completions of every num_generations-th prompt. Dealt rows are
        # one rollout each.
        if self._deal is not None:
            num_generations = 1
        return super()._generate_single_turn(
            prompt_ids, images, multimodal_fields, num_generations, has_tool_images
        )

    # ---- Rewards back -----------------------------------------------------------------------------------------

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> torch.Tensor:
        rewards_per_func = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        if self._deal is not None:
            self._gathered_rewards = rewards_per_func
        return rewards_per_func

    def _replace_advantages(
        self, output: dict[str, Any], dealt: Deal, rewards_per_func: torch.Tensor
    ) -> None:
        """Put the true groups' advantages where TRL put those of blocks of `num_generations`."""
        sizes = torch.as_tensor(dealt.sizes, device=rewards_per_func.device)
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
        # A deque as long as one generation batch: this replaces what TRL just logged.
        self._logs["advantages"].extend(advantages.tolist())

    def _log_round(self, record: RoundRecord, judged: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        given = record.counts[record.counts > 0]
        starts = np.cumsum(given) - given
        contrast = np.fmax.reduceat(judged, starts) > np.fmin.reduceat(judged, starts)
        scored = (record.successes + record.failures).sum()
        metrics = {
            "count/min": given.min(),
            "count/mean": given.mean(),
            "count/max": given.max(),
            "count/zero": (record.counts == 0).sum(),
            "effective_groups": contrast.mean(),
            "success_rate": record.successes.sum() / scored if scored else np.nan,
            "rollouts_so_far": record.rollouts_so_far,
            "allocator_seconds": record.allocator_seconds,
            **self.allocator.metrics(),
        }
        for name, value in metrics.items():
            self._metrics["train"][f"cero/{name}"].append(float(value))

    # ---- Checkpoints ------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # Before TRL's own files, so that a push to the hub of the whole folder includes them.
        name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        folder = Path(os.path.join(self._get_output_dir(trial=trial), name))
        progress = self._progress()
        if self.args.should_save:
            save_state(folder, self.allocator, progress)
        if progress.in_mid_round:
            save_batch(folder, self.accelerator.process_index, self._buffered_inputs)
        super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        folder = Path(checkpoint)
        progress = load_state(folder, self.allocator, self._progress())
        self._rollouts_so_far = progress.rollouts_so_far
        # TRL restarts its count of micro-batches at 0 and forgets a generation batch in training, so that it would
        # generate (and pay for) the same prompts again, and one round more than planned.
        self._step = progress.step
        if progress.in_mid_round:
            self._buffered_inputs = load_batch(
                folder, self.accelerator.process_index, self.accelerator.device
            )

    def _progress(self) -> Progress:
        return Progress(
            step=self._step,
            rollouts_so_far=self._rollouts_so_far,
            micro_batches_per_round=self.args.steps_per_generation * self.num_iterations,
            world_size=self.accelerator.num_processes,
            pool=self._fingerprint,
        )

    # ---- Refusals ---------------------------------------------------------------------------------------------

    def _checked_schedule(self) -> Schedule:
        schedule = schedule_of(self.args, len(self.train_dataset))
        if schedule.rounds == 0:
            raise ConfigurationError(
                f"the train dataset has {schedule.num_prompts} rows, a generation batch takes "
                f"{schedule.rollouts // schedule.group_size} prompts: nothing would be trained"
            )
        if self.use_vllm and self.vllm_mode == "server" and "seed" in (self.args.generation_kwargs or {}):
            raise ConfigurationError(
                "generation_kwargs={'seed': …} with the vLLM server: every rollout is its own request, so a fixed seed "
                "makes all rollouts of a prompt equal. Leave the seed out."
            )
        return schedule


def _refuse_unsupported(arguments: Mapping[str, Any]) -> None:
    """Refuse what would go wrong silently, from the arguments for `GRPOTrainer`."""
    dataset = arguments.get("train_dataset")
    if not isinstance(dataset, Dataset):
        raise ConfigurationError(
            f"train_dataset is {type(dataset).__name__}; the allocator knows a prompt by its row in a datasets.Dataset. "
            "Load a streamed dataset into memory (or a part of it, with Dataset.from_list), and where an environment "
            "owns the prompts, give it one row per task."
        )
    if arguments.get("rollout_func") is not None:
        raise ConfigurationError(
            "rollout_func receives the dealt prompts, whose groups differ in size, and many count on runs of "
            "num_generations equal prompts. Use generation through TRL, or an environment_factory."
        )
