"""The guide's example runs as it stands, but for the model's name and the length of training."""

import re
from pathlib import Path
from typing import Any

from integration_tests.trl import tiny

GUIDE = Path(__file__).parents[2] / "docs" / "trl.md"


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
