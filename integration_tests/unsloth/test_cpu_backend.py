"""Unsloth's own CPU backend: its model, its LoRA, and the trainer that it leaves to TRL."""

from unsloth import FastLanguageModel  # noqa: I001 - before transformers

from pathlib import Path
from typing import Any

import numpy as np

from integration_tests.trl import tiny


def test_cero_trains_unsloths_lora(tmp_path: Path) -> None:
    tiny.model().save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    model, _ = FastLanguageModel.from_pretrained(str(tmp_path / "model"), load_in_4bit=False, max_seq_length=32)
    model = FastLanguageModel.get_peft_model(model, r=4, target_modules=["q_proj", "v_proj"])
    before = lora(model)
    args = {"max_steps": 12, "per_device_train_batch_size": 16}
    trainer = tiny.trainer(tmp_path / "out", tiny.first_is_digit, model=model, args=args)
    trainer.train()
    counts = np.array([record.counts for record in trainer.records])
    assert (counts.sum(axis=1) == 16).all()
    assert len(np.unique(counts)) > 1
    assert trainer.allocator.metrics()["budget_remaining"] == 0
    assert any((before[name] != now).any() for name, now in lora(model).items())


def lora(model: Any) -> dict[str, Any]:
    named = model.named_parameters()
    return {name: weights.detach().float().clone() for name, weights in named if "lora" in name}
