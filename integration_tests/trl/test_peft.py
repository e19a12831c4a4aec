"""LoRA through PEFT: at equal counts as stock TRL trains it, and resumed as if it had never stopped."""

from pathlib import Path
from typing import Any

import pytest

from integration_tests.trl import tiny

peft = pytest.importorskip(
    "peft", reason="no extra of ours needs PEFT; the session of TRL's latest version installs it"
)


def trained(folder: Path, resume: Path | None = None, **kwargs: Any) -> Any:
    lora = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    args = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "beta": 0.1}
    trainer = tiny.trainer(folder, tiny.first_is_digit, peft_config=lora, args=args, **kwargs)
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return trainer


@pytest.mark.filterwarnings("ignore:.*PEFT:UserWarning")
def test_lora(tmp_path: Path) -> None:
    stock, ours = trained(tmp_path / "stock", stock=True), trained(tmp_path / "ours", allocator="uniform")
    assert tiny.history(ours) == tiny.history(stock)
    assert (tiny.weights(ours) == tiny.weights(stock)).all()
    whole = trained(tmp_path / "whole")
    rest = trained(tmp_path / "rest", tmp_path / "whole" / "checkpoint-2")
    assert (tiny.weights(rest) == tiny.weights(whole)).all()
    assert rest.allocator.metrics() == whole.allocator.metrics()
