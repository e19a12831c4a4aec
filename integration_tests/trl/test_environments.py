"""Environments with tools, over a dataset of tasks: each rollout has its own, of the task that was dealt to it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from datasets import Dataset
from packaging.version import Version

from cero_api import group_advantages
from integration_tests.tiny_model import make_model
from integration_tests.trl import tiny

pytestmark = pytest.mark.skipif(
    Version(transformers.__version__) < Version("5.13"), reason="TRL's tools need a response template of transformers"
)


class Environment:
    """A task with a number; the tool tells it."""

    def reset(self, goal: int, **_: Any) -> str:
        """Begin a task."""
        self.goal, self.seen = goal, 0
        return f"find {goal}"

    def look(self, where: str) -> str:
        """Look somewhere.

        Args:
            where: a place.
        """
        self.seen += 1
        return str(self.goal)


def test_every_rollout_plays_the_task_that_was_dealt_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    tasks = Dataset.from_list(
        [{"prompt": [{"role": "user", "content": f"task {i}: "}], "goal": 100 + i} for i in range(12)]
    )
    played: list[list[tuple[int, int]]] = []

    def found(completions: Any, environments: list[Environment], goal: list[int], **_: Any) -> list[float]:
        assert [environment.goal for environment in environments] == goal
        told = [
            any(turn.get("content") == str(g) for turn in turns) for turns, g in zip(completions, goal, strict=True)
        ]
        played.append([(environment.goal, environment.seen) for environment in environments])
        return [float(what) for what in told]

    allocator = tiny.Scripted([[5, 3], [2, 6]])
    trainer = tiny.Calling(
        model=make_model(tiny.LETTERS, positions=2048),
        reward_funcs=found,
        args=tiny.arguments(tmp_path, max_steps=2, max_completion_length=260, max_tool_calling_iterations=1),
        train_dataset=tasks,
        processing_class=tiny.chat_tokenizer(),
        environment_factory=Environment,
        allocator=allocator,
    )
    trainer.train()
    for round_, asked, counts in zip(played, allocator.asked, [[5, 3], [2, 6]], strict=False):
        assert [goal for goal, _ in round_] == np.repeat([100 + row for row in asked or []], counts).tolist()
        assert [seen for _, seen in round_] == [0, 1] * 4
    for rewards, counts, batch in zip(trainer.rewards, [[5, 3], [2, 6]], trainer.batches, strict=True):
        assert rewards[:, 0].tolist() == [0, 1] * 4
        expected = group_advantages(rewards[:, 0].double().numpy(), np.repeat([0, 1], counts))
        np.testing.assert_allclose(batch["advantages"].numpy(), expected, rtol=1e-3, atol=1e-3)
