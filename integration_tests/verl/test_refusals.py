"""What would go wrong silently or late is refused at the start, and the message says what to change."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import datasets
import pytest

from cero_api.errors import ConfigurationError, MissingDependencyError, PromptError
from cero_verl import guard
from cero_verl.config import allocator_config, read_flag, schedule_of
from cero_verl.prompts import index_of, train_dataset
from cero_verl.refusals import refuse_unsupported
from integration_tests.verl.tiny import Tiny, save_prompts

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
        (["algorithm.adv_estimator=remax"], "algorithm.adv_estimator=remax has not been checked"),
        (["actor_rollout_ref.rollout.n=1"], "set it to the mean size of a group"),
        (["rollout_allocator.mean_rollouts_per_prompt=5"], "raise rollout.n"),
        (["rollout_allocator.rollouts_per_unit=3"], "choose a divisor"),
        (["rollout_allocator.min_rollouts_per_prompt=1"], "set 0 or 2"),
        (["rollout_allocator.min_rollouts_per_prompt=5"], "cannot have a mean of 4"),
        (["rollout_allocator.max_rollouts_per_prompt=3"], "cannot have a mean of 4"),
        (
            ["rollout_allocator.min_rollouts_per_prompt=0", "algorithm.filter_groups.enable=true"],
            "keep the floor at 2",
        ),
        (["rollout_allocator.constant_total=false", "algorithm.filter_groups.enable=true"], "the total constant"),
        (["rollout_allocator.min_rollouts_per_prompt=0", "trainer.v1.trainer_mode=colocate_async"], "keep the floor"),
        (["rollout_allocator.reward_range=[1,0]"], "rollout_allocator: reward_range"),
        (["rollout_allocator.scope=all"], "rollout_allocator.scope='all'"),
        (["rollout_allocator.reserve=0.5"], "rollout_allocator.reserve=0.5"),
        (["rollout_allocator.success_threshold=1", "rollout_allocator.reward_range=[0,1]"], "not both"),
        (["+rollout_allocator.speed=3"], "rollout_allocator.speed is unknown; cero has budget, "),
    ],
)
def test_refused_from_the_configuration_alone(tmp_path: Path, flags: list[str], said: str) -> None:
    refuse_unsupported(config(tmp_path))
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        refuse_unsupported(config(tmp_path, *flags))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["rollout_allocator.saturation=-1"], "rollout_allocator.saturation=-1: Input should be greater than 0"),
        (["rollout_allocator.forgetting_clock=hour"], "rollout_allocator.forgetting_clock='hour'"),
        (["rollout_allocator.budget=10"], "rollout_allocator.budget=10 ends before the training"),
        (["data.train_batch_size=17"], "lower data.train_batch_size"),
    ],
)
def test_refused_with_the_dataset_in_sight(tmp_path: Path, flags: list[str], said: str) -> None:
    composed = config(tmp_path, *flags)
    settings, fields = read_flag(composed)
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        allocator_config(settings, fields, schedule_of(composed, settings, num_prompts=16))


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
    made = allocator_config(settings, fields, schedule_of(composed, settings, num_prompts=16)).model_dump()
    assert made == made | {"num_prompts": 16, "rounds": 5, "budget": 5 * 4 * 4} | expected


def test_steps_are_those_that_verl_will_take(tmp_path: Path) -> None:
    composed = config(tmp_path, "trainer.total_epochs=2", steps=100)
    settings, _ = read_flag(composed)
    assert schedule_of(composed, settings, num_prompts=16).steps == 2 * (16 // 4)
    composed = config(tmp_path, "trainer.total_training_steps=null", "trainer.total_epochs=3")
    assert schedule_of(composed, settings, num_prompts=18).steps == 3 * 4


def test_asynchronous_modes_count_what_they_generate_ahead(tmp_path: Path) -> None:
    flags = ["trainer.v1.colocate_async.num_warmup_batches=1.5", "rollout_allocator.reserve=1"]
    composed = config(tmp_path, *flags, mode="colocate_async")
    with pytest.warns(UserWarning, match="mean_rollouts_per_prompt to the mean to keep one step"):
        settings = refuse_unsupported(composed)
    schedule = schedule_of(composed, settings, num_prompts=16)
    assert (schedule.warmup, schedule.rounds, schedule.budget) == (6, 4, (3 * 4 + 6) * 4)


def test_repeated_or_missing_indices_are_refused(tmp_path: Path) -> None:
    def index_with(indices: list[int]) -> Any:
        save_prompts(tmp_path / "train.parquet", 4, indices=indices)
        return index_of(train_dataset(config(tmp_path)))

    index = index_with([7, 3, 5, 4])
    assert index.row_ids(["tiny/5", "tiny/7"]).tolist() == [2, 0]
    with pytest.raises(PromptError, match=r"extra_info\.index is 0 for all 4 prompts.*number the rows"):
        index_with([0, 0, 0, 0])
    with pytest.raises(PromptError, match="tiny/3 stands for 2 prompts"):
        index_with([1, 3, 3, 2])
    rows = datasets.load_dataset("parquet", data_files=str(tmp_path / "train.parquet"), split="train")
    rows.remove_columns("extra_info").add_column("extra_info", [{"split": "train"}] * 4).to_parquet(
        str(tmp_path / "train.parquet")
    )
    with pytest.raises(PromptError, match=r"extra_info\.index is 0 for all 4 prompts"):
        index_of(train_dataset(config(tmp_path)))


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
