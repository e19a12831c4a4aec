"""The trainer that Unsloth writes from TRL's text for a GPU, trained on a CPU.

Stand-ins for what needs a GPU: Unsloth is told that there is one, and the two methods that switch its own models are
the model's. The classes, their methods and the loss are those that Unsloth has written; its kernels are not run.
"""

import integration_tests.unsloth.rewriting  # noqa: F401, I001 - it patches what is imported below

from pathlib import Path
from typing import Any

import torch
from trl import GRPOTrainer

from cero_trl import guard
from integration_tests.trl import tiny

OPTIONS = {"max_steps": 6, "per_device_train_batch_size": 16, "optim": "adamw_torch"}


def trained(folder: Path, resume: Path | None = None, args: dict[str, Any] | None = None, **kwargs: Any) -> Any:
    model = tiny.model()
    model.for_training = lambda **_: model.train()
    model.for_inference = lambda **_: model.eval()
    trainer = tiny.trainer(folder, tiny.first_is_digit, model=model, args={**OPTIONS, **(args or {})}, **kwargs)
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return trainer


def test_the_guard_knows_what_unsloth_wrote() -> None:
    assert GRPOTrainer.__name__ == "UnslothGRPOTrainer"
    guard.check_trl()


def test_cero_deals_uneven_counts(tmp_path: Path) -> None:
    trainer = trained(tmp_path)
    assert len({int(count) for record in trainer.records for count in record.counts}) > 1
    assert trainer.allocator.metrics()["budget_remaining"] == 0
    for batch, record in zip(trainer.batches, trainer.records, strict=True):
        groups = batch["advantages"].split(record.counts.tolist())
        assert all(abs(float(group.sum())) < 1e-3 for group in groups)


def test_equal_counts_train_exactly_as_unsloth_does(tmp_path: Path) -> None:
    stock, ours = trained(tmp_path / "stock", stock=True), trained(tmp_path / "ours", allocator="uniform")
    for mine, theirs in zip(ours.batches, stock.batches, strict=True):
        assert torch.equal(mine["completion_ids"], theirs["completion_ids"])
        assert torch.equal(mine["advantages"], theirs["advantages"])
    assert (tiny.weights(ours) == tiny.weights(stock)).all()


def test_a_round_in_two_waves_is_one_and_resumes_in_its_middle(tmp_path: Path) -> None:
    pilot: dict[str, Any] = {"scope": "window", "allocator_config": {"pilot": 2, "belief": "pooled"}}
    pilot |= {"train_dataset": tiny.dataset(48)}
    args = {"num_generations": 8, "steps_per_generation": 2, "save_strategy": "steps", "save_steps": 3}
    whole = trained(tmp_path / "whole", args=args, **pilot)
    assert {2, 8} <= {int(count) for record in whole.records for count in record.counts}
    for batch, record in zip(whole.batches, whole.records, strict=True):
        prompts = {tuple(row.tolist()) for row in batch["prompt_ids"]}
        assert len(prompts) == (record.counts > 0).sum()
        of_prompt = [(batch["prompt_ids"] == torch.tensor(prompt)).all(dim=1) for prompt in prompts]
        assert sorted(int(rows.sum()) for rows in of_prompt) == sorted(record.counts[record.counts > 0].tolist())
        assert all(abs(float(batch["advantages"][rows].sum())) < 1e-3 for rows in of_prompt)
    rest = trained(tmp_path / "rest", tmp_path / "whole" / "checkpoint-3", args=args, **pilot)
    assert [record.counts.tolist() for record in rest.records] == [
        record.counts.tolist() for record in whole.records[-len(rest.records) :]
    ]
    assert (tiny.weights(rest) == tiny.weights(whole)).all()
