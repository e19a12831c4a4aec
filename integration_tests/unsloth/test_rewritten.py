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


def trained(folder: Path, **kwargs: Any) -> Any:
    model = tiny.model()
    model.for_training = lambda **_: model.train()
    model.for_inference = lambda **_: model.eval()
    trainer = tiny.trainer(folder, tiny.first_is_digit, model=model, args=OPTIONS, **kwargs)
    trainer.train()
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
