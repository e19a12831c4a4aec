"""What the user decides by `--cero.*`, and what follows from OpenRLHF's own arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from cero_api.adapting import informed_fields
from cero_api.adapting.defaults import REFILL_RESERVE, RoundShape, allocator_fields, scope_of
from cero_api.adapting.modules import import_users
from cero_api.advantages import PromptWeight
from cero_api.allocators import config_type
from cero_api.config import AllocatorConfig, Scope
from cero_api.errors import ConfigurationError
from cero_api.rewards import SuccessRule

PREFIX = "cero"


class OpenRLHFAllocatorConfig(SuccessRule):
    """How counts go into OpenRLHF's generation and how its rewards come back.

    Args:
        allocator: name of a registered allocator; its own fields stand beside these.
        scope: "batch" shares a batch's rollouts among the prompts that the loader drew; "pool" puts prompts that the
            allocator picks from the whole train dataset in their place, as in the paper; "window" lets it choose among
            more than fit, each offered once an episode, by their length and their datasource. Not given, it is what the
            method does best: "window" for CERO and MoPPS, "pool" for GRESO, "batch" for the others.
        success_threshold: a rollout whose reward reaches this is a success; 1.0 unless a range is given.
        reward_range: lowest and highest reward in place of a threshold: success is the fraction of the way up.
        success_key: what judges success: "reward", "score", or a key of the reward function's extra_logs.
        prompt_weight: "prompt" gives every prompt the same weight in the loss; "rollout", OpenRLHF's own, every
            rollout.
        reserve: budget over what uniform OpenRLHF would generate without refills, as a factor; unset it is 1, or 3 with
            dynamic filtering.
        trace: file that gets one line per prompt and round, as `cero_api.trace` reads it.
        fresh_start: resume a checkpoint that has no allocator state, with a new allocator.
        module: a module that registers an allocator of your own.

    Raises:
        ConfigurationError: a value is unknown or contradicts another.
    """

    allocator: str = "cero"
    scope: Scope = "batch"
    success_key: str = "reward"
    prompt_weight: PromptWeight = "rollout"
    reserve: float | None = Field(default=None, ge=1, allow_inf_nan=False)
    trace: str | None = None
    fresh_start: bool = False
    module: str | None = None


@dataclass(frozen=True)
class Schedule:
    """What uniform OpenRLHF would generate in this training."""

    rounds: int  # deals over all episodes: training batches, or what a generation completes or begins of one
    prompts: int  # drawn over all episodes
    batch: int  # prompts per training batch
    group_size: int  # OpenRLHF's rollout.n_samples_per_prompt
    num_prompts: int  # different prompts in the train dataset
    refills: bool  # whether dynamic filtering generates anew for groups that it drops

    @property
    def budget(self) -> int:
        """Rollouts, without refills."""
        return self.prompts * self.group_size

    def shape(self, settings: OpenRLHFAllocatorConfig) -> RoundShape:
        """From which an allocator's own settings follow."""
        return RoundShape(
            num_prompts=self.num_prompts,
            rounds=self.rounds,
            budget=self.budget,
            group_size=self.group_size,
            largest=self.batch * self.group_size,
            scope=settings.scope,
            reserve=settings.reserve or (REFILL_RESERVE if self.refills else 1.0),
        )


def read_settings(args: Any) -> tuple[OpenRLHFAllocatorConfig, dict[str, Any]]:
    """The adapter's settings and the allocator's fields that were given, from OpenRLHF's arguments.

    Args:
        args: OpenRLHF's, of which `args.cero` holds what was given by `--cero.*`.

    Raises:
        ConfigurationError: a value is wrong, or the allocator has no such field.
    """
    given = dict(vars(args.cero))
    own = {name: given.pop(name) for name in OpenRLHFAllocatorConfig.model_fields if name in given}
    settings = OpenRLHFAllocatorConfig(**own)
    if settings.module is not None:
        import_users(settings.module, f"--{PREFIX}.module {settings.module}")
    if "scope" not in own:
        settings = settings.model_copy(update={"scope": scope_of(settings.allocator)})
    known = config_type(settings.allocator).model_fields
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ConfigurationError(
            f"--{PREFIX}.{unknown[0]} is not a field of {settings.allocator!r}, which has {', '.join(sorted(known))}; "
            "drop it or choose another allocator"
        )
    for name, value in given.items():
        _check(name, known[name], value)
    return settings, informed_fields(settings.allocator, settings.scope, given)


def _check(name: str, field: FieldInfo, value: Any) -> None:
    """Refuse a value that is wrong whatever the dataset; what depends on that is checked where it is known."""
    kind: Any = field.annotation
    if field.metadata:
        kind = Annotated[kind, *field.metadata]
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"]
        raise ConfigurationError(f"--{PREFIX}.{name} {value}: {said}") from None


def schedule_of(args: Any, rows: int, num_prompts: int) -> Schedule:
    """Batches and rollouts of this training, by OpenRLHF's own arithmetic.

    Args:
        args: OpenRLHF's.
        rows: of the train dataset.
        num_prompts: different prompts among them.
    """
    batch, drawn, episodes = batch_size(args), _drawn_at_once(args), int(args.train.num_episodes)
    rounds = waiting = 0
    for start in range(0, rows, drawn):
        waiting += min(drawn, rows - start)
        rounds += math.ceil(waiting / batch)  # what waits in the buffer is made a batch by the next ones
        waiting %= batch
    return Schedule(
        rounds=rounds * episodes,
        prompts=rows * episodes,
        batch=batch,
        group_size=int(args.rollout.n_samples_per_prompt),
        num_prompts=num_prompts,
        refills=bool(args.algo.dynamic_filtering_enable),
    )


def batch_size(args: Any) -> int:
    """Prompts of a training batch: OpenRLHF trains on what a generation made, also where that is less than it may be.

    Args:
        args: OpenRLHF's, nested.
    """
    return min(int(args.rollout.batch_size), _drawn_at_once(args))


def _drawn_at_once(args: Any) -> int:
    return int(getattr(args.rollout, "vllm_generate_batch_size", None) or args.rollout.batch_size)


def allocator_config(
    settings: OpenRLHFAllocatorConfig, fields: Mapping[str, Any], schedule: Schedule
) -> AllocatorConfig:
    """The allocator's configuration: what was given, and for the rest what uniform OpenRLHF would spend.

    Raises:
        ConfigurationError: a field is wrong, the budget ends before the training, or rounds of other sizes are asked
            for than OpenRLHF generates.
    """
    if not schedule.prompts:
        raise ConfigurationError("the train dataset is empty, or --train.num_episodes is 0; nothing would be trained")
    values = allocator_fields(settings.allocator, schedule.shape(settings), fields)
    config = config_type(settings.allocator)(**values)
    if config.budget < schedule.budget:
        raise ConfigurationError(
            f"--{PREFIX}.budget={config.budget} ends before the training, which generates {schedule.budget} rollouts "
            f"in {schedule.rounds} batches; raise it, or lower --train.num_episodes or --data.max_samples"
        )
    pacing = getattr(config, "pacing", None)
    if isinstance(pacing, tuple) and not schedule.refills and sum(pacing[: schedule.rounds]) != schedule.budget:
        raise ConfigurationError(
            f"--{PREFIX}.pacing asks for {sum(pacing[: schedule.rounds])} rollouts in the first {schedule.rounds} "
            f"rounds, and this training generates {schedule.budget} in its {schedule.rounds} batches; leave it out"
        )
    return config
