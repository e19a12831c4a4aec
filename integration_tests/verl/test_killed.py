"""verl's own command line, killed at a moment it does not choose, as a machine that is taken away kills it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from cero_api.trace import TraceReader
from integration_tests.verl.tiny import UNDISTURBED_STEPS, Run, Tiny, undisturbed_flags

STEPS = UNDISTURBED_STEPS
RAY = [
    "num_cpus=16",
    "+num_gpus=4",
    "+include_dashboard=False",
    "+object_store_memory=200000000",
    "+_node_ip_address=127.0.0.1",
]


def command(folder: Path, trained: str) -> list[str]:
    tiny = Tiny(folder, steps=STEPS, prompts=8)
    tiny.extra = [
        *undisturbed_flags(folder),
        "trainer.save_freq=1",
        *(f"{'+' if word.startswith('+') else ''}ray_kwargs.ray_init.{word.removeprefix('+')}" for word in RAY),
    ]
    return [sys.executable, "-W", "ignore", "-m", trained, *tiny.overrides()]


def saved_step(folder: Path) -> int:
    tracker = folder / "checkpoints" / "latest_checkpointed_iteration.txt"
    return int(tracker.read_text() or 0) if tracker.exists() else 0


def run(folder: Path, *, kill_after: float | None = None) -> int:
    """Train until the end, or until so many seconds after the first step that this run has saved."""
    folder.mkdir(exist_ok=True)
    began, deadline, kill_at = saved_step(folder), time.monotonic() + 300, None
    with (folder / "log.txt").open("a") as log:
        process = subprocess.Popen(
            command(folder, "verl.trainer.main_ppo"),
            env=os.environ | {"VERL_FILE_LOGGER_PATH": str(folder / "log.jsonl"), "RAY_TMPDIR": "/tmp"},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            while process.poll() is None and time.monotonic() < deadline:
                if kill_after is not None and kill_at is None and saved_step(folder) > began:
                    kill_at = time.monotonic() + kill_after
                if kill_at is not None and time.monotonic() >= kill_at:
                    break
                time.sleep(0.02)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def counts(trace: Path) -> list[dict[str, int]]:
    reader = TraceReader(trace)
    return [
        {str(reader.keys[row]): int(n) for row, n in zip(part.prompt_ids, part.counts, strict=True)} for part in reader
    ]


def test_a_killed_run_goes_on_to_deal_what_an_undisturbed_one_deals(undisturbed: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    # A save takes a second, a step three: where in them this falls is the machine's affair.
    assert run(broken, kill_after=random.Random(0).uniform(0, 2)) == -signal.SIGKILL
    assert run(broken) == 0, (broken / "log.txt").read_text()[-4000:]
    assert saved_step(broken) == STEPS
    assert counts(broken / "trace.jsonl") == counts(Path(undisturbed.config.rollout_allocator.trace))
    records = [json.loads(line)["data"] for line in (broken / "log.jsonl").read_text().splitlines()]
    assert records[-1]["rollout_allocator/budget_remaining"] == 0
