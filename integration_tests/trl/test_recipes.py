"""docs/recipes.md: TRL's recipe as it stands, but for the model, the rows, the length, and vLLM."""

import re
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from integration_tests.trl import tiny

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
(RECIPE,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "CeroGRPOTrainer" in block)
# Of a model that knows a few characters and no chat.
TEMPLATE = "{% for message in messages %}{{ message['content'][-2:] }}{% endfor %}"


def test_the_recipe_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.model().save_pretrained(tmp_path / "model")
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(tmp_path / "model")
    rows = [{"question": f"{k}+{k}=", "answer": "<<step>>" * (k % 3) + f"\n#### {2 * k}"} for k in range(64)]

    def made(*named: str, **_: Any) -> Dataset:
        assert named == ("openai/gsm8k", "main")
        return Dataset.from_list(rows)

    monkeypatch.setattr("datasets.load_dataset", made)
    recipe = RECIPE
    small = 'report_to="none", use_cpu=True, bf16=False, dataloader_pin_memory=False,'
    for old, new in {
        '"Qwen/Qwen2.5-1.5B-Instruct"': repr(str(tmp_path / "model")),
        'output_dir="out",': f"output_dir={str(tmp_path / 'out')!r}, {small}",
        '"out/cero.jsonl"': repr(str(tmp_path / "cero.jsonl")),
        "num_train_epochs=2": "max_steps=2",
        "max_completion_length=512": "max_completion_length=4",
        "use_vllm=True,": "",
        'vllm_mode="colocate",': "",
    }.items():
        assert recipe.count(old) == 1, old
        recipe = recipe.replace(old, new)
    scope: dict[str, Any] = {}
    exec(recipe, scope)  # the page's own text
    trainer = scope["trainer"]
    assert trainer.allocator.metrics()["budget_spent"] == 2 * 64
    assert trainer.allocator.config.offer == "window"
    assert trainer.state.global_step == 2
    answers = [[{"content": "so #### 1,200"}], [{"content": "#### 7"}]]
    assert scope["correct"](answers, ["1200", "8"]) == [1.0, 0.0]
