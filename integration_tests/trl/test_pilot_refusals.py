"""What cannot be generated in two waves in TRL is refused by name, most of it before a model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from cero_api import PilotAllocator, make_allocator
from cero_api.errors import BudgetError, ConfigurationError
from cero_trl import CeroGRPOTrainer
from integration_tests.trl.test_pilot import made, of_kind, rounds_of, trained

ABSENT: dict[str, Any] = {"model": "nobody/has-this-model"}


@pytest.mark.parametrize("how", ["look", "replace", "set", "below", "in place below"])
def test_rows_that_are_not_known_yet_are_not_changed(tmp_path: Path, how: str) -> None:
    class Theirs(GRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            if how == "below":
                inputs = [dict(row) for row in inputs]
            if how == "in place below":
                for row in inputs:
                    row["prompt"] = "9+9="
            return super()._generate_and_score_completions(inputs)

    class Mine(CeroGRPOTrainer, Theirs):
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            if how == "look":
                assert [row["row"] for row in inputs]
            if how == "replace":
                inputs = [{"prompt": "9+9=", "row": 0}] * len(inputs)
            if how == "set":
                for row in inputs:
                    row["prompt"] = "9+9="
            return super()._generate_and_score_completions(inputs)

    with pytest.raises(ConfigurationError, match=r"rows of a round's second wave are not known.*leave pilot out"):
        of_kind(Mine, tmp_path).train()


class Environment:
    def reset(self, **_: Any) -> None:
        """Begin."""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"environment_factory": Environment}, "do without environment_factory"),
        ({"train_dataset": Dataset.from_dict({"prompt": ["1+1="] * 48, "image": [None] * 48})}, "a column 'image'"),
        ({"scope": "pool"}, "scope=pool offers all at once; choose scope=window or scope=batch"),
        ({"allocator_config": {"pilot": 8}}, "leaves nothing to commit of a full group of 8"),
        ({"allocator_config": {"pilot": 1, "window": 2}}, "window=2 offers fewer"),
        ({"allocator": "greso", "allocator_config": {"pilot": 2}}, "leave `pilot` out"),
        ({"allocator": "uniform", "scope": "batch", "allocator_config": {"pilot": 2}}, "leave `pilot` out"),
    ],
)
def test_what_cannot_be_generated_in_two_waves_is_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((ConfigurationError, BudgetError), match=message):
        made(tmp_path, **ABSENT, **options)


def test_processes_that_cannot_share_a_pilot_equally_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a model is loaded: three prompts with 3 rollouts each, for five processes."""
    monkeypatch.setattr(GRPOConfig, "world_size", 5)
    sizes = {"per_device_train_batch_size": 4, "num_generations": 10}
    told = r"the pilot of round 0 is 9 of 20 rollouts, which 5 processes cannot share.*change pilot to a multiple of 5"
    with pytest.raises(ConfigurationError, match=told):
        made(tmp_path, args=sizes, **ABSENT, allocator_config={"pilot": 3})


def test_an_allocator_of_ones_own(tmp_path: Path) -> None:
    allocator = make_allocator(
        "cero", num_prompts=48, rounds=4, budget=64, max_rollouts_per_prompt=8, offer="window", pilot=2, window=4
    )
    assert isinstance(allocator, PilotAllocator)
    trainer = trained(tmp_path, allocator=allocator, allocator_config=None, scope=None)
    assert trainer.allocator is allocator
    assert [record.counts.sum() for record in trainer.records] == [16] * 4
    again = trained(tmp_path / "again", allocator_config={"pilot": 2, "belief": "beta", "window": 4})
    assert rounds_of(again) == rounds_of(trainer)
