"""One reward that is none never ends a training: it is left out or clipped, counted, and the first is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cero_trl.rewards import GIVE_UP_AFTER, Forgiving
from integration_tests.trl import tiny


def at_bad_moments(calls: list[int], bad: int) -> Any:
    """Success or failure by the first character; raises on every completion with the character `bad`, from round 2."""

    def judge(completions: list[str], **_: Any) -> list[float]:
        calls.append(len(completions))
        if len(calls) > 1 and any(text[:1] == tiny.ALPHABET[bad] for text in completions):
            raise ZeroDivisionError("no such fraction")
        return tiny.first_is_digit(completions)

    return judge


def test_a_function_that_raises_costs_the_rollouts_it_raises_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []
    for bad in range(len(tiny.ALPHABET)):  # a character that some completions of a later round begin with
        trainer = tiny.trainer(tmp_path, at_bad_moments(calls, bad), args={"max_steps": 4})
        calls.clear()
        caplog.clear()
        trainer.train()
        if trainer._forgiving.failed:
            break
    failed = trainer._forgiving.failed
    assert 0 < failed < 24
    assert trainer.state.global_step == 4
    assert sum(int(rewards.isnan().sum()) for rewards in trainer.rewards) == failed
    assert trainer.state.log_history[3]["cero/rewards_failed"] == failed
    assert trainer.state.log_history[3]["cero/rewards_missing"] == failed
    assert sum((record.successes + record.failures).sum() for record in trainer.records) == 32 - failed
    assert all(np.isfinite(entry["loss"]) for entry in trainer.state.log_history[:4])
    (said,) = [r.getMessage() for r in caplog.records if r.name == "cero_trl.rewards"]
    assert "reward function judge raised ZeroDivisionError('no such fraction') for prompt '" in said
    missing = next(rewards for rewards in trainer.rewards if rewards.isnan().any())
    batch = trainer.batches[[r is missing for r in trainer.rewards].index(True)]
    assert batch["advantages"][missing[:, 0].isnan()].abs().sum() == 0


def test_a_service_that_stays_down_is_told_of_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def ask(completions: list[str], **_: Any) -> list[float]:
        if trainer.state.global_step > 1:
            raise ConnectionError("nobody is there")
        return tiny.first_is_digit(completions)

    trainer = tiny.trainer(tmp_path, ask, args={"max_steps": 18})
    trainer.train()
    assert trainer.state.global_step == 18
    assert caplog.text.count("the latest 104 rollouts came back without a single usable reward") == 1


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_rollouts_are_scored_one_by_one_after_a_failure(tmp_path: Path, kind: str) -> None:
    def score(completions: list[str], row: list[int], log_extra: Any, log_metric: Any, **_: Any) -> list[float]:
        log_extra("row", row)
        if len(completions) > 1 and state["round"] == 1:
            raise TimeoutError
        log_metric("calls", 1.0)
        return [float(i % 2) for i in row]

    async def later(**arguments: Any) -> list[float]:
        return score(**arguments)

    state = {"round": 0}
    trainer = tiny.trainer(
        tmp_path,
        score if kind == "plain" else later,
        args={"max_steps": 2},
        allocator="uniform",
        on_round=lambda record: state.update(round=record.round + 1),
    )
    trainer.train()
    assert not any(rewards.isnan().any() for rewards in trainer.rewards)
    assert trainer._forgiving.failed == 0
    # TRL's table of completions has one row for each rollout, whatever was called how often.
    assert len(trainer._logs["extra"]["row"]) == len(trainer._logs["prompt"]) == 8


def test_a_function_that_never_worked_raises_as_in_trl(tmp_path: Path) -> None:
    def broken(completions: list[str], answer: list[str], **_: Any) -> list[float]:
        return []

    with pytest.raises(TypeError, match="answer"):
        tiny.trainer(tmp_path, broken, allocator="uniform").train()


def test_a_service_that_is_down_is_not_asked_for_every_rollout() -> None:
    asked = []

    def service(completions: list[str], **_: Any) -> list[float]:
        asked.append(len(completions))
        if len(asked) > 1:
            raise ConnectionError
        return [1.0] * len(completions)

    forgiving = Forgiving()
    wrapped = forgiving.wrap(service)
    batch = {"completions": ["a"] * 100, "prompts": [str(i) for i in range(100)]}
    assert wrapped(**batch) == [1.0] * 100
    assert wrapped(**batch) == [None] * 100
    assert asked == [100, 100, *[1] * GIVE_UP_AFTER]
    assert forgiving.failed == 100


def test_what_is_no_number_costs_its_rollout_alone() -> None:
    def sloppy(completions: list[str], **_: Any) -> list[Any]:
        return [
            {"a": 0.5, "b": None, "c": "", "d": torch.tensor(0.25, requires_grad=True)}[text] for text in completions
        ]

    wrapped = Forgiving().wrap(sloppy)
    assert wrapped(completions=["a", "b", "d"], prompts=["x"] * 3) == [0.5, None, 0.25]
    assert wrapped(completions=["a", "c", "d"], prompts=["x"] * 3) == [0.5, None, 0.25]
    assert wrapped.__name__ == "sloppy"


def returns(values: Any) -> Any:
    def given(completions: list[str], **_: Any) -> Any:
        return values if isinstance(values, list) else values.clone()

    return given


@pytest.mark.parametrize("nothing", [float("nan"), float("inf"), -float("inf"), None])
def test_a_reward_that_is_none_is_left_out(tmp_path: Path, nothing: Any) -> None:
    rewards = [1.0, 0.0, nothing, 0.0, 1.0, 1.0, 0.0, 0.0]
    trainer = tiny.trainer(tmp_path, returns(rewards), allocator=tiny.Scripted([[5, 3]]), args={"max_steps": 2})
    trainer.train()
    for record in trainer.records:
        assert record.successes.tolist() == [2, 1]
        assert record.failures.tolist() == [2, 2]
    for batch in trainer.batches:
        assert batch["advantages"][2] == 0
        assert batch["advantages"].isfinite().all()
        assert batch["advantages"].abs().sum() > 0
    assert np.isfinite(tiny.weights(trainer)).all()
    assert trainer.state.log_history[1]["cero/rewards_missing"] == 2


def test_a_reward_outside_of_the_range_is_clipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rewards = [7.0, 0.5, -1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    trainer = tiny.trainer(
        tmp_path, returns(rewards), allocator=tiny.Scripted([[4, 4]]), reward_range=(0, 1), args={"max_steps": 2}
    )
    trainer.train()
    assert trainer.records[0].successes.tolist() == [1.5, 1.0]
    assert trainer.state.log_history[1]["cero/rewards_clipped"] == 4
    (said,) = [r.getMessage() for r in caplog.records if "is outside of" in r.getMessage()]
    row = trainer.records[0].prompt_ids[0]
    assert f"reward 7 of prompt {row}, {tiny.dataset()['prompt'][row]!r} is outside of reward_range=(0, 1)" in said
    # The advantages are of the rewards as they were.
    assert trainer.batches[0]["advantages"][0] > trainer.batches[0]["advantages"][1]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("gradient", [False, True])
def test_tensors_are_taken_as_stock_takes_them(tmp_path: Path, dtype: torch.dtype, gradient: bool) -> None:
    values = torch.tensor([0.1, 0.9, 1.0, 0.3, 0.2, 0.2, 0.0, 1.0], dtype=dtype, requires_grad=gradient)
    plain = tiny.trainer(tmp_path, returns(values.detach()), stock=True, args={"max_steps": 2})
    plain.train()
    ours = tiny.trainer(tmp_path, returns(values), allocator="uniform", success_threshold=0.9, args={"max_steps": 2})
    ours.train()
    for mine, theirs in zip(ours.batches, plain.batches, strict=True):
        assert torch.equal(mine["advantages"], theirs["advantages"])
    assert (tiny.weights(ours) == tiny.weights(plain)).all()
    assert ours.records[0].successes.sum() == 3  # 0.9 is 0.8984 in bfloat16
