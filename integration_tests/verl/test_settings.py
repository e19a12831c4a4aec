"""The flag's settings by themselves: nothing of verl's is composed for them, and no dataset is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ

from cero_api import make_allocator
from cero_api.errors import CheckpointError, ConfigurationError
from cero_ray import DurableDesk
from cero_verl.beginning import _roomy
from cero_verl.checkpoint import AllocatorCheckpoint
from cero_verl.config import CALLBACK, Schedule, VerlAllocatorConfig, allocator_config, check_fields, read_flag
from cero_verl.counts import AllocatedAgentLoopManager
from cero_verl.flag import group_config, refuse_near_misses
from cero_verl.refusals import own_callback
from cero_verl.saved import resumed_folder

SCHEDULE = Schedule(6, 4, 4, 4, 0, 4, False, 64, 64)


def flag(method: str = "cero", **fields: Any) -> tuple[VerlAllocatorConfig, dict[str, Any]]:
    node = OmegaConf.merge(group_config(method), {"rollout_allocator": {"scope": "batch", **fields}})
    settings, given = read_flag(node)
    check_fields(node, settings, given)
    return settings, given


def test_numbers_in_words_are_numbers() -> None:
    """As the environment gives them: rollout_allocator.capacity=${oc.env:CAPACITY}."""
    numbers = {"capacity": 32, "max_rollouts_per_prompt": 8, "min_rollouts_per_prompt": 2, "saturation": 0.5}
    _, fields = flag(**{name: str(number) for name, number in numbers.items()})
    assert fields == fields | numbers


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"window": 4}, "window=4 .* scope=batch offers none"),
        ({"features": ["ability"], "belief": "beta"}, "belief=beta does not look at features"),
        ({"reward_range": [0]}, r"rollout_allocator.reward_range=\[0\]: Field required"),
        ({"name": "vip"}, r"unknown; vip has .* \+rollout_allocator=vip chooses that method"),
    ],
)
def test_what_would_do_nothing_or_is_meant_otherwise(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        flag(**fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"num_prompts": 99}, "num_prompts=99, and the train dataset has 64 prompts"),
        ({"pacing": [16, 16, 16, 16, 15, 16]}, "pacing asks for rounds of 15 to 16 rollouts"),
    ],
)
def test_what_the_training_would_pass_over(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        allocator_config(*flag(**fields), SCHEDULE)


@pytest.mark.parametrize("name", ["cero", "vip", "uniform"])
def test_features_that_are_named_are_looked_at_in_any_scope(name: str) -> None:
    settings, fields = flag(name, features=["ability"])
    assert fields["belief"] == "features"
    if name == "uniform":  # which looks at nothing
        with pytest.raises(ConfigurationError, match="UniformAllocator goes by outcomes alone"):
            make_allocator(name, allocator_config(settings, fields, SCHEDULE), features=[[1.0]] * 64)


def test_the_flags_own_callback_calls_itself_but_once() -> None:
    with pytest.raises(ConfigurationError, match="is the flag's own, which is called anyway"):
        own_callback(VerlAllocatorConfig(name="cero", checkpoint_callback=CALLBACK))


@pytest.mark.parametrize(
    "options", [{"rollout": {"allocator": "vip"}}, {"cero": {"enable": True}}, {"rollout": {"group_alloc": "custom"}}]
)
def test_options_that_name_an_allocator_of_ours_are_refused(options: dict[str, Any]) -> None:
    refuse_near_misses(OmegaConf.create({"actor_rollout_ref": {"rollout": {"allocator": "mimalloc"}}}))
    with pytest.raises(ConfigurationError, match="did you mean"):
        refuse_near_misses(OmegaConf.create({"actor_rollout_ref": options}))


def test_a_run_that_only_validates_has_no_part_for_an_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is judged, and the trace of the training stays as it is."""
    validates = OmegaConf.create({"trainer": {"val_only": True, "val_before_train": True}})
    AllocatorCheckpoint(validates)
    trains = OmegaConf.merge(validates, {"trainer": {"val_before_train": False}})  # where verl does not look at it
    with pytest.raises(Exception, match="use_v1"):
        AllocatorCheckpoint(trains)
    monkeypatch.setattr(AgentLoopManagerTQ, "create", classmethod(lambda cls, *args, **kwargs: cls))
    assert AllocatedAgentLoopManager.create(config=validates) is AgentLoopManagerTQ
    assert AllocatedAgentLoopManager.create(trains) is AllocatedAgentLoopManager


def resumed(folder: Path, mode: str, path: str | None = None) -> Any:
    trainer = {"resume_mode": mode, "resume_from_path": path, "default_local_dir": str(folder)}
    return resumed_folder(OmegaConf.create({"trainer": trainer}))


def test_a_path_that_verl_would_stumble_over_when_the_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "global_step_4" / "actor").mkdir(parents=True)
    assert resumed(tmp_path, "resume_path", f"{tmp_path}/global_step_4").step == 4
    for path in ("global_step_4/", "global_step_4/actor", "checkpoint-4"):
        with pytest.raises(ConfigurationError, match=f"{path} does not end in global_step_N"):
            resumed(tmp_path, "resume_path", f"{tmp_path}/{path}")
    with pytest.raises(ConfigurationError, match="does not end in global_step_N"):
        resumed(tmp_path, "resume_path")
    with pytest.raises(CheckpointError, match="is no folder here"):
        resumed(tmp_path, "resume_path", f"{tmp_path}/global_step_9")
    with pytest.raises(ConfigurationError, match="choose auto, disable, resume_path"):
        resumed(tmp_path, "always")
    assert resumed(tmp_path, "auto") is None
    tracker = tmp_path / "latest_checkpointed_iteration.txt"
    tracker.write_text("4")
    assert resumed(tmp_path, "auto").step == 4
    tracker.write_text("")  # killed while it wrote
    with pytest.raises(CheckpointError, match=r"latest_checkpointed_iteration.txt holds no number"):
        resumed(tmp_path, "auto")


def test_a_smaller_batch_has_room_for_what_larger_ones_have_spent(tmp_path: Path) -> None:
    """Four steps of 16 rollouts, and two of 8."""
    before, wanted = (
        allocator_config(*flag(), schedule) for schedule in (SCHEDULE, Schedule(6, 2, 4, 4, 0, 2, False, 64, 64))
    )
    desk = DurableDesk(tmp_path, make_allocator("cero", before))
    for step in range(4):
        desk.deal([f"{step}-{i}" for i in range(4)], list(range(4 * step, 4 * step + 4)), 4, step, True)
    length = {"rounds": 6, "budget": 80} | _roomy(before, wanted, {})
    continued_config = type(before)(**wanted.model_dump() | length)
    assert (continued_config.budget, getattr(continued_config, "capacity", None)) == (80, 16)
    assert _roomy(before, wanted, {"capacity": 8}) == {}
