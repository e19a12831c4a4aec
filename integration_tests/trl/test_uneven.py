"""Uneven counts in the trainer's own batches."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from cero_api import group_advantages
from integration_tests.trl import tiny

SCRIPT = [[5, 3], [8, 0], [1, 7]]


def group_of_each_rollout(batch: dict[str, torch.Tensor]) -> list[tuple[int, ...]]:
    """The prompts as the trainer itself tokenized them."""
    rows = zip(batch["prompt_ids"].tolist(), batch["prompt_mask"].tolist(), strict=True)
    return [tuple(token for token, kept in zip(ids, mask, strict=True) if kept) for ids, mask in rows]


def test_counts_rewards_and_advantages_of_every_batch(tmp_path: Path) -> None:
    allocator = tiny.Scripted(SCRIPT)
    trained = tiny.trainer(tmp_path, allocator=allocator)
    trained.train()

    tokenize = tiny.tokenizer()
    prompts = tiny.dataset()["prompt"]
    for batch, rewards, record, counts in zip(trained.batches, trained.rewards, trained.records, SCRIPT, strict=True):
        assert record.prompt_ids.tolist() == allocator.asked[record.round]
        expected = [
            tuple(tokenize(prompts[row])["input_ids"])
            for row, count in zip(record.prompt_ids, counts, strict=True)
            for _ in range(count)
        ]
        assert group_of_each_rollout(batch) == expected
        ids = np.repeat(record.prompt_ids, counts)
        by_id = group_advantages(rewards[:, 0].double().numpy(), ids)
        np.testing.assert_allclose(batch["advantages"].numpy(), by_id, rtol=1e-4, atol=1e-4)
        assert np.abs(by_id).sum() > 0


def test_trl_logs_the_true_groups(tmp_path: Path) -> None:
    trained = tiny.trainer(tmp_path, tiny.first_is_digit, allocator=tiny.Scripted(SCRIPT))
    trained.train()
    log = trained.state.log_history[:3]
    for entry, record, rewards in zip(log, trained.records, trained.rewards, strict=True):
        ids = np.repeat(record.prompt_ids, record.counts)
        flat = [len(set(rewards[ids == row, 0].tolist())) == 1 for row in ids]
        assert entry["frac_reward_zero_std"] == pytest.approx(np.mean(flat))
        mixed = [len(set(rewards[ids == row, 0].tolist())) > 1 for row in dict.fromkeys(ids.tolist())]
        assert entry["cero/round_effective_group_rate"] == pytest.approx(np.mean(mixed))
        assert entry["cero/round_success_rate"] == pytest.approx(rewards.mean().item())
        assert (entry["cero/round_signal"] > 0) == any(mixed)
    assert [e["cero/count_max"] for e in log] == [5, 8, 7]
    assert [e["cero/count_min"] for e in log] == [3, 8, 1]
    assert [e["cero/count_zero"] for e in log] == [0, 1, 0]
    assert [e["cero/rollouts_so_far"] for e in log] == [8, 16, 24]
    assert [e["cero/budget_remaining"] for e in log] == [16, 8, 0]
    generated = np.cumsum([batch["completion_mask"].sum().item() for batch in trained.batches])
    assert [e["cero/tokens"] for e in log] == generated.tolist()
    assert all(e["cero/allocator_seconds"] > 0 for e in log)
    assert all({"cero/signal", "cero/tokens", "cero/decidable"} <= e.keys() for e in log)
    parts = [(rewards.numel(), e["cero/round_signal"]) for rewards, e in zip(trained.rewards, log, strict=False)]
    spread = sum(size * signal for size, signal in parts) / sum(size for size, _ in parts)
    assert log[-1]["cero/signal"] == pytest.approx(spread)  # over the whole training
    logged = list(trained._logs["advantages"])
    assert logged == trained.batches[-1]["advantages"].tolist()


def test_the_allocator_learns_what_the_rewards_said(tmp_path: Path) -> None:
    allocator = tiny.Scripted(SCRIPT)
    trained = tiny.trainer(tmp_path, tiny.first_is_digit, allocator=allocator)
    trained.train()
    for record, rewards, outcomes in zip(trained.records, trained.rewards, allocator.observed, strict=True):
        ids = np.repeat(record.prompt_ids, record.counts)
        for row, count, won, lost in zip(
            record.prompt_ids, record.counts, record.successes, record.failures, strict=True
        ):
            assert won == rewards[ids == row, 0].sum()
            assert won + lost == count
        assert outcomes.round == record.round
        assert outcomes.successes.sum() == record.successes.sum()
    assert allocator.exposure().sum() == 24


def test_unscored_rollouts_teach_nothing(tmp_path: Path) -> None:
    def every_third(completions: list[str], **_: Any) -> list[float | None]:
        return [None if i % 3 == 0 else float(i % 3 == 1) for i in range(len(completions))]

    trained = tiny.trainer(tmp_path, every_third, allocator=tiny.Scripted([[6, 2]]), args={"max_steps": 1})
    trained.train()
    (record,) = trained.records  # rows 0-5 are N S F N S F, rows 6-7 are N S
    assert record.successes.tolist() == [2, 1]
    assert record.failures.tolist() == [2, 0]
    assert trained.batches[0]["advantages"][[0, 3, 6, 7]].tolist() == [0] * 4


@pytest.mark.parametrize(
    ("options", "won"),
    [
        ({"success_threshold": 0.9}, [1, 1]),  # float32 turns 0.9 into 0.89999998
        ({"reward_range": (0.1, 0.9)}, [1.5, 1]),
        ({"success_reward": "graded", "success_threshold": 0.5}, [2, 1]),
    ],
)
def test_what_counts_as_success(tmp_path: Path, options: dict[str, Any], won: list[float]) -> None:
    def graded(completions: list[str], **_: Any) -> list[float]:
        return [0.9, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.9]

    trained = tiny.trainer(
        tmp_path,
        [graded, tiny.digits],
        allocator=tiny.Scripted([[6, 2]]),
        args={"max_steps": 1, "reward_weights": [1.0, 0.0]},
        **options,
    )
    trained.train()
    assert trained.records[0].successes == pytest.approx(won, abs=1e-6)


def test_prompt_weight_scales_each_group_by_its_share(tmp_path: Path) -> None:
    plain = tiny.trainer(tmp_path, allocator=tiny.Scripted(SCRIPT), args={"max_steps": 1})
    plain.train()
    even = tiny.trainer(tmp_path, allocator=tiny.Scripted(SCRIPT), prompt_weight="prompt", args={"max_steps": 1})
    even.train()
    factor = torch.tensor([8 / (2 * 5)] * 5 + [8 / (2 * 3)] * 3)
    torch.testing.assert_close(even.batches[0]["advantages"], plain.batches[0]["advantages"] * factor)


def test_equal_prompts_on_two_rows_stay_two_groups(tmp_path: Path) -> None:
    twins = Dataset.from_dict({"prompt": ["1+1="] * 12})
    allocator = tiny.Scripted([[5, 3]])
    trained = tiny.trainer(tmp_path, allocator=allocator, train_dataset=twins, args={"max_steps": 1})
    trained.train()
    first, second = trained.batches[0]["advantages"].split([5, 3])
    assert abs(first.sum()) < 1e-4
    assert abs(second.sum()) < 1e-4
    assert first.abs().sum() > 0
    assert len(set(allocator.asked[0] or [])) == 2


def test_reward_functions_see_the_columns_of_the_dataset_and_no_others(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    def spy(completions: list[str], **columns: Any) -> list[float]:
        seen.append(columns)
        return tiny.digits(completions)

    allocator = tiny.Scripted([[5, 3]])
    tiny.trainer(tmp_path, spy, allocator=allocator, args={"max_steps": 1}).train()
    rows = np.repeat(allocator.asked[0] or [], [5, 3]).tolist()
    assert seen[0]["row"] == rows
    of_trl = {"prompts", "completion_ids", "trainer_state", "log_extra", "log_metric"}
    assert seen[0].keys() - of_trl == {"row"}


def test_remove_unused_columns_is_honoured(tmp_path: Path) -> None:
    seen: list[set[str]] = []

    def spy(completions: list[str], **columns: Any) -> list[float]:
        seen.append(set(columns))
        return tiny.digits(completions)

    options = {"max_steps": 1, "remove_unused_columns": True}
    tiny.trainer(tmp_path, spy, allocator=tiny.Scripted([[5, 3]]), args=options).train()
    assert "row" not in seen[0]


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo", "dapo", "bnpo"])
def test_every_loss_takes_uneven_groups(tmp_path: Path, loss_type: str) -> None:
    trained = tiny.trainer(tmp_path, allocator=tiny.Scripted(SCRIPT), args={"loss_type": loss_type, "beta": 0.0})
    trained.train()
    assert all(np.isfinite(entry["loss"]) for entry in trained.state.log_history[:3])
    assert len(trained.records) == 3
