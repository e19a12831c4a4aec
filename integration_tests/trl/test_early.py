"""What configuration and files can tell is told before a model is loaded: none of these trainings has one."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cero_api import CeroAllocator, CeroConfig, UniformAllocator, UniformConfig
from cero_api.errors import BudgetError, CeroError, CheckpointError, ConfigurationError, TraceError
from cero_trl import CeroGRPOTrainer
from integration_tests.trl import tiny

ABSENT: dict[str, Any] = {"model": "nobody/has-this-model"}  # TRL fails where it is asked to load it


def cero(**changes: Any) -> CeroAllocator:
    return CeroAllocator(CeroConfig(**{"num_prompts": 12, "rounds": 3, "budget": 24, "capacity": 8, **changes}))


@pytest.mark.parametrize(
    ("options", "args", "error", "message"),
    [
        ({"allocator": "vip"}, {"num_generations": 2}, ConfigurationError, "min_rollouts_per_prompt=3, rollouts_per_"),
        ({"allocator_config": {"min_rollouts_per_prompt": 5}}, {}, BudgetError, "needs 10 to 16: at least 5"),
        ({"allocator_config": {"max_rollouts_per_prompt": 3}}, {}, BudgetError, "needs 4 to 6"),
        ({"allocator_config": {"rollouts_per_unit": 3}}, {}, ConfigurationError, "not a multiple of rollouts_per_unit"),
        (
            {"allocator": cero(rollouts_per_unit=3, max_rollouts_per_prompt=6, capacity=9)},
            {},
            BudgetError,
            "total=8 is not a multiple of rollouts_per_unit=3",
        ),
        ({"allocator_config": {"pacing": (8, 8)}}, {}, ConfigurationError, "pacing has 2 sizes for rounds=3"),
        ({"allocator_config": {"budget": 16}}, {}, ConfigurationError, "rounds=3 and budget=16 end earlier"),
        ({"allocator_config": {"max_rollouts": 16}}, {}, ConfigurationError, "max_rollouts: unknown"),
        (
            {"allocator": UniformAllocator(UniformConfig(num_prompts=11, rounds=3, budget=24))},
            {},
            CeroError,
            "11 prompts",
        ),
        (
            {"allocator_config": {"pacing": (4, 8, 8)}},
            {},
            ConfigurationError,
            "rounds of 4 to 8 rollouts, and the trainer gene",
        ),
        ({"allocator_config": {"budget": "many"}}, {}, ConfigurationError, "budget: Input should be a valid integer"),
        ({"allocator_config": {"offer": "window"}}, {}, ConfigurationError, "offer=window contradicts scope=batch"),
        ({"allocator": cero(), "scope": "window"}, {}, ConfigurationError, "offer=pool contradicts scope=window"),
        (
            {"allocator": cero(offer="window", max_rollouts_per_prompt=4)},
            {},
            ConfigurationError,
            "offer=window contradicts scope=batch",
        ),
        ({"allocator": cero().config}, {}, ConfigurationError, "give a name .* or an allocator"),
        ({"allocator": CeroAllocator}, {}, ConfigurationError, "give a name .* or an allocator"),
        ({"allocator": None}, {}, ConfigurationError, "allocator is None; give a name"),
        ({"on_round": "print"}, {}, ConfigurationError, "give a function that takes a RoundRecord"),
        ({"features": "level"}, {}, ConfigurationError, "no column 'level'; it has prompt, row"),
        ({"offline_rates": "prompt"}, {}, ConfigurationError, "column 'prompt' is to hold a number for each prompt"),
        ({"offline_samples": [4] * 12}, {}, ConfigurationError, "give the rates too"),
        ({"allocator": "best"}, {}, ConfigurationError, "no allocator is called 'best'"),
        ({"train_dataset": tiny.dataset(1)}, {}, ConfigurationError, "nothing would be trained"),
        ({"success_reward": "accuracy"}, {}, ConfigurationError, r"one of the reward functions \['digits'\]"),
        ({"scope": "all"}, {}, ConfigurationError, "scope"),
        ({}, {"resume_from_checkpoint": "nowhere"}, CheckpointError, r"nowhere has no trainer_state\.json"),
    ],
)
def test_before_a_model_is_loaded(
    tmp_path: Path, options: dict[str, Any], args: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        tiny.trainer(tmp_path, args=args, **ABSENT, **options)


def test_a_batch_size_that_finds_itself(tmp_path: Path) -> None:
    """Later versions of TRL refuse it themselves."""
    args = tiny.arguments(tmp_path)
    args.auto_find_batch_size = True
    with pytest.raises(ConfigurationError, match="set per_device_train_batch_size to what fits"):
        CeroGRPOTrainer(**ABSENT, reward_funcs=tiny.digits, args=args, train_dataset=tiny.dataset())


def test_a_trace_that_cannot_be_is_refused_before_a_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TraceError, match="cannot write"):
        tiny.trainer(tmp_path, trace=tmp_path / "file" / "trace.jsonl", **ABSENT)
    (tmp_path / "trace.jsonl").write_text("a diary\n")
    with pytest.raises(TraceError, match="no header"):
        tiny.trainer(tmp_path, trace=tmp_path / "trace.jsonl", **ABSENT)


def test_a_checkpoint_is_judged_with_the_arguments(tmp_path: Path) -> None:
    """`resume_from_checkpoint` among TRL's arguments, from where TRL's own scripts hand it to `train`."""
    tiny.trainer(tmp_path, allocator="uniform", args={"save_strategy": "steps", "save_steps": 3}).train()
    folder = tmp_path / "checkpoint-3"
    whole: dict[str, Any] = {"args": {"resume_from_checkpoint": str(folder)}, "allocator": "uniform"}
    tiny.trainer(tmp_path, **whole)
    for options, message in (
        ({"train_dataset": tiny.dataset().select(range(11, -1, -1))}, "another train dataset"),
        ({"allocator_config": {"seed": 1}}, r"seed=0 \(now 1\);"),
        ({"allocator": "cero"}, r"a UniformConfig \(now a CeroConfig\)"),
    ):
        with pytest.raises(CheckpointError, match=message):
            tiny.trainer(tmp_path, **{**whole, **options, **ABSENT})
    shutil.copytree(folder, tmp_path / "torn")
    (tmp_path / "torn" / "cero_allocator.npz").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="torn or foreign"):
        tiny.trainer(tmp_path, **{**whole, "args": {"resume_from_checkpoint": str(tmp_path / "torn")}, **ABSENT})


def test_a_checkpoint_is_judged_before_training_prepares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.trainer(tmp_path, allocator="uniform", args={"save_strategy": "steps", "save_steps": 3}).train()
    state = tmp_path / "checkpoint-3" / "cero_trl.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "pool": "another"}))
    trainer = tiny.trainer(tmp_path, allocator="uniform")
    monkeypatch.setattr(trainer, "_load_from_checkpoint", lambda *args: pytest.fail("weights were loaded"))
    with pytest.raises(CheckpointError, match="another train dataset"):
        trainer.train(resume_from_checkpoint=True)
