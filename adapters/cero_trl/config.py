"""What the user decides, and what follows from the trainer's own schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from trl import GRPOConfig

from cero_api.adapting import said_rule
from cero_api.adapting.defaults import RoundShape
from cero_api.advantages import PromptWeight
from cero_api.config import Scope
from cero_api.rewards import SuccessRule


class CeroTRLConfig(SuccessRule):
    """How counts go into TRL's generation and how its rewards come back.

    Args:
        scope: "batch" shares a generation batch's rollouts among the prompts the loader drew; "window" lets the
            allocator choose among more than fit, from a walk that offers each once an epoch; "pool" from the whole
            train dataset, as in the paper. In the last two the loader is but a clock.
        success_threshold: a rollout whose reward reaches this is a success; 1.0 unless a range is given.
        reward_range: (lowest, highest) in place of a threshold: success is the fraction of the way up.
        success_reward: name of the one reward function that judges success; None is TRL's weighted sum.
        prompt_weight: "prompt" gives every prompt the same weight in the loss; "rollout", TRL's own, every
            rollout.

    Raises:
        ConfigurationError: a value is unknown or contradicts another.
    """

    scope: Scope = "batch"
    success_reward: str | None = None
    prompt_weight: PromptWeight = "rollout"

    @property
    def chooses(self) -> bool:
        """Whether the allocator picks the prompts, and the loader is but a clock."""
        return self.scope != "batch"

    @property
    def judged_by(self) -> dict[str, Any]:
        """What a checkpoint remembers of what makes a success."""
        return said_rule(self, success_reward=self.success_reward)


@dataclass(frozen=True)
class Schedule:
    """What a training run generates, from TRL's arguments alone."""

    rounds: int  # generation batches over the whole training
    rollouts: int  # in each of them, on all ranks together
    group_size: int  # TRL's num_generations
    num_prompts: int  # rows of the train dataset

    @property
    def budget(self) -> int:
        """Rollouts that uniform TRL spends on the whole training."""
        return self.rounds * self.rollouts

    @property
    def prompts(self) -> int:
        """Prompts that TRL's loader draws for a round."""
        return self.rollouts // self.group_size

    def shape(self, scope: Scope) -> RoundShape:
        """From which an allocator's own settings follow."""
        sizes = (self.num_prompts, self.rounds, self.budget, self.group_size, self.rollouts)
        return RoundShape(*sizes, scope, waves=2)


def schedule_of(args: GRPOConfig, num_prompts: int) -> Schedule:
    """Rounds and rollouts that stock TRL would generate.

    An epoch has one round per full chunk of `generation_batch_size / num_generations` prompts; a round feeds
    `num_iterations * steps_per_generation` micro-batches. The last optimiser step of an epoch may have fewer
    than `gradient_accumulation_steps` of them, and training may stop in the middle of a round.

    >>> args = GRPOConfig("out", bf16=False, per_device_train_batch_size=8, num_generations=4, max_steps=10)
    >>> schedule_of(args, num_prompts=6)
    Schedule(rounds=10, rollouts=8, group_size=4, num_prompts=6)
    """
    rounds = rounds_between(args, num_prompts)
    return Schedule(rounds, int(args.generation_batch_size), int(args.num_generations), num_prompts)


def rounds_between(args: GRPOConfig, num_prompts: int, steps_done: int = 0, buffered: int = 0) -> int:
    """Rounds that TRL generates from some step to the end of the training.

    Args:
        args: TRL's.
        num_prompts: rows of the train dataset.
        steps_done: optimiser steps so far.
        buffered: micro-batches that are generated already.

    >>> args = GRPOConfig("out", bf16=False, per_device_train_batch_size=8, num_generations=4, max_steps=10)
    >>> rounds_between(args, num_prompts=6, steps_done=7)
    3
    """
    per_round = args.num_iterations * args.steps_per_generation
    batches_per_epoch = num_prompts // (int(args.generation_batch_size) // int(args.num_generations)) * per_round
    steps_per_epoch = max(math.ceil(batches_per_epoch / args.gradient_accumulation_steps), 1)

    def batches(steps: int) -> int:
        epochs, rest = divmod(steps, steps_per_epoch)
        return epochs * batches_per_epoch + rest * args.gradient_accumulation_steps

    steps = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * steps_per_epoch)
    left = batches(steps) - batches(steps_done) - buffered
    return max(math.ceil(left / per_round), 0)
