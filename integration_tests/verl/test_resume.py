"""A resumed training deals what one that never stopped deals; states that do not belong are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

from integration_tests.verl.tiny import Tiny, train

STEPS, SAVED = 6, 4


def flags(folder: Path, *more: str) -> list[str]:
    return [
        "+rollout_allocator=cero",
        "rollout_allocator.saturation=0.5",
        f"rollout_allocator.trace={folder}/trace.jsonl",
        f"trainer.save_freq={SAVED}",
        "actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra]",
        *more,
    ]


def lines(folder: Path) -> list[bytes]:
    return (folder / "trace.jsonl").read_bytes().splitlines()


def test_a_resumed_run_deals_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, steps=STEPS, prompts=8)
    tiny.extra = flags(tmp_path)
    whole = train(tiny)
    before, folder = lines(tmp_path), tmp_path / "checkpoints" / f"global_step_{SAVED}"
    assert {path.name for path in folder.glob("cero_*")} == {
        "cero_allocator.npz",
        "cero_tickets.json",
        "cero_verl.json",
    }
    # verl saved the last step too; without it the run stopped after SAVED steps.
    shutil.rmtree(tmp_path / "checkpoints" / f"global_step_{STEPS}")
    (tmp_path / "checkpoints" / "latest_checkpointed_iteration.txt").write_text(str(SAVED))

    resumed = train(tiny)  # resume_mode=auto is verl's default
    assert resumed.counts() == whole.counts()[SAVED:]
    assert any(len(set(step.values())) > 1 for step in resumed.counts())
    assert lines(tmp_path) == before
    spent = [record["data"]["rollout_allocator/budget_spent"] for record in resumed.log]
    assert spent == [16 * step for step in range(SAVED + 1, STEPS + 1)]

    # And on, for two steps more than it was planned for: what is known and spent is carried over.
    tiny.steps = STEPS + 2
    longer = train(tiny)
    assert [len(rows) for rows in longer.steps] == [16, 16]
    assert any(len(set(step.values())) > 1 for step in longer.counts())
    last = longer.log[-1]["data"]
    assert last["rollout_allocator/budget"] == last["rollout_allocator/budget_spent"] == 16 * (STEPS + 2)
    written = lines(tmp_path)
    assert written[: len(before)] == before
    assert len(written) == len(before) + 2 * 4


def test_a_fresh_start_begins_anew_for_the_steps_that_remain_and_ends_quietly(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, steps=2, prompts=8)
    tiny.extra = ["trainer.save_freq=1", "trainer.max_actor_ckpt_to_keep=1"]
    train(tiny)  # without the flag
    tiny.steps = 4
    tiny.extra = ["+rollout_allocator=cero", "rollout_allocator.fresh_start=true", "trainer.save_freq=4"]
    run = train(tiny)
    assert len(run.steps) == 2
    assert run.log[-1]["data"]["rollout_allocator/budget"] == 2 * 16
    assert run.log[-1]["data"]["rollout_allocator/budget_remaining"] == 0

    again = train(tiny)  # a finished training that is started again
    assert (again.steps, again.log) == ([], [])
