"""docs/recipes.md: the command of OpenRLHF's recipe is parsed to its end, and its agent gives an answer two tries."""

from __future__ import annotations

import asyncio
import re
import shlex
from typing import Any

import pytest

from integration_tests.openrlhf import tiny
from integration_tests.openrlhf.test_command_line import launched

PAGE = (tiny.ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
(COMMAND,) = re.findall(r"python -m cero_openrlhf \\\n(.*?)```", PAGE, re.DOTALL)
(AGENT,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "AgentExecutor" in block)


def test_the_command_is_parsed_to_its_end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(COMMAND.replace("\\\n", " "))
    # One wrong word at the end: the only fault that is found.
    assert launched([*words, "--cero.saturation", "0"], monkeypatch) == 2
    [fault] = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert fault.endswith("--cero.saturation 0: Input should be greater than 0")


@pytest.mark.parametrize(
    ("answers", "rewards"),
    [(["#### 1,200"], [1.0]), (["#### 7", "no: #### 1200"], [0.0, 1.0]), (["#### 7", "#### 8"], [0.0, 0.0])],
)
def test_the_agent_gives_two_tries(answers: list[str], rewards: list[float]) -> None:
    scope: dict[str, Any] = {}
    exec(AGENT, scope)  # the page's own text
    agent = scope["Tries"]()
    turns = [asyncio.run(agent.step({"action_text": text, "label": "1200"})) for text in answers]
    assert [float(turn["rewards"]) for turn in turns] == rewards
    assert [turn["done"] for turn in turns] == [False] * (len(turns) - 1) + [True]
