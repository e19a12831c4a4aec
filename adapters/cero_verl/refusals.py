"""What the configuration alone can tell: what would go wrong silently or late is refused, with what to change."""

from __future__ import annotations

import warnings
from typing import Any

from cero_api.allocators import config_type
from cero_api.errors import ConfigurationError
from cero_verl.config import CALLBACK, FLAG, MANAGER, VerlAllocatorConfig, check_fields, read_flag, replaces_groups
from cero_verl.older import has_callback

MODES = ("sync", "colocate_async", "separate_async")

# verl's estimators that group by uid; each is compared with an independent computation in the tests.
GROUPING = (
    "grpo",
    "grpo_passk",
    "grpo_vectorized",
    "gpg",
    "opo",
    "reinforce_plus_plus_baseline",
    "rloo",
    "rloo_vectorized",
)
# And those that do not group.
ESTIMATORS = tuple(sorted((*GROUPING, "gae", "reinforce_plus_plus")))


def refuse_unsupported(config: Any) -> VerlAllocatorConfig:
    """Check everything that the composed configuration alone can tell.

    Returns:
        the flag's settings.

    Raises:
        ConfigurationError: the first thing that cannot work, and what to change.
    """
    trainer = config.trainer
    if not trainer.get("use_v1", False) or "v1" not in trainer:
        raise ConfigurationError(f"+{FLAG} needs verl's V1 trainer; set trainer.use_v1=true")
    mode = trainer.v1.trainer_mode
    if mode not in MODES:
        raise ConfigurationError(
            f"trainer.v1.trainer_mode={mode} is not supported with +{FLAG}; choose {', '.join(MODES)}"
        )
    settings, fields = read_flag(config)
    check_fields(config, settings, fields)
    _refuse_other_hooks(config)
    own_callback(settings)
    _refuse_rewards(config, settings)
    _refuse_another_subset(config)
    _refuse_estimator(config, settings)
    _refuse_groups(config, settings, fields)
    if config.get("skip") is not None and config.skip.get("rollout_tq", {}).get("enable", False):
        raise ConfigurationError(
            f"skip.rollout_tq.enable=true reads recorded rollouts, which have their own counts; drop it or +{FLAG}"
        )
    return settings


def _refuse_other_hooks(config: Any) -> None:
    manager = config.actor_rollout_ref.rollout.get("agent", {}).get("agent_loop_manager_class")
    if manager != MANAGER:
        raise ConfigurationError(
            f"actor_rollout_ref.rollout.agent.agent_loop_manager_class={manager} is in the place of the one that "
            f"+{FLAG} sets; drop it, or derive yours from {MANAGER} and register it in verl instead of the flag"
        )
    callback = config.trainer.get("checkpoint_callback_class")
    if callback != CALLBACK:
        raise ConfigurationError(
            f"trainer.checkpoint_callback_class={callback} is in the place of the one that +{FLAG} sets; pass yours "
            f"as {FLAG}.checkpoint_callback={callback}, and both are called"
        )


def own_callback(settings: VerlAllocatorConfig) -> Any:
    """The user's own class for verl's checkpoint callback, or None.

    Raises:
        ConfigurationError: it cannot be had.
    """
    name = settings.checkpoint_callback
    if name is None:
        return None
    if name == CALLBACK:
        raise ConfigurationError(
            f"{FLAG}.checkpoint_callback={name} is the flag's own, which is called anyway; drop it"
        )
    if not has_callback():
        raise ConfigurationError(
            f"{FLAG}.checkpoint_callback={name} needs a verl that calls back; pip install 'verl>=0.9.1', or drop it"
        )
    from verl.utils.import_utils import load_class_from_fqn

    try:
        found = load_class_from_fqn(name, "CheckpointCallback")
    except Exception as error:  # somebody else's module can raise anything
        raise ConfigurationError(
            f"{FLAG}.checkpoint_callback={name} cannot be imported ({error!r}); give the class by its full dotted name"
        ) from error
    if not callable(getattr(found, "on_save", None)):
        raise ConfigurationError(
            f"{FLAG}.checkpoint_callback={name} has no on_save; derive it from "
            "verl.trainer.ppo.checkpoint_callback.CheckpointCallback"
        )
    return found


def _refuse_rewards(config: Any, settings: VerlAllocatorConfig) -> None:
    model = config.reward.reward_model
    if not model.enable:
        return
    if not model.enable_resource_pool:
        raise ConfigurationError(
            "a colocated reward model scores after generation, where the allocator does not see the rewards; set "
            "reward.reward_model.enable_resource_pool=true, or use a rule-based reward"
        )
    if settings.success_threshold is None and settings.reward_range is None and settings.success_key is None:
        raise ConfigurationError(
            f"nobody knows which scores of a reward model are a success; set {FLAG}.reward_range=[LOWEST,HIGHEST], "
            f"{FLAG}.success_threshold, or {FLAG}.success_key to a key of what the reward function returns"
        )


def _refuse_another_subset(config: Any) -> None:
    data = config.data
    if int(data.get("train_max_samples", -1)) > 0 and data.get("shuffle", False) and data.get("seed") is None:
        raise ConfigurationError(
            f"data.train_max_samples={data.train_max_samples} with data.shuffle=true and no data.seed draws another "
            "part of the train dataset whenever it is read, and a resumed run would train on others; set data.seed=1"
        )


def _refuse_estimator(config: Any, settings: VerlAllocatorConfig) -> None:
    estimator = config.algorithm.adv_estimator
    if estimator in ESTIMATORS:
        return
    if not settings.allow_unchecked_estimator:
        raise ConfigurationError(
            f"algorithm.adv_estimator={estimator} has not been checked with groups of unequal size; choose "
            f"{', '.join(ESTIMATORS)}, or take it as it is with {FLAG}.allow_unchecked_estimator=true"
        )
    warnings.warn(
        f"algorithm.adv_estimator={estimator} has not been checked with groups of unequal size; see that it groups "
        "rollouts by their uid, not by rollout.n, and what it does with a group of one",
        stacklevel=4,
    )


def _refuse_groups(config: Any, settings: VerlAllocatorConfig, fields: dict[str, Any]) -> None:
    rollout, mode = config.actor_rollout_ref.rollout, config.trainer.v1.trainer_mode
    mean = settings.mean_rollouts_per_prompt or rollout.n
    if rollout.n < 2:
        raise ConfigurationError(
            f"actor_rollout_ref.rollout.n={rollout.n} leaves no rollouts to share out; set it to the mean size "
            "of a group"
        )
    if mean > rollout.n:
        raise ConfigurationError(
            f"{FLAG}.mean_rollouts_per_prompt={mean} exceeds actor_rollout_ref.rollout.n={rollout.n}, from which verl "
            "derives its batch sizes; raise rollout.n"
        )
    unit = fields.get("rollouts_per_unit", 1)
    if mean % unit:
        raise ConfigurationError(
            f"{FLAG}.rollouts_per_unit={unit} does not divide the mean group of {mean} rollouts, so totals could not "
            "be met; choose a divisor"
        )
    default = config_type(settings.name).model_fields.get("min_rollouts_per_prompt")
    floor = fields.get("min_rollouts_per_prompt", default and default.get_default())
    cap = fields.get("max_rollouts_per_prompt")
    if floor == 1:
        raise ConfigurationError(
            f"{FLAG}.min_rollouts_per_prompt=1 makes groups of one, whose advantage in verl is the raw reward; "
            "set 0 or 2"
        )
    if (floor is not None and floor > mean) or (cap is not None and cap < mean):
        raise ConfigurationError(
            f"groups of {floor or 0} to {cap or 'any number of'} rollouts cannot have a mean of {mean}; change "
            f"{FLAG}.min_rollouts_per_prompt, {FLAG}.max_rollouts_per_prompt or actor_rollout_ref.rollout.n"
        )
    empty = floor == 0 or not settings.constant_total
    if empty and (replaces_groups(config) or mode != "sync"):
        raise ConfigurationError(
            f"{FLAG}.min_rollouts_per_prompt=0 and constant_total=false can leave a prompt without rollouts, at which "
            f"verl's {'group filter' if mode == 'sync' else mode + ' mode'} stops; keep the floor at 2 and the total "
            "constant"
        )
    if settings.picks_prompts and cap is not None and cap > mean and (replaces_groups(config) or mode != "sync"):
        raise ConfigurationError(
            f"{FLAG}.max_rollouts_per_prompt={cap} with scope={settings.scope} lets fewer prompts than a batch has "
            f"take all of it, and verl's {'group filter' if mode == 'sync' else mode + ' mode'} waits for the others; "
            f"set it to the mean of {mean}, or choose scope=batch"
        )
    if settings.picks_prompts and not settings.constant_total and mode != "sync":
        raise ConfigurationError(
            f"{FLAG}.scope={settings.scope} with constant_total=false needs trainer.v1.trainer_mode=sync"
        )
    if (mode != "sync" or replaces_groups(config)) and mean == rollout.n:
        warnings.warn(
            "batches of different dispatches mix here, so a training batch can hold more rows than "
            "ppo_mini_batch_size * rollout.n, and verl then pads it and takes another optimiser step; set rollout.n "
            f"to the largest group and {FLAG}.mean_rollouts_per_prompt to the mean to keep one step",
            stacklevel=2,
        )
