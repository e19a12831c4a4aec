"""A finished training, started again: it ends quietly, and with more episodes it goes on with what was learned."""

from __future__ import annotations

from pathlib import Path

from cero_openrlhf.early import SETTINGS_FILE
from integration_tests.openrlhf import tiny


def test_more_episodes_go_on_and_none_end_quietly(tmp_path: Path) -> None:
    folder = tiny.prepare(tmp_path)
    saving = {"ckpt__save_steps": 1, "ckpt__load_enable": True, "ckpt__max_num": 10}
    first = tiny.train(folder, tiny.arguments(folder, train__num_episodes=2, **saving))
    assert first.returncode == 0, first.output[-3000:]
    assert (folder / "checkpoints" / SETTINGS_FILE).is_file()
    last = first.steps[-1]
    assert last["rollout_allocator/budget"] == last["rollout_allocator/budget_spent"] == 2 * 12 * 4

    again = tiny.train(folder, tiny.arguments(folder, train__num_episodes=2, **saving))
    assert again.returncode == 0, again.output[-3000:]
    assert again.steps == []

    longer = tiny.train(folder, tiny.arguments(folder, train__num_episodes=3, **saving))
    assert longer.returncode == 0, longer.output[-3000:]
    assert [step["step"] for step in longer.steps] == [7, 8, 9]
    assert longer.steps[0]["rollout_allocator/budget_spent"] == 2 * 12 * 4 + 16
    assert longer.steps[-1]["rollout_allocator/budget"] == longer.steps[-1]["rollout_allocator/budget_spent"] == 144
    assert [number for number, _ in tiny.rounds(folder)] == list(range(9))  # one trace of all of it
