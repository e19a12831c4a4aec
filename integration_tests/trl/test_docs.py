"""The guide's examples run as they stand, but for the model's name and the length of training."""

import re
from pathlib import Path
from typing import Any

from trl import GRPOTrainer

from cero_trl import CeroGRPOTrainer
from integration_tests.trl import tiny

DOCS = Path(__file__).parents[2] / "docs"
GUIDE, EARLY = DOCS / "trl.md", DOCS / "early.md"


def test_the_example_of_the_guide(tmp_path: Path) -> None:
    tiny.model().save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    example = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)[0]
    small = 'report_to="none", use_cpu=True, bf16=False, dataloader_pin_memory=False, max_completion_length=4,'
    for old, new in {
        '"Qwen/Qwen2.5-0.5B"': repr(str(tmp_path / "model")),
        'output_dir="out",': f"output_dir={str(tmp_path / 'out')!r}, {small}",
        "max_steps=200": "max_steps=2",
    }.items():
        assert example.count(old) == 1
        example = example.replace(old, new)
    scope: dict[str, Any] = {}
    exec(example, scope)  # the guide's own text
    trainer = scope["trainer"]
    assert trainer.allocator.metrics()["budget_spent"] == 2 * 64
    assert trainer.state.global_step == 2


def test_the_subclass_of_the_guide(tmp_path: Path) -> None:
    scope: dict[str, Any] = {"Theirs": type("Theirs", (GRPOTrainer,), {}), "CeroGRPOTrainer": CeroGRPOTrainer}
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    [example] = [block for block in blocks if "class Yours" in block]
    exec(example, scope)
    trainer = scope["Yours"](
        model=tiny.model(),
        reward_funcs=tiny.digits,
        args=tiny.arguments(tmp_path),
        train_dataset=tiny.dataset(),
        processing_class=tiny.tokenizer(),
    )
    trainer.train()
    assert trainer.state.global_step == 3


def test_the_line_of_the_page_on_early_rounds(tmp_path: Path) -> None:
    (line,) = [line.strip() for line in EARLY.read_text().splitlines() if "CeroGRPOTrainer(" in line]
    scope: dict[str, Any] = {
        "CeroGRPOTrainer": CeroGRPOTrainer,
        "model": str(tmp_path),
        "reward_funcs": tiny.digits,
        "args": tiny.arguments(tmp_path),
        "dataset": tiny.dataset(48),
    }
    tiny.model().save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    exec(line, scope)
    scope["trainer"].train()
    assert scope["trainer"].allocator.config.offer == "window"
