"""What would go wrong silently or late is refused at the start, and the message says what to change."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from verl.trainer.ppo.checkpoint_callback import build_checkpoint_callback

from cero_api.errors import CheckpointError, ConfigurationError, MissingDependencyError, PromptError
from cero_verl import guard
from cero_verl.config import allocator_config, read_flag, schedule_of
from cero_verl.preparing import prepare, take_prepared
from cero_verl.refusals import refuse_unsupported
from integration_tests.verl.tiny import Tiny, mode_flags, save_prompts

FLAG = "+rollout_allocator=cero"


def config(folder: Path, *flags: str, **fields: Any) -> Any:
    return Tiny(folder, extra=[FLAG, *flags], **fields).config()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["trainer.use_v1=false"], "trainer.use_v1=true"),
        (["trainer.v1.trainer_mode=mine"], "choose sync, colocate_async, separate_async"),
        (["trainer.checkpoint_callback_class=a.B"], "rollout_allocator.checkpoint_callback=a.B"),
        (["actor_rollout_ref.rollout.agent.agent_loop_manager_class=a.B"], "agent_loop_manager_class=a.B"),
        (["reward.reward_model.enable=true"], "reward.reward_model.enable_resource_pool=true"),
        (
            ["reward.reward_model.enable=true", "reward.reward_model.enable_resource_pool=true"],
            "rollout_allocator.reward_range=[LOWEST,HIGHEST]",
        ),
        (["algorithm.adv_estimator=remax"], "rollout_allocator.allow_unchecked_estimator=true"),
        (["data.train_max_samples=8"], "data.seed=1"),
        (["rollout_allocator.module=nobody.here"], "rollout_allocator.module=nobody.here cannot be imported"),
        (["rollout_allocator.checkpoint_callback=a.B"], "rollout_allocator.checkpoint_callback=a.B cannot be imported"),
        (["rollout_allocator.checkpoint_callback=pathlib.Path"], "has no on_save"),
        (["actor_rollout_ref.rollout.n=1"], "set it to the mean size of a group"),
        (["rollout_allocator.mean_rollouts_per_prompt=5"], "raise rollout.n"),
        (["rollout_allocator.rollouts_per_unit=3"], "choose a divisor"),
        (["rollout_allocator.min_rollouts_per_prompt=1"], "set 0 or 2"),
        (["rollout_allocator.min_rollouts_per_prompt=5"], "cannot have a mean of 4"),
        (["rollout_allocator.max_rollouts_per_prompt=3"], "cannot have a mean of 4"),
        (
            [
                "rollout_allocator.max_rollouts_per_prompt=8",
                "rollout_allocator.scope=pool",
                "trainer.v1.trainer_mode=separate_async",
            ],
            "separate_async mode waits for the others; set it to the mean of 4, or choose scope=batch",
        ),
        (
            [
                "rollout_allocator.max_rollouts_per_prompt=8",
                "rollout_allocator.scope=window",
                "algorithm.filter_groups.enable=true",
            ],
            "group filter waits for the others",
        ),
        (
            ["rollout_allocator.min_rollouts_per_prompt=0", "algorithm.filter_groups.enable=true"],
            "keep the floor at 2",
        ),
        (["rollout_allocator.constant_total=false", "algorithm.filter_groups.enable=true"], "the total constant"),
        (["rollout_allocator.min_rollouts_per_prompt=0", "trainer.v1.trainer_mode=colocate_async"], "keep the floor"),
        (["rollout_allocator.reward_range=[1,0]"], "rollout_allocator: reward_range"),
        (["rollout_allocator.scope=all"], "rollout_allocator.scope='all'"),
        (["rollout_allocator.cost=tokens"], "with scope=batch, so it would decide nothing; choose scope=window"),
        (["rollout_allocator.token_budget=900"], "rollout_allocator.constant_total=false"),
        (["rollout_allocator.reserve=0.5"], "rollout_allocator.reserve=0.5"),
        (["rollout_allocator.success_threshold=1", "rollout_allocator.reward_range=[0,1]"], "not both"),
        (["+rollout_allocator.speed=3"], "rollout_allocator.speed is unknown; cero has belief, budget, "),
    ],
)
def test_refused_from_the_configuration_alone(tmp_path: Path, flags: list[str], said: str) -> None:
    refuse_unsupported(config(tmp_path))
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        refuse_unsupported(config(tmp_path, *flags, "data.seed=null"))


def test_a_floor_that_a_method_brings_along_is_judged_at_the_flag(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"groups of 3 .* cannot have a mean of 2"):
        refuse_unsupported(Tiny(tmp_path, n=2, extra=["+rollout_allocator=vip"]).config())


def test_an_unchecked_estimator_is_taken_where_it_is_asked_for(tmp_path: Path) -> None:
    """verl's other ones, and those of one's own."""
    asked = "rollout_allocator.allow_unchecked_estimator=true"
    for name in ("remax", "my_own"):
        with pytest.warns(UserWarning, match=f"adv_estimator={name} has not been checked"):
            refuse_unsupported(config(tmp_path, f"algorithm.adv_estimator={name}", asked))


def test_a_reward_model_with_a_rule_is_taken(tmp_path: Path) -> None:
    model = ["reward.reward_model.enable=true", "reward.reward_model.enable_resource_pool=true"]
    for rule in ("reward_range=[-5,5]", "success_threshold=0", "success_key=acc"):
        refuse_unsupported(config(tmp_path, *model, f"rollout_allocator.{rule}"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["rollout_allocator.saturation=-1"], "rollout_allocator.saturation=-1: Input should be greater than 0"),
        (["rollout_allocator.forgetting_clock=hour"], "rollout_allocator.forgetting_clock='hour'"),
        (["rollout_allocator.budget=10"], "rollout_allocator.budget=10 ends before the training"),
        (["rollout_allocator.pacing=[16,16]"], "pacing has 2 sizes for rounds=3"),
        (["rollout_allocator.capacity=8"], "rollout_allocator.capacity=8 is less than a step"),
        (["rollout_allocator.trace=/dev/null/trace.jsonl"], "rollout_allocator.trace=/dev/null/trace.jsonl cannot be"),
        (["data.train_batch_size=17"], "lower data.train_batch_size"),
    ],
)
def test_refused_before_a_model_is_loaded(tmp_path: Path, flags: list[str], said: str) -> None:
    """By the callback that verl's trainer builds before anything else."""
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        build_checkpoint_callback(config(tmp_path, *flags))


def test_prompts_and_checkpoint_are_judged_before_a_model_is_loaded(tmp_path: Path) -> None:
    composed = config(tmp_path)
    save_prompts(tmp_path / "train.parquet", 16, indices=[0] * 16)
    with pytest.raises(PromptError, match=r"extra_info\.index is 0 for all 16"):
        build_checkpoint_callback(composed)
    save_prompts(tmp_path / "train.parquet", 16)
    step = tmp_path / "checkpoints" / "global_step_2"
    step.mkdir(parents=True)
    (step.parent / "latest_checkpointed_iteration.txt").write_text("2")
    with pytest.raises(CheckpointError, match=r"no cero_allocator\.npz"):
        build_checkpoint_callback(composed)


def test_the_trace_of_another_run_is_refused_before_a_model_is_loaded(tmp_path: Path) -> None:
    trace = f"rollout_allocator.trace={tmp_path}/deep/trace.jsonl"
    prepare(config(tmp_path, trace, steps=8))
    prepare(config(tmp_path, trace, steps=8))  # a run that is started again
    with pytest.raises(ConfigurationError, match="another run's trace"):
        prepare(Tiny(tmp_path, extra=["+rollout_allocator=uniform", trace]).config())


@pytest.mark.parametrize(
    ("fields", "flags", "said"),
    [
        ({"n": 2}, [], "groups have 2 rollouts on average and at least 2"),
        ({}, ["rollout_allocator.max_rollouts_per_prompt=4"], "raise rollout_allocator.max_rollouts_per_prompt"),
        ({"batch": 1}, [], "a batch has one prompt"),
        ({}, ["trainer.total_epochs=1"], "every prompt is visited once.*rollout_allocator.scope=window"),
        ({"steps": 1}, [], "every prompt is visited once"),
        ({"batch": 16}, ["rollout_allocator.scope=pool"], "the 16 prompts of the pool all fit"),
    ],
)
def test_a_flag_that_can_decide_nothing_says_so(
    tmp_path: Path, fields: dict[str, Any], flags: list[str], said: str
) -> None:
    with pytest.warns(UserWarning, match=f"the allocator can decide nothing: .*{said}"):
        prepare(config(tmp_path, *flags, **{"steps": 8} | fields))


def test_a_flag_that_can_decide_says_what_it_decides_by(tmp_path: Path) -> None:
    said = prepare(config(tmp_path, "rollout_allocator.reward_range=[-1,1]", steps=8)).start_line()
    for part in (
        "rollout allocator cero: scope batch",
        "4 rollouts a prompt on average, 2 to 8",
        "from -1 to 1",
        "128 of 128 rollouts",
        "16 prompts",
        "nothing is known of a prompt before its first visit",
        "new after step 0",
    ):
        assert part in said
    prepare(Tiny(tmp_path, n=2, steps=1, extra=["+rollout_allocator=uniform"]).config())  # which is to decide nothing


def test_what_is_found_early_is_not_looked_for_again(tmp_path: Path) -> None:
    composed, other = config(tmp_path, steps=8), config(tmp_path, steps=8)
    found = prepare(composed)
    assert take_prepared(composed) is found
    assert take_prepared(composed) is not found, "it is for one training"
    prepare(composed)
    assert take_prepared(other).settings == found.settings


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cero", {"max_rollouts_per_prompt": 8, "capacity": 16}),
        ("uniform", {"rollouts_per_prompt": 4}),
        ("knapsack", {"rollouts_per_prompt": 4}),
    ],
)
def test_defaults_spend_what_uniform_verl_generates(tmp_path: Path, name: str, expected: dict[str, int]) -> None:
    composed = Tiny(tmp_path, steps=5, extra=[f"+rollout_allocator={name}"]).config()
    settings, fields = read_flag(composed)
    made = allocator_config(settings, fields, schedule_of(composed, settings, 16)).model_dump()
    assert made == made | {"num_prompts": 16, "rounds": 5, "budget": 5 * 4 * 4} | expected


def test_steps_are_those_that_verl_will_take(tmp_path: Path) -> None:
    composed = config(tmp_path, "trainer.total_epochs=2", steps=100)
    settings, _ = read_flag(composed)
    assert schedule_of(composed, settings, 16).steps == 2 * (16 // 4)
    composed = config(tmp_path, "trainer.total_training_steps=null", "trainer.total_epochs=3")
    assert schedule_of(composed, settings, 18).steps == 3 * 4


def test_asynchronous_modes_count_what_they_generate_ahead(tmp_path: Path) -> None:
    flags = ["trainer.v1.colocate_async.num_warmup_batches=1.5", "rollout_allocator.reserve=1"]
    composed = config(tmp_path, *flags, mode="colocate_async")
    with pytest.warns(UserWarning, match="mean_rollouts_per_prompt to the mean to keep one step"):
        settings = refuse_unsupported(composed)
    schedule = schedule_of(composed, settings, 16)
    assert (schedule.warmup, schedule.rounds, schedule.budget) == (6, 4, (3 * 4 + 6) * 4)


@pytest.mark.filterwarnings("ignore:batches of different dispatches mix here:UserWarning")
@pytest.mark.parametrize(
    ("mode", "flags", "capacity"),
    [
        ("sync", [], 16),
        ("sync", ["algorithm.filter_groups.enable=true"], 16),
        ("sync", ["algorithm.filter_groups.enable=true", "algorithm.filter_groups.max_inflight_gen_batches=3"], 48),
        ("colocate_async", ["algorithm.filter_groups.enable=true"], 32),
        ("separate_async", ["trainer.v1.separate_async.num_warmup_batches=2.5"], 56),
    ],
)
def test_a_round_has_room_for_all_that_can_be_in_flight(
    tmp_path: Path, mode: str, flags: list[str], capacity: int
) -> None:
    extra = mode_flags(mode, tmp_path, 4) if mode != "sync" else []
    composed = config(tmp_path, *extra, *flags, mode=mode)
    settings, fields = read_flag(composed)
    assert allocator_config(settings, fields, schedule_of(composed, settings, 16)).model_dump()["capacity"] == capacity


def test_a_trainer_before_v1_is_refused_where_it_asks() -> None:
    """It takes the manager from the same option, and would repeat prompts by itself."""
    from verl.protocol import DataProto

    from cero_verl.counts import AllocatedAgentLoopManager

    manager = object.__new__(AllocatedAgentLoopManager)
    with pytest.raises(ConfigurationError, match=r"trainer\.use_v1=true"):
        manager.generate_sequences(DataProto())


def test_every_private_name_is_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ

    guard.check_verl()
    monkeypatch.setattr(AgentLoopManagerTQ, "generate_sequences", lambda self, batch: None)
    with pytest.raises(MissingDependencyError, match=r"AgentLoopManagerTQ\.generate_sequences; pip install 'verl"):
        guard.check_verl()
    monkeypatch.undo()
    monkeypatch.setitem(guard.WORDS, f"{guard._WORKER}._run_prompt", ("__rollout_m__",))
    with pytest.raises(MissingDependencyError, match="_run_prompt"):
        guard.check_verl()


def test_another_version_warns_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.10.0")
    with pytest.warns(UserWarning, match=r"tested with verl.*, and this is 0\.10\.0"):
        guard.check_verl()
