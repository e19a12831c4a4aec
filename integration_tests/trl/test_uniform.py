"""At equal counts the adapter is TRL: same advantages to the bit, same losses, same weights, same log."""

from pathlib import Path

import pytest
import torch

from integration_tests.trl import tiny


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
@pytest.mark.parametrize("aggregation", ["sum_then_normalize", "normalize_then_sum"])
def test_equal_counts_train_exactly_as_trl_does(tmp_path: Path, scale: str, aggregation: str) -> None:
    options = {
        "scale_rewards": scale,
        "multi_objective_aggregation": aggregation,
        "reward_weights": [0.7, 2.0],
        "max_steps": 4,
    }
    functions = [tiny.digits, tiny.last_is_digit]
    stock = tiny.trainer(tmp_path / "stock", functions, stock=True, args=options)
    stock.train()
    ours = tiny.trainer(tmp_path / "ours", functions, allocator="uniform", args=options)
    ours.train()

    assert len(ours.batches) == len(stock.batches) == 4
    assert all(batch["advantages"].abs().sum() > 0 for batch in ours.batches)
    assert any(rewards.isnan().any() for rewards in ours.rewards)
    for mine, theirs in zip(ours.batches, stock.batches, strict=True):
        for key in ("prompt_ids", "completion_ids", "advantages"):
            assert torch.equal(mine[key], theirs[key]), key
    assert tiny.history(ours) == tiny.history(stock)
    assert (tiny.weights(ours) == tiny.weights(stock)).all()
    assert list(ours._logs["advantages"]) == list(stock._logs["advantages"])


def test_the_comparison_can_fail(tmp_path: Path) -> None:
    stock = tiny.trainer(tmp_path / "stock", stock=True)
    stock.train()
    ours = tiny.trainer(tmp_path / "ours", allocator=tiny.Scripted([[5, 3]]))
    ours.train()
    assert tiny.history(ours)[0]["loss"] != tiny.history(stock)[0]["loss"]
