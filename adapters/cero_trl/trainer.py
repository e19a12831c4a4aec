"""`GRPOTrainer` with rollouts per prompt decided by an allocator."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from accelerate.utils import gather_object
from numpy.typing import ArrayLike
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, get_last_checkpoint
from trl import GRPOConfig, GRPOTrainer

from cero_api import PilotAllocator, RolloutAllocator
from cero_api.adapting import Judge, RewardWatch, name_of, refuse_other_knowledge, start_line, warn_of_idleness
from cero_api.adapting.fitting import usual_scope
from cero_api.adapting.known import features_help
from cero_api.adapting.lengths import begun, lasting, length_of, of_the_length_of
from cero_api.advantages import PromptWeight
from cero_api.config import Scope
from cero_api.errors import CheckpointError, PromptError
from cero_trl.advantages import grouped_advantages, prompt_weights, refuse_changed_below
from cero_trl.checkpoint import Progress, load_batch, load_state, pool_fingerprint, save_batch, save_state, steps_done
from cero_trl.config import CeroTRLConfig, rounds_between, schedule_of
from cero_trl.counts import candidates, check_agreed, check_filled, group_sizes
from cero_trl.feedback import RoundRecord, generated, judged_rewards, outcomes_of, record_of, round_metrics, trace_of
from cero_trl.guard import check_trainer, check_trl
from cero_trl.known import known_of
from cero_trl.planning import fitting_allocator
from cero_trl.refusals import arguments_for_trl, refuse_arguments, refuse_beside_a_pilot, refuse_success_reward
from cero_trl.rewards import Forgiving, rewards_in_use
from cero_trl.rows import DatasetRow, LaterRow, Named, check_handed_on, numbers_of
from cero_trl.waves import Round, Wave, in_waves

logger = logging.getLogger(__name__)

# Before TRL 1.7 the number is an attribute of the trainer alone.
_TAKES_A_COUNT = "num_generations" in inspect.signature(GRPOTrainer._generate_single_turn).parameters

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
        scope: "batch" shares each batch's rollouts among the prompts the loader drew; "window" chooses among more
            than fit, by what is known of them; "pool" picks prompts from the whole train dataset. None is what the
            method does best: "window" for CERO and MoPPS, "pool" for GRESO, "batch" for the others; an allocator of
            your own shares out batches, unless its configuration has offer="window".
        features: what is known of each row of the train dataset before it is tried: numbers `[M, d]`, or names of
            columns. With scope="window" the prompt's length and its source (a column `data_source`, `source`, `task`,
            …) are taken by themselves.
        offline_rates: pass rates of another model or run, an array `[M]` or the name of a column.
        offline_samples: from how many samples each rate is, an array `[M]` or the name of a column.
        success_threshold: a rollout whose reward reaches this is a success; 1.0 unless a range is given.
        reward_range: (lowest, highest) in place of a threshold, for fractional successes.
        success_reward: name of the reward function that judges success; None is TRL's weighted sum.
        prompt_weight: "prompt" undoes the larger weight of a prompt with more rollouts in the loss.
        on_round: called on the main process after every round with its `RoundRecord`.
        trace: file to which every round is appended, for `cero replay` and `cero report`; compressed if it ends in
            `.gz`. A resumed training goes on with it as if it had never stopped.
        fresh_start: whether a checkpoint whose allocator is missing, or of another dataset or configuration, is resumed
            with a new allocator for the steps that are left; without it such a checkpoint is refused.
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

    if TYPE_CHECKING:  # TRL's own, which are set here too
        num_generations: int
        reward_funcs: list[Any]
        _buffered_inputs: list[dict[str, Any]] | None

    def __init__(
        self,
        *args: Any,
        allocator: str | RolloutAllocator = "cero",
        allocator_config: Mapping[str, Any] | None = None,
        scope: Scope | None = None,
        features: ArrayLike | str | Sequence[str] | None = None,
        offline_rates: str | ArrayLike | None = None,
        offline_samples: str | ArrayLike | None = None,
        success_threshold: float | None = None,
        reward_range: tuple[float, float] | None = None,
        success_reward: str | None = None,
        prompt_weight: PromptWeight = "rollout",
        on_round: Callable[[RoundRecord], None] | None = None,
        trace: str | os.PathLike[str] | None = None,
        fresh_start: bool = False,
        **kwargs: Any,
    ) -> None:
        check_trl()
        self.cero_config = settings = CeroTRLConfig(
            scope=usual_scope(allocator, scope),
            success_threshold=success_threshold,
            reward_range=reward_range,
            success_reward=success_reward,
            prompt_weight=prompt_weight,
        )
        given = arguments_for_trl(args, kwargs)
        refuse_arguments(given, settings, on_round)
        dataset, options = given["train_dataset"], given.get("args") or GRPOConfig("out")
        self.schedule = schedule_of(options, len(dataset))
        automatic = features_help(settings.scope, allocator_config)
        known = known_of(dataset, features, offline_rates, offline_samples, automatic=automatic)
        self.allocator = fitting_allocator(allocator, allocator_config, settings, self.schedule, known)
        refuse_beside_a_pilot(self.allocator, given, self.schedule, settings.scope)
        warn_of_idleness(self.allocator, self.schedule.shape(settings.scope), stacklevel=2)
        self._fingerprint = pool_fingerprint(dataset)
        self._length = length_of(self.allocator.config)
        self._fresh_start = fresh_start
        self._step = self._rollouts_so_far = 0
        if isinstance(options.resume_from_checkpoint, str):
            self._resumed(Path(options.resume_from_checkpoint), options)
        self._trace = None
        if trace is not None and options.process_index == 0:
            self._trace = trace_of(trace, self.allocator, self._fingerprint, options.seed)

        super().__init__(*args, **kwargs)

        check_trainer(self)
        refuse_success_reward(self.reward_func_names, settings)
        self._on_round = on_round
        self._judge = Judge(settings, quiet=not self.is_world_process_zero())
        self._watch = RewardWatch(settings)
        self._forgiving = Forgiving()
        self.reward_funcs = [self._forgiving.wrap(function) for function in self.reward_funcs]
        self._allocator_seconds = 0.0
        self._round: Round | None = None  # dealt, and not yet generated
        self._dealt = False  # whether such rows are being generated from
        # As TRL's loader would hand rows out: without the columns that remove_unused_columns drops.
        self._pool = self._remove_unused_columns(self.train_dataset, description="training")

    def _get_dataloader(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        # The training loader hands out row numbers, which cost nothing to send; rows are read when they are dealt.
        if kwargs.get("is_training"):
            dataset = range(len(dataset))
        return super()._get_dataloader(dataset, *args, **kwargs)

    def get_train_dataloader(self) -> Any:
        """TRL's, in batches of the configured size: before 5.0 transformers resumes with that of the checkpoint."""
        self._train_batch_size = self.args.train_batch_size
        return super().get_train_dataloader()

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """The next micro-batches, as rows of the train dataset; none if the training had ended before it began."""
        if self.state.global_step >= self.state.max_steps:  # resumed at its end, where transformers would train on
            self.control.should_training_stop = True
            return [], None
        batches, items = super().get_batch_samples(*args, **kwargs)
        return [[DatasetRow(self._pool, number) for number in batch] for batch in batches], items

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        # Dealt before anybody's _generate_and_score_completions, so that an override sees the rows that are generated
        # from, in the order of what is made of them.
        per_round = self.args.steps_per_generation * self.num_iterations
        due = self._step % per_round == 0 or self._buffered_inputs is None
        if self.model.training and due:
            generation_batch = self._deal(generation_batch)
        return super()._prepare_inputs(generation_batch)

    def _generate_and_score_completions(self, inputs: list[Any]) -> dict[str, Any]:
        if self.model.training and self._round is None and numbers_of(inputs) is not None:
            inputs = self._deal(inputs)  # a subclass prepares inputs in its own way
        if not self.model.training:
            evaluated: dict[str, Any] = super()._generate_and_score_completions(inputs)
            return evaluated
        dealt, self._round = self._round, None
        check_handed_on(inputs, None if dealt is None else dealt.handed)
        assert dealt is not None  # or it was refused
        self._dealt = True
        try:
            with (
                in_waves(self, inputs, dealt.later, functools.partial(self._commit, dealt)) as rows,
                rewards_in_use(self) as used,
            ):
                output: dict[str, Any] = super()._generate_and_score_completions(rows)
        except BaseException:
            dealt.give_up(self.allocator)
            raise
        finally:
            self._dealt = False
        (rewards_per_func,) = used
        self._replace_advantages(output, dealt, rewards_per_func)
        tokens = self.accelerator.gather(generated(output))  # all ranks', as the rewards are
        last = torch.as_tensor(dealt.places()[-1], device=rewards_per_func.device)
        self._tell(dealt, rewards_per_func[last], tokens[last])
        self._record(dealt)
        return output

    def _deal(self, batch: list[Any]) -> list[Mapping[str, Any]]:
        """This rank's rows of the next round."""
        self._allocator_seconds = 0.0
        total = self.schedule.rollouts
        if self.cero_config.chooses:
            allocation = self._timed(self.allocator.allocate, total=total)
        else:
            numbers = numbers_of(batch)
            if numbers is None:
                raise PromptError(
                    "a subclass handed on rows of its own, and the allocator knows a prompt by its row in the train "
                    "dataset; change rows in _generate_and_score_completions, which gets those that are dealt"
                )
            rows = candidates(gather_object(numbers), self.num_generations)
            allocation = self._timed(self.allocator.allocate, rows, total=total)
        check_filled(allocation, total, self.schedule.num_prompts)
        check_agreed(allocation, self.accelerator)
        self._round = dealt = Round(allocation, self.accelerator.num_processes, self.accelerator.process_index)
        # One by one, so that no two rollouts share an object.
        dealt.handed = [*(self._pool[row] for row in dealt.own()), *(LaterRow(self._pool) for _ in range(dealt.later))]
        return list(dealt.handed)

    def _commit(self, dealt: Round, rewards_per_func: torch.Tensor, tokens: torch.Tensor) -> list[int]:
        """This rank's rows of a round's second wave, by what the first earned."""
        pilot = dealt.allocations[0]
        self._tell(dealt, rewards_per_func, tokens)
        lost = np.isnan(dealt.waves[0].shares)  # which nobody waits for
        if lost.any():
            rows, counts = np.unique(pilot.prompt_ids_per_rollout[lost], return_counts=True)
            self._timed(self.allocator.refund, rows, counts, pilot.round)
        assert isinstance(self.allocator, PilotAllocator)  # which was asked for at the start
        rest = self._timed(self.allocator.commit, pilot.round)
        dealt.add(rest)
        check_agreed(rest, self.accelerator)
        return dealt.own()

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        # With a vLLM server TRL samples num_generations completions of every num_generations-th prompt. Dealt
        # rows are one rollout each.
        if not self._dealt:
            return super()._generate_single_turn(*args, **kwargs)
        if _TAKES_A_COUNT:
            bound = inspect.signature(super()._generate_single_turn).bind(*args, **kwargs)
            bound.arguments["num_generations"] = 1
            return super()._generate_single_turn(*bound.args, **bound.kwargs)
        count, self.num_generations = self.num_generations, 1
        try:
            return super()._generate_single_turn(*args, **kwargs)
        finally:
            self.num_generations = count

    def _replace_advantages(self, output: dict[str, Any], dealt: Round, rewards_per_func: torch.Tensor) -> None:
        """Put the true groups' advantages wherever TRL put those of blocks of `num_generations`."""
        local = len(output["advantages"])
        own = slice(self.accelerator.process_index * local, (self.accelerator.process_index + 1) * local)
        blocks = len(rewards_per_func) // self.num_generations * [self.num_generations]
        of_blocks, _ = self._advantages(rewards_per_func, blocks)
        refuse_changed_below(output["advantages"], of_blocks[own])
        order, sizes = torch.as_tensor(dealt.order(), device=rewards_per_func.device), group_sizes(dealt.allocation)
        of_groups, is_std_zero = self._advantages(rewards_per_func[order], sizes)
        if self.cero_config.prompt_weight == "prompt":
            of_groups = of_groups * prompt_weights(torch.as_tensor(sizes, device=of_groups.device))
        advantages = torch.empty_like(of_groups).index_copy_(0, order, of_groups)
        output["advantages"] = advantages[own]
        self._metrics["train"]["frac_reward_zero_std"][-1] = is_std_zero.float().mean().item()
        # A deque as long as one generation batch, so this drops what TRL has just logged.
        self._logs["advantages"].extend(advantages.tolist())

    def _advantages(self, rewards_per_func: torch.Tensor, sizes: ArrayLike) -> tuple[torch.Tensor, torch.Tensor]:
        return grouped_advantages(
            rewards_per_func,
            self.reward_weights,
            torch.as_tensor(sizes, device=rewards_per_func.device),
            scale_rewards=self.scale_rewards,
            aggregation=self.multi_objective_aggregation,
        )

    def _tell(self, dealt: Round, rewards_per_func: torch.Tensor, tokens: torch.Tensor) -> None:
        """Judge the wave that was generated last, in the order of its allocation, and tell the allocator of it."""
        allocation, judge = dealt.allocations[-1], self.cero_config.success_reward
        names, dtypes = self.reward_func_names, self._forgiving.dtypes
        judged = judged_rewards(rewards_per_func, self.reward_weights, names, judge, dtypes)
        shares = self._judge.shares(judged, Named(self._pool, allocation.prompt_ids_per_rollout.tolist()))
        dealt.waves.append(Wave(allocation, judged.double().numpy(), shares, tokens.double().cpu().numpy()))
        outcomes = outcomes_of(allocation, shares, dealt.waves[-1].tokens)
        if outcomes is not None:
            self._timed(self.allocator.observe, outcomes)

    def _record(self, dealt: Round) -> None:
        """Tell the log and the listener what the round earned."""
        allocation, rewards, shares, tokens = dealt.whole()
        advice = self._watch.look(allocation.prompt_ids_per_rollout, rewards, shares)
        if advice is not None and self.is_world_process_zero():
            warnings.warn(advice, stacklevel=2)
        self._rollouts_so_far += allocation.total
        earned, seconds = outcomes_of(allocation, shares, tokens), self._allocator_seconds
        record = record_of(allocation, earned, rollouts_so_far=self._rollouts_so_far, allocator_seconds=seconds)
        own = {**self._judge.numbers(), "rewards_failed": self._forgiving.failed}
        for name, value in round_metrics(record, rewards, own, self.allocator).items():
            self._metrics["train"][f"cero/{name}"].append(float(value))
        if self._trace is not None:
            self._trace(record)
        if self._on_round is not None and self.is_world_process_zero():
            self._on_round(record)

    def _timed(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        started = time.perf_counter()
        result = call(*args, **kwargs)
        self._allocator_seconds += time.perf_counter() - started
        return result

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As `GRPOTrainer.train`; the allocator is resumed too, or goes on if this trainer has trained before."""
        folder = get_last_checkpoint(self.args.output_dir) if resume_from_checkpoint is True else resume_from_checkpoint
        # transformers resumes neither where TRL counts micro-batches from, nor the generation batch in training: TRL
        # generates (and pays for) the same prompts again, and ends with one round more than planned.
        self._step, self._buffered_inputs = 0, None
        self.schedule = schedule_of(self.args, self.schedule.num_prompts)  # which may be set after the trainer is made
        if folder:
            self._resume(Path(folder))
        else:
            self.allocator = lasting(self.allocator, self.allocator.config, self.schedule.rounds, self.schedule.budget)
        name, rule, mean = name_of(self.allocator), self.cero_config, self.schedule.group_size
        line = start_line(name, self.allocator, scope=rule.scope, mean=mean, rule=rule, judge=rule.success_reward)
        self.accelerator.print(line, file=sys.stderr)  # stdout is the program's
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def _resume(self, folder: Path) -> None:
        allocator, progress = self._resumed(folder, self.args)
        if allocator.config == self.allocator.config:
            self.allocator.load_state_dict(allocator.state_dict())
        else:
            self.allocator = allocator
        if progress is None:
            return
        rank, device = self.accelerator.process_index, self.accelerator.device
        if progress.in_mid_round:
            self._step = progress.step
            self._buffered_inputs = load_batch(folder, rank, device)
        self._rollouts_so_far = progress.rollouts_so_far

    def _resumed(self, folder: Path, args: GRPOConfig) -> tuple[RolloutAllocator, Progress | None]:
        """The allocator of a checkpoint, with what this training is still to generate; or a new one for the rest."""
        done, rollouts = steps_done(folder), self.schedule.rollouts
        try:
            saved, progress = load_state(folder, self._progress(args))
            config = self.allocator.config
            if progress.length == self._length:  # nobody asked for another
                config = of_the_length_of(saved.config, config)
            rounds = rounds_between(args, self.schedule.num_prompts, done, progress.buffered)
            going_on = lasting(saved, config, rounds, rounds * rollouts)
            refuse_other_knowledge(saved, self.allocator)
            return going_on, progress
        except CheckpointError as error:
            if not self._fresh_start:
                raise
            logger.warning("a new allocator begins after step %d, for %s", done, error)
        rounds = rounds_between(args, self.schedule.num_prompts, done)
        return begun(self.allocator, rounds, rounds * rollouts), None

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        # Before TRL's own files, so that a push of the folder to the hub includes these.
        name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        folder = Path(os.path.join(self._get_output_dir(trial=trial), name))
        progress = self._progress(self.args)
        if self.args.should_save:
            save_state(folder, self.allocator, progress)
        if progress.in_mid_round and self._buffered_inputs is not None:
            save_batch(folder, self.accelerator.process_index, self._buffered_inputs)
        super()._save_checkpoint(model, trial)

    def _progress(self, args: GRPOConfig) -> Progress:
        return Progress(
            step=self._step,
            rollouts_so_far=self._rollouts_so_far,
            micro_batches_per_round=args.steps_per_generation * args.num_iterations,
            world_size=args.world_size,
            pool=self._fingerprint,
            length=self._length,
            judged_by=self.cero_config.judged_by,
        )
