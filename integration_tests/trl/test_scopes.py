"""Pool scope: the allocator picks the prompts; and what evaluation must not notice."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cero_api import available_allocators
from cero_api.errors import BudgetError, PromptError
from integration_tests.trl import tiny


def test_the_pool_is_asked_without_candidates_and_its_prompts_are_generated(tmp_path: Path) -> None:
    allocator = tiny.Scripted([[3, 5], [2, 6, 0], [8]], pool=[7, 2, 4])
    trained = tiny.trainer(tmp_path, allocator=allocator, scope="pool")
    trained.train()
    assert allocator.asked == [None, None, None]
    tokenize, prompts = tiny.tokenizer(), tiny.dataset()["prompt"]
    first = trained.batches[0]["prompt_ids"].tolist()
    assert first == [tokenize(prompts[7])["input_ids"]] * 3 + [tokenize(prompts[2])["input_ids"]] * 5
    assert trained.records[1].counts.tolist() == [2, 6, 0]
    for batch, sizes in zip(trained.batches, [[3, 5], [2, 6], [8]], strict=True):
        assert all(abs(group.sum()) < 1e-4 for group in batch["advantages"].split(sizes))
        assert batch["advantages"].abs().sum() > 0


def test_cero_over_the_pool_admits_whole_groups(tmp_path: Path) -> None:
    trained = tiny.trainer(tmp_path, tiny.first_is_digit, scope="pool", args={"max_steps": 6})
    trained.train()
    assert [record.counts.tolist() for record in trained.records] == [[4, 4]] * 6
    assert trained.allocator.metrics()["budget_remaining"] == 0


def test_cero_in_a_batch_deals_uneven_counts(tmp_path: Path) -> None:
    options = {"max_steps": 12, "per_device_train_batch_size": 16}
    trained = tiny.trainer(tmp_path, tiny.first_is_digit, args=options)
    trained.train()
    counts = np.array([record.counts for record in trained.records])
    assert counts.shape == (12, 4)
    assert (counts.sum(axis=1) == 16).all()
    assert counts.min() >= 2
    assert counts.max() <= 8
    assert len(np.unique(counts)) > 1


@pytest.mark.filterwarnings("ignore:the allocator can decide nothing")  # for it chooses, and all of a batch fit
@pytest.mark.filterwarnings("ignore:round 0. there is nothing to decide")
@pytest.mark.parametrize("scope", ["batch", "pool"])
@pytest.mark.parametrize("name", available_allocators(waves=1))
def test_every_allocator_works_by_name(tmp_path: Path, name: str, scope: str) -> None:
    options = {"max_steps": 2, "per_device_train_batch_size": 24, "num_generations": 12}
    trained = tiny.trainer(tmp_path, tiny.first_is_digit, allocator=name, scope=scope, args=options)
    trained.train()
    assert [record.counts.sum() for record in trained.records] == [24, 24]
    assert trained.records[0].counts.tolist() == [12, 12]  # nothing is known yet
    assert trained.allocator.metrics()["budget_remaining"] == 0


def test_evaluation_is_left_alone(tmp_path: Path) -> None:
    options = {
        "max_steps": 2,
        "eval_strategy": "steps",
        "eval_steps": 1,
        "per_device_eval_batch_size": 6,
        "num_generations_eval": 3,
    }
    held_out = tiny.dataset(4)
    runs = {}
    for name in ("stock", "ours"):
        kind = {"stock": True} if name == "stock" else {"allocator": "uniform"}
        runs[name] = tiny.trainer(tmp_path / name, args=options, eval_dataset=held_out, **kind)
        runs[name].train()
    assert tiny.history(runs["ours"]) == tiny.history(runs["stock"])
    assert any("eval_reward" in entry for entry in runs["ours"].state.log_history)
    assert not any(key.startswith("eval_cero") for entry in runs["ours"].state.log_history for key in entry)

    uneven = tiny.trainer(tmp_path / "uneven", args=options, eval_dataset=held_out, allocator=tiny.Scripted([[5, 3]]))
    before = uneven.evaluate()
    torch.manual_seed(0)
    assert len(uneven.records) == 0
    assert uneven.allocator.asked == []
    assert before["eval_reward"] > 0


def test_an_allocator_that_leaves_rollouts_over_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="total=8 was asked for and Scripted deals 7"):
        tiny.trainer(tmp_path, allocator=tiny.Scripted([[4, 3]])).train()


def test_an_allocator_that_names_a_prompt_twice_is_refused(tmp_path: Path) -> None:
    class Twice(tiny.Scripted):
        def allocate(self, row_ids=None, total=None):  # type: ignore[no-untyped-def]  # a broken allocator
            from cero_api import Allocation

            return Allocation(0, np.array([3, 3]), np.array([4, 4]))

    with pytest.raises(PromptError, match="each once"):
        tiny.trainer(tmp_path, allocator=Twice([[4, 4]]), scope="pool").train()
