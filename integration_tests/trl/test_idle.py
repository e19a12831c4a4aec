"""A training in which the allocator can decide nothing, or learns nothing, says so, with the remedy."""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cero_api import CeroAllocator, CeroConfig, RolloutOutcomes
from cero_api.errors import ConfigurationError
from integration_tests.trl import tiny


@contextmanager
def our_warnings() -> Iterator[list[str]]:
    said: list[str] = []
    with warnings.catch_warnings(record=True) as all_of_them:
        warnings.simplefilter("always")
        yield said
    said += [str(warning.message) for warning in all_of_them if warning.category is UserWarning]


@pytest.mark.parametrize(
    ("options", "args", "reason"),
    [
        ({}, {"num_generations": 2}, r"groups have 2 rollouts on average and at least 2.* raise the group size"),
        (
            {"allocator_config": {"max_rollouts_per_prompt": 4}},
            {"num_train_epochs": 3},
            r'at most 4.* raise allocator_config=\{"max_rollouts_per_prompt"',
        ),
        ({}, {"num_generations": 8, "num_train_epochs": 3}, "a batch has one prompt, which gets all"),
        ({"features": [[1.0]] * 12}, {"num_train_epochs": 1}, "every prompt is visited once"),
        (
            {"allocator_config": {"rollouts_per_unit": 4}},
            {"num_train_epochs": 3},
            "and at least 4, so all counts are equal",
        ),
        ({}, {"num_train_epochs": 1}, 'every prompt is visited once.*scope="window"'),
        ({"scope": "pool", "train_dataset": tiny.dataset(2)}, {"num_train_epochs": 3}, "all fit into a round"),
    ],
)
def test_nothing_to_decide(tmp_path: Path, options: dict[str, Any], args: dict[str, Any], reason: str) -> None:
    with our_warnings() as said:
        tiny.trainer(tmp_path, args={"max_steps": -1, **args}, **options)
    (warning,) = said
    assert re.search(f"^the allocator can decide nothing: .*{reason}", warning)


def test_what_can_decide_something_is_not_warned_of(tmp_path: Path) -> None:
    known = CeroAllocator(CeroConfig(num_prompts=12, rounds=7, budget=56, capacity=8))
    dealt = known.allocate([0, 1], total=8)
    known.observe(RolloutOutcomes(dealt.prompt_ids, [4, 0], [0, 4]))
    with our_warnings() as said:
        tiny.trainer(tmp_path, args={"max_steps": -1, "num_train_epochs": 2})
        tiny.trainer(tmp_path, scope="pool", args={"max_steps": -1, "num_train_epochs": 1})
        tiny.trainer(tmp_path, allocator="uniform", args={"num_generations": 2})
        tiny.trainer(tmp_path, allocator=known, args={"max_steps": -1, "num_train_epochs": 1})
    assert said == []


def below(completions: list[str], **_: Any) -> list[float]:
    """Graded, and never 1."""
    return [share / 2 - 0.5 for share in tiny.digits(completions)]


def above(completions: list[str], **_: Any) -> list[float]:
    """Graded, and always more than 1."""
    return [share + 2 for share in tiny.digits(completions)]


@pytest.mark.parametrize(
    ("rewards", "message"),
    [
        (below, r"no reward reached success_threshold=1.*: rewards go from -0\.5 to .*set success_threshold"),
        (
            above,
            r"every reward reached success_threshold=1.*: rewards go from 2.* or reward_range to \(lowest, highest\)",
        ),
    ],
)
def test_rewards_that_no_threshold_tells_apart(tmp_path: Path, rewards: Any, message: str) -> None:
    trainer = tiny.trainer(tmp_path, rewards, args={"max_steps": 4})
    with our_warnings() as said:
        trainer.train()
    (warning,) = said  # once
    assert re.search(message, warning)


def test_rewards_that_a_rule_fits_are_not_warned_of(tmp_path: Path) -> None:
    with our_warnings() as said:
        tiny.trainer(tmp_path, below, reward_range=(-0.5, 0), args={"max_steps": 4}).train()
        tiny.trainer(tmp_path, tiny.first_is_digit, args={"max_steps": 4}).train()
    assert [warning for warning in said if "rewards go" in warning] == []


def test_a_reward_model_needs_a_rule(tmp_path: Path) -> None:
    for model in ("some/reward-model", tiny.model()):
        with pytest.raises(ConfigurationError, match=r"scores have no scale of their own.* reward_range=\(lowest"):
            tiny.trainer(tmp_path, [tiny.digits, model])
    with pytest.raises(ConfigurationError, match="no scale of their own"):
        tiny.trainer(tmp_path, ["some/reward-model"], success_reward=None)
    # With a rule, or a function that judges, TRL goes on to load it.
    rules: list[dict[str, Any]] = [{"success_threshold": 0.0}, {"reward_range": (-5, 5)}, {"success_reward": "digits"}]
    for rule in rules:
        with pytest.raises(OSError, match="offline mode"):
            tiny.trainer(tmp_path, [tiny.digits, "some/reward-model"], **rule)


def test_the_start_line_says_what_will_be_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = {"max_steps": 6, "save_strategy": "steps", "save_steps": 4}
    tiny.trainer(tmp_path, tiny.first_is_digit, args=args, success_threshold=0.5).train()
    assert (
        "cero: scope batch, 4 rollouts a prompt on average, 2 to 8; a reward of 0.5 or more is a success; 48 of 48 "
        "rollouts and 6 of 6 rounds to go, 12 prompts; nothing is known of a prompt before its first visit\n"
    ) in capsys.readouterr().err
    again = tiny.trainer(tmp_path, tiny.first_is_digit, args=args, success_threshold=0.5)
    tiny.trainer(tmp_path, [tiny.digits, tiny.first_is_digit], success_reward="first_is_digit").train()
    assert "; a reward by first_is_digit of 1 or more is a success;" in capsys.readouterr().err
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert "16 of 48 rollouts and 2 of 6 rounds to go, 12 prompts; success rates are told apart, 8 prompts visited" in (
        capsys.readouterr().err
    )


def test_a_missing_reward_is_named_once_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer = tiny.trainer(tmp_path, tiny.last_is_digit, allocator="uniform")
    with caplog.at_level(logging.WARNING, logger="cero_api"):
        trainer.train()
    missing = sum(int(rewards.isnan().sum()) for rewards in trainer.rewards)
    assert missing > 1
    assert trainer.state.log_history[2]["cero/rewards_missing"] == missing
    named = [record.getMessage() for record in caplog.records if "came back without a reward" in record.getMessage()]
    assert len(named) == 1
    row = next(
        r.prompt_ids.repeat(r.counts)[rewards[:, 0].isnan()][0]
        for r, rewards in zip(trainer.records, trainer.rewards, strict=True)
        if rewards.isnan().any()
    )
    assert f"of prompt {row}, {tiny.dataset()['prompt'][row]!r}" in named[0]
