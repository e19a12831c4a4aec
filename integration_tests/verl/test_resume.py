"""A resumed training deals what one that never stopped deals; states that do not belong are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

from integration_tests.verl.tiny import UNDISTURBED_SAVED, UNDISTURBED_STEPS, Run, Tiny, train, undisturbed_flags

STEPS, SAVED = UNDISTURBED_STEPS, UNDISTURBED_SAVED


def lines(folder: Path) -> list[bytes]:
    return (folder / "trace.jsonl").read_bytes().splitlines()


def test_a_training_that_stopped_goes_on(undisturbed: Run, tmp_path: Path) -> None:
    """As it was, then longer than planned, then without what was known, until there is nothing left to do."""
    folder = tmp_path / "again"
    shutil.copytree(Path(undisturbed.config.rollout_allocator.trace).parent, folder)
    tiny = Tiny(folder, steps=STEPS, prompts=8, extra=undisturbed_flags(folder))
    before, checkpoints = lines(folder), folder / "checkpoints"
    names = {"cero_allocator.npz", "cero_tickets.json", "cero_verl.json"}
    assert {path.name for path in (checkpoints / f"global_step_{SAVED}").glob("cero_*")} == names
    # verl saved the last step too; without it the run stopped after SAVED steps.
    shutil.rmtree(checkpoints / f"global_step_{STEPS}")
    (checkpoints / "latest_checkpointed_iteration.txt").write_text(str(SAVED))

    resumed = train(tiny)  # resume_mode=auto is verl's default
    assert resumed.counts() == undisturbed.counts()[SAVED:]
    assert any(len(set(step.values())) > 1 for step in resumed.counts())
    assert lines(folder) == before
    spent = [record["data"]["rollout_allocator/budget_spent"] for record in resumed.log]
    assert spent == [16 * step for step in range(SAVED + 1, STEPS + 1)]

    # And on, for two steps more than it was planned for: what is known and spent is carried over.
    tiny.steps = STEPS + 2
    longer = train(tiny)
    assert [len(rows) for rows in longer.steps] == [16, 16]
    assert any(len(set(step.values())) > 1 for step in longer.counts())
    last = longer.log[-1]["data"]
    assert last["rollout_allocator/budget"] == last["rollout_allocator/budget_spent"] == 16 * (STEPS + 2)
    written = lines(folder)
    assert written[: len(before)] == before
    assert len(written) == len(before) + 2 * 4

    # A checkpoint as stock verl writes it: a new allocator for the steps that remain.
    for path in (checkpoints / f"global_step_{STEPS + 2}").glob("cero_*"):
        path.unlink()
    tiny.steps = STEPS + 4
    tiny.extra = ["+rollout_allocator=cero", "rollout_allocator.fresh_start=true", "trainer.save_freq=4"]
    fresh = train(tiny)
    assert len(fresh.steps) == 2
    assert fresh.log[-1]["data"]["rollout_allocator/budget"] == 2 * 16
    assert fresh.log[-1]["data"]["rollout_allocator/budget_remaining"] == 0

    over = train(tiny)  # a finished training that is started again
    assert (over.steps, over.log) == ([], [])
