"""The flag's settings, and what follows from verl's own configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from cero_api.adapting import informed_fields, said_rule
from cero_api.adapting.defaults import REFILL_RESERVE, RoundShape, allocator_fields, refuse_unused, scope_of
from cero_api.adapting.fitting import refuse_other_pacing
from cero_api.adapting.known import refuse_unseen_features
from cero_api.adapting.modules import import_users
from cero_api.allocators import allocator_type, config_type
from cero_api.config import AllocatorConfig, Scope
from cero_api.errors import ConfigurationError
from cero_api.rewards import SuccessRule
from cero_verl.prompts import Identity

FLAG = "rollout_allocator"
MANAGER = "cero_verl.counts.AllocatedAgentLoopManager"
CALLBACK = "cero_verl.checkpoint.AllocatorCheckpoint"


class VerlAllocatorConfig(SuccessRule):
    """How counts go into verl's generation and how its rewards come back; the allocator's own fields stand beside.

    Args:
        name: of a registered allocator.
        scope: "batch" shares the rollouts of a batch among the prompts that verl's loader drew; "pool" puts prompts
            that the allocator picks from the whole train dataset in their place, as in the paper; "window" lets it
            choose among more than fit, each offered once an epoch, by what is known of them. Not given, it is what the
            method does best: "window" for CERO and MoPPS, "pool" for GRESO, "batch" for the others.
        features: columns of the train dataset that say something of a prompt beforehand, dotted where they are nested
            (`extra_info.level`), beside its length; None is `data_source`. Looked at where belief=features, which is
            the default of scope=window, and where any are named here.
        offline_rates: column of pass rates from 0 to 1 that were known before, such as `extra_info.pass_rate`.
        offline_samples: column of the number of samples behind each of these.
        mean_rollouts_per_prompt: None is verl's `rollout.n`; a batch of P prompts gets P times this. Less than
            `rollout.n` leaves room in verl's batches for groups of different size, where several batches mix.
        constant_total: whether every batch gets exactly that total; False lets the budget's price decide.
        success_threshold: a rollout whose reward reaches this is a success; 1.0 unless a range is given, which is
            right for rewards in {0, 1} and in {-1, 1}.
        reward_range: (lowest, highest) in place of a threshold: success is the fraction of the way up.
        success_key: a key of `reward_extra_info` that judges success (say "acc"); None is the reward itself.
        reserve: budget over what uniform verl would generate without refills, as a factor; None is 1, or 3 where verl
            replaces groups (filter_groups and the asynchronous modes).
        identity: "index" knows prompts by `extra_info.index`; "content" by what they say, for datasets that hold the
            same prompt several times, or number none.
        trace: file that gets one line per prompt and round.
        fresh_start: where the checkpoint that verl resumes has no allocator state, or one that does not fit this
            training, begin a new allocator for the steps that remain; one that fits is resumed all the same.
        allow_unchecked_estimator: take an `algorithm.adv_estimator` that has not been compared with independent
            formulas for groups of unequal size: verl's other ones, and those that you have registered.
        patience: seconds that generation waits for the allocator before it goes on with uniform counts.
        checkpoint_callback: a class of your own for verl's `trainer.checkpoint_callback_class`, which the flag takes.
        module: a module that registers an allocator of your own, imported in every process that needs it.

    Raises:
        ConfigurationError: a value is unknown or contradicts another; the message names the flag.
    """

    name: str
    scope: Scope = "batch"
    features: tuple[str, ...] | None = None
    offline_rates: str | None = None
    offline_samples: str | None = None
    mean_rollouts_per_prompt: int | None = Field(default=None, ge=1)
    constant_total: bool = True
    success_key: str | None = None
    reserve: float | None = Field(default=None, ge=1, allow_inf_nan=False)
    identity: Identity = "index"
    trace: str | None = None
    fresh_start: bool = False
    allow_unchecked_estimator: bool = False
    patience: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    checkpoint_callback: str | None = None
    module: str | None = None

    @property
    def picks_prompts(self) -> bool:
        """Whether prompts come from the allocator, and verl's loader but sets the pace."""
        return self.scope != "batch"

    @property
    def rule(self) -> SuccessRule:
        """How a reward becomes a success."""
        return SuccessRule(success_threshold=self.success_threshold, reward_range=self.reward_range)

    @property
    def judged_by(self) -> dict[str, Any]:
        """What a checkpoint remembers of it."""
        return said_rule(self, success_key=self.success_key)


@dataclass(frozen=True)
class Schedule:
    """What uniform verl would generate in this training."""

    steps: int
    batch: int  # prompts per step
    rollouts: int  # per prompt, on average
    group_capacity: int  # verl's rollout.n
    warmup: int  # prompts that the asynchronous modes generate ahead
    dispatch: int  # prompts of the largest dispatch: a refill can be all that is in flight
    refills: bool  # whether verl replaces groups, at costs that nobody knows beforehand
    dataset_rows: int  # of the train dataset, as verl counts its epochs
    num_prompts: int  # different ones among them: the pool

    @property
    def total(self) -> int:
        """Rollouts of a step."""
        return self.batch * self.rollouts

    @property
    def budget(self) -> int:
        """Rollouts for the whole training, without refills."""
        return (self.steps * self.batch + self.warmup) * self.rollouts

    @property
    def rounds(self) -> int:
        """Allocation rounds, without refills."""
        return self.steps + (self.warmup > 0)

    def shape(self, settings: VerlAllocatorConfig, ahead: bool = True) -> RoundShape:
        """From which an allocator's own settings follow.

        Args:
            settings: the adapter's.
            ahead: whether it holds what the asynchronous modes generate ahead and replace; if not, what is trained on.
        """
        return RoundShape(
            num_prompts=self.num_prompts,
            rounds=self.rounds if ahead else self.steps,
            budget=self.budget if ahead else self.steps * self.total,
            group_size=self.rollouts,
            largest=self.dispatch * self.rollouts if ahead else self.total,
            scope=settings.scope,
            # A larger group of a chosen prompt leaves a slot without rollouts, for which verl waits where it replaces.
            room=None if self.refills and settings.picks_prompts else self.group_capacity,
            reserve=settings.reserve or (REFILL_RESERVE if self.refills else 1.0),
            fixed=settings.constant_total,
        )


def only_validates(config: Any) -> bool:
    """Whether verl will validate and stop, with nothing to allocate: not even a trace is to be touched."""
    trainer = config.trainer
    return bool(trainer.get("val_only", False) and trainer.get("val_before_train", True))


def read_flag(config: Any) -> tuple[VerlAllocatorConfig, dict[str, Any]]:
    """The adapter's settings and the allocator's fields that were set, from verl's composed configuration.

    Raises:
        ConfigurationError: the flag is missing or wrong.
    """
    from omegaconf import OmegaConf

    node = OmegaConf.select(config, FLAG)
    if node is None:
        raise ConfigurationError(f"the configuration has no {FLAG}; add +{FLAG}=cero to the command line")
    values: dict[str, Any] = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else dict(node)
    own = {key: value for key, value in values.items() if key in VerlAllocatorConfig.model_fields}
    # None stands for "the default" in YAML, and so it does here.
    own = {key: value for key, value in own.items() if value is not None}
    try:
        settings = VerlAllocatorConfig(**own)
    except ConfigurationError as error:
        raise _named(error) from None
    if settings.module is not None:
        import_users(settings.module, f"{FLAG}.module={settings.module}")
    if "scope" not in own:
        settings = settings.model_copy(update={"scope": scope_of(settings.name)})
    fields = {key: value for key, value in values.items() if key not in VerlAllocatorConfig.model_fields}
    known = config_type(settings.name).model_fields
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise ConfigurationError(
            f"{FLAG}.{unknown[0]} is unknown; {settings.name} has {', '.join(sorted(known))}, and the adapter "
            f"{', '.join(sorted(VerlAllocatorConfig.model_fields))}; +{FLAG}={settings.name} chooses that method"
        )
    fields = {key: _typed(known[key], value) for key, value in fields.items() if value is not None}
    if settings.features is not None:
        refuse_unseen_features(fields)
        if fields.get("cost") != "tokens":
            fields.setdefault("belief", "features")
    if settings.offline_rates is not None and getattr(allocator_type(settings.name), "asks_belief", False):
        fields.setdefault("belief", "features" if settings.scope == "window" or settings.features else "pooled")
    return settings, informed_fields(settings.name, settings.scope, fields)


def schedule_of(
    config: Any, settings: VerlAllocatorConfig, dataset_rows: int, num_prompts: int | None = None, done: int = 0
) -> Schedule:
    """Steps, batches and warm-up of this training, by verl's own arithmetic.

    Args:
        config: verl's.
        settings: the adapter's.
        dataset_rows: of the train dataset, after verl's filters.
        num_prompts: different ones among them; None is all.
        done: steps already trained when the allocator begins.
    """
    batch, trainer = int(config.data.train_batch_size), config.trainer
    steps = dataset_rows // batch * int(trainer.total_epochs)
    if trainer.total_training_steps is not None:
        # verl stops at whichever comes first.
        steps = min(steps, int(trainer.total_training_steps))
    mode = trainer.v1.trainer_mode
    warmup = 0 if mode == "sync" else math.floor(float(trainer.v1[mode].num_warmup_batches) * batch)
    capacity = int(config.actor_rollout_ref.rollout.n)
    return Schedule(
        steps=steps - done,
        batch=batch,
        rollouts=settings.mean_rollouts_per_prompt or capacity,
        group_capacity=capacity,
        warmup=warmup,
        dispatch=_in_flight(config, batch, warmup),
        refills=mode != "sync" or replaces_groups(config),
        dataset_rows=dataset_rows,
        num_prompts=dataset_rows if num_prompts is None else num_prompts,
    )


def _in_flight(config: Any, batch: int, warmup: int) -> int:
    """Prompts that verl may be generating at once, all of which it may replace at once."""
    if config.trainer.v1.trainer_mode != "sync":
        return batch + warmup
    filters = config.algorithm.get("filter_groups")
    if filters is None or not filters.get("enable", False):
        return batch
    return batch * max(int(filters.get("max_inflight_gen_batches", 1)), 1)


def replaces_groups(config: Any) -> bool:
    """Whether the synchronous trainer generates anew for groups that it drops."""
    filters = config.algorithm.get("filter_groups")
    refill = config.trainer.v1.sampler.get("sync_refill_failed_groups", False)
    return bool(filters is not None and filters.get("enable", False)) or bool(refill)


def allocator_config(settings: VerlAllocatorConfig, fields: Mapping[str, Any], schedule: Schedule) -> AllocatorConfig:
    """The allocator's configuration: what was set, and for the rest what uniform verl would spend.

    Raises:
        ConfigurationError: a field is wrong, or the training asks for more than it allows; the message names the flag.
    """
    if schedule.steps < 1:
        raise ConfigurationError(
            f"the train dataset has {schedule.dataset_rows} prompts and data.train_batch_size={schedule.batch}, so "
            "nothing is left to train; lower data.train_batch_size, or raise trainer.total_epochs or "
            "trainer.total_training_steps"
        )
    capacity = fields.get("capacity")
    if settings.constant_total and capacity is not None and capacity < schedule.total:
        raise ConfigurationError(
            f"{FLAG}.capacity={capacity} is less than a step of {schedule.batch} prompts with {schedule.rollouts} "
            f"rollouts each; raise it to {schedule.total}, or set {FLAG}.constant_total=false"
        )
    kind, values = config_type(settings.name), allocator_fields(settings.name, schedule.shape(settings), fields)
    try:
        config = kind(**values)
    except ConfigurationError as error:
        raise _named(error) from None
    if config.num_prompts != schedule.num_prompts:
        raise ConfigurationError(
            f"{FLAG}.num_prompts={config.num_prompts}, and the train dataset has {schedule.num_prompts} prompts; leave "
            "it out"
        )
    if settings.constant_total:
        refuse_other_pacing(config, schedule.steps, schedule.total)
    if settings.constant_total and config.budget < schedule.budget:
        raise ConfigurationError(
            f"{FLAG}.budget={config.budget} ends before the training, which generates {schedule.budget} rollouts in "
            f"{schedule.steps} steps; raise it, lower trainer.total_training_steps, or set {FLAG}.constant_total=false"
        )
    return config


def check_fields(config: Any, settings: VerlAllocatorConfig, fields: Mapping[str, Any]) -> None:
    """Check each of the allocator's fields by itself, before the dataset is known.

    Raises:
        ConfigurationError: a value is of the wrong kind or out of its range; the message names the flag.
    """
    refuse_unused(settings.name, settings.scope, fields, settings.constant_total)
    kind = config_type(settings.name)
    needed = {name: 1 for name, info in kind.model_fields.items() if info.is_required()}
    try:
        kind(**{**needed, **fields})
    except ConfigurationError as error:
        cause = error.__context__
        # How fields go together is judged when the defaults of the missing ones are known.
        if not isinstance(cause, ValidationError) or any(fault["loc"] for fault in cause.errors()):
            raise _named(error) from None


def _typed(field: FieldInfo, value: Any) -> Any:
    """A value as its field takes it, for the environment gives numbers as text; what is wrong is refused elsewhere."""
    annotation: Any = Annotated[field.annotation, field]
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        return value


def _named(error: ConfigurationError) -> ConfigurationError:
    """The same error, each fault by the flag that would mend it."""
    cause = error.__context__
    if not isinstance(cause, ValidationError):
        return error
    faults = []
    for fault in cause.errors(include_url=False):
        where, inside = ".".join(str(part) for part in fault["loc"][:1]), fault["loc"][1:]
        said = fault["msg"].removeprefix("Value error, ")
        if not where:
            faults.append(f"{FLAG}: {said}")
        elif fault["type"] == "missing" and not inside:
            faults.append(f"{FLAG}.{where} is missing")
        else:
            faults.append(f"{FLAG}.{where}={fault['input']!r}: {said}")
    return ConfigurationError("; ".join(faults))
