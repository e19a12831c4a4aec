"""docs/recipes.md: verl composes the commands, the adapter takes their flags, and the data set is as verl reads it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from omegaconf import OmegaConf
from verl.utils.reward_score.gsm8k import compute_score

from cero_verl.config import read_flag
from integration_tests.verl.test_flag import main_ppo

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"python -m verl.trainer.main_ppo \\\n(.*?)```", PAGE, re.DOTALL)
DATA = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]


@pytest.mark.parametrize(("command", "scope"), list(zip(COMMANDS, ("window", "batch"), strict=True)))
def test_a_command_is_composed_and_its_flags_are_taken(command: str, scope: str) -> None:
    shown = main_ppo(*shlex.split(command.replace("\\\n", " ")), "--cfg", "job")
    assert shown.returncode == 0, shown.stderr
    settings, _ = read_flag(OmegaConf.create(shown.stdout))
    assert (settings.name, settings.scope) == ("cero", scope)


def test_the_data_set_is_as_verl_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"question": f"What is {k} + 1,000?", "answer": f"<<{k}+1000={k + 1000}>>\n#### 1,00{k}"} for k in range(3)]

    def made(*named: str, **_: Any) -> Dataset:
        assert named == ("openai/gsm8k", "main")
        return Dataset.from_list(rows)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.load_dataset", made)
    exec(DATA, {})  # the page's own text
    written = pq.read_table(tmp_path / "gsm8k" / "train.parquet").to_pylist()
    assert [row["extra_info"]["index"] for row in written] == [0, 1, 2]
    assert {row["extra_info"]["level"] for row in written} == {1}
    assert compute_score("So it is\n#### 1,002", written[2]["reward_model"]["ground_truth"]) == 1.0
