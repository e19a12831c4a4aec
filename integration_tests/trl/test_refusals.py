"""What would go wrong silently is refused, before any training, with what to do about it."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import trl
from datasets import IterableDataset
from trl import GRPOTrainer

from cero_api import UniformAllocator, UniformConfig
from cero_api.adapting import TRAINERS
from cero_api.errors import ConfigurationError, MissingDependencyError
from cero_trl import CeroTRLConfig, guard
from integration_tests.trl import tiny


def uniform(num_prompts: int = 12, rounds: int = 3, budget: int = 24) -> UniformAllocator:
    return UniformAllocator(UniformConfig(num_prompts=num_prompts, rounds=rounds, budget=budget))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_dataset": IterableDataset.from_generator(lambda: iter([]))}, "by its row in a datasets.Dataset"),
        ({"rollout_func": lambda prompts, trainer: {}}, "rollout_func may count on runs"),
        ({"allocator": uniform(num_prompts=11)}, "11 prompts, the train dataset has 12 rows"),
        ({"allocator": uniform(rounds=2, budget=16)}, "rounds=2 and budget=16 end earlier"),
        ({"allocator": uniform(), "allocator_config": {"seed": 1}}, "allocator_config goes with"),
        ({"allocator": "cero", "allocator_config": {"caps": 1}}, "caps: unknown"),
        ({"allocator": "cero", "scope": "batch", "allocator_config": {"cost": "tokens"}}, "it would decide nothing"),
        ({"allocator": "cero", "allocator_config": {"token_budget": 900}}, "is kept by the size of rounds"),
        ({"allocator": "best"}, "best"),
        ({"train_dataset": tiny.dataset(1)}, "a generation batch takes 2 prompts"),
        ({"scope": "dataset"}, "scope"),
        ({"prompt_weight": "token"}, "prompt_weight"),
        ({"success_threshold": 1.0, "reward_range": (0, 1)}, "success_threshold or reward_range, not both"),
        ({"reward_range": (1, 1)}, "lowest < highest"),
        ({"success_reward": "accuracy"}, r"must be one of the reward functions \['digits'\]"),
        ({"success_threshold": float("nan")}, "success_threshold is NaN"),
    ],
)
def test_refused_at_construction(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        tiny.trainer(tmp_path, **{"allocator": "uniform", **options})


def test_prompts_are_where_trl_looks_for_them(tmp_path: Path) -> None:
    """In a column, or made by a transform as rows are read; without them TRL would end in its first step."""
    questions = tiny.dataset().rename_column("prompt", "question")
    with pytest.raises(ConfigurationError, match=r"no column 'prompt', .* it has question, row; rename"):
        tiny.trainer(tmp_path, train_dataset=questions)
    made = questions.with_transform(lambda rows: {"prompt": rows["question"], "row": rows["row"]})
    trainer = tiny.trainer(tmp_path, train_dataset=made)
    trainer.train()
    assert len(trainer.records) == 3


def test_an_environment_that_owns_the_prompts_is_refused(tmp_path: Path) -> None:
    from cero_trl import CeroGRPOTrainer

    with pytest.raises(ConfigurationError, match="give it one row per task"):
        CeroGRPOTrainer(model=tiny.model(), reward_funcs=tiny.digits, args=tiny.arguments(tmp_path))


def test_every_private_name_is_where_it_was() -> None:
    assert trl.__version__ in TRAINERS["trl"]
    guard.check_trl()


def test_the_guard_names_what_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.99.0")
    monkeypatch.delattr(GRPOTrainer, "_calculate_rewards")
    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", lambda self, batch: {})
    message = r"trl 1\.99\.0.*GRPOTrainer\._calculate_rewards, .*\._generate_and_score_completions; pip install 'trl"
    with pytest.raises(MissingDependencyError, match=message):
        tiny.trainer(tmp_path, allocator="uniform")


def test_the_guard_misses_attributes_of_the_trainer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(guard, "ATTRIBUTES", (*guard.ATTRIBUTES, "_renamed"))
    with pytest.raises(MissingDependencyError, match="has no _renamed; pip install 'trl"):
        tiny.trainer(tmp_path, allocator="uniform")


def test_another_version_with_the_same_names_is_only_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.99.0")
    with pytest.warns(UserWarning, match=r"tested with trl.*, and this is 1\.99\.0"):
        guard.check_trl()


def test_the_package_offers_what_it_says() -> None:
    package = importlib.import_module("cero_trl")
    assert all(hasattr(package, name) for name in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'GRPOTrainer'"):
        _ = package.GRPOTrainer
    assert CeroTRLConfig().scope == "batch"
