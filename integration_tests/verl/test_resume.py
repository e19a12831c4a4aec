"""A resumed training deals what one that never stopped deals; states that do not belong are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cero_api.errors import CheckpointError
from integration_tests.verl.tiny import Tiny, save_prompts, train

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

    _refusals(tmp_path, folder, tiny)


def _refusals(tmp_path: Path, folder: Path, tiny: Tiny) -> None:
    """What the same checkpoint is refused for; each of these starts verl up to the allocator, so they share one."""
    from cero_api.allocators import config_type
    from cero_verl.checkpoint import Progress, load_state, resumed_folder
    from cero_verl.config import allocator_config, read_flag, schedule_of
    from cero_verl.prompts import index_of, train_dataset

    def load(tiny: Tiny) -> dict[str, bytes]:
        config = tiny.config()
        settings, fields = read_flag(config)
        index = index_of(train_dataset(config))
        schedule = schedule_of(config, settings, len(index))
        found = resumed_folder(config)
        assert found is not None
        mine = allocator_config(settings, fields, schedule)
        return load_state(
            found.path, config_type(settings.name), mine, Progress(step=found.step, pool=index.fingerprint)
        )

    shutil.rmtree(tmp_path / "checkpoints" / f"global_step_{STEPS}", ignore_errors=True)
    (tmp_path / "checkpoints" / "latest_checkpointed_iteration.txt").write_text(str(SAVED))
    assert set(load(tiny)) == {"cero_allocator.npz", "cero_tickets.json"}

    by_path = [f"trainer.resume_from_path={folder}", "trainer.resume_mode=resume_path"]
    tiny.extra = flags(tmp_path, *by_path)
    assert load(tiny)

    tiny.extra = flags(tmp_path, "rollout_allocator.saturation=2")
    with pytest.raises(CheckpointError, match=r"saturation=0\.5 \(now 2\.0\).*fresh_start=true"):
        load(tiny)
    tiny.extra = flags(tmp_path)
    tiny.steps = STEPS + 1
    with pytest.raises(CheckpointError, match=r"rounds=6 \(now 7\)"):
        load(tiny)
    tiny.steps = STEPS

    prompts = (tmp_path / "train.parquet").read_bytes()
    save_prompts(tmp_path / "train.parquet", 8, indices=list(range(1, 9)))
    with pytest.raises(CheckpointError, match="other train prompts"):
        load(tiny)
    (tmp_path / "train.parquet").write_bytes(prompts)

    (folder / "cero_allocator.npz").write_bytes((folder / "cero_allocator.npz").read_bytes()[:100])
    with pytest.raises(CheckpointError, match="torn or foreign"):
        load(tiny)
    (folder / "cero_verl.json").unlink()
    with pytest.raises(CheckpointError, match=r"no cero_verl.json.*resume_path.*fresh_start=true"):
        load(tiny)


def test_a_fresh_start_begins_anew_for_the_steps_that_remain(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, steps=2, prompts=8)
    tiny.extra = ["trainer.save_freq=1", "trainer.max_actor_ckpt_to_keep=1"]
    train(tiny)  # without the flag
    tiny.steps = 4
    tiny.extra = ["+rollout_allocator=cero"]
    with pytest.raises(CheckpointError, match=r"without \+rollout_allocator"):
        train(tiny)
    tiny.extra.append("rollout_allocator.fresh_start=true")
    run = train(tiny)
    assert len(run.steps) == 2
    assert run.log[-1]["data"]["rollout_allocator/budget"] == 2 * 16
    assert run.log[-1]["data"]["rollout_allocator/budget_remaining"] == 0
