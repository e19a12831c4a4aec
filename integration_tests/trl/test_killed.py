"""A training that is killed again and again deals what one that nobody disturbs deals."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from cero_api.trace import TraceReader

STEPS, KILLS = 40, 2


def trained(folder: Path, kill_after: float | None = None) -> int:
    """Train to the end, or until so many seconds after this process's first checkpoint."""
    folder.mkdir(exist_ok=True)
    before = set(folder.glob("checkpoint-*"))
    command = [sys.executable, "-m", "integration_tests.trl.until_killed", str(folder), str(STEPS)]
    with (folder / "log.txt").open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            if kill_after is not None:
                while process.poll() is None and set(folder.glob("checkpoint-*")) <= before:
                    time.sleep(0.01)
                time.sleep(kill_after)
                process.kill()
            return process.wait(timeout=300)
        finally:
            process.kill()


def rounds(folder: Path) -> list[tuple[int, list[object], list[int], list[float]]]:
    reader = TraceReader(folder / "trace.jsonl")
    return [
        (part.round, [reader.keys[row] for row in part.prompt_ids], part.counts.tolist(), part.successes.tolist())
        for part in reader
    ]


def test_killed_runs_deal_what_an_undisturbed_one_deals(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert trained(whole) == 0, (whole / "log.txt").read_text()[-4000:]
    moments, kills = random.Random(0), 0
    for _ in range(10):
        code = trained(broken, moments.uniform(0, 0.3))
        assert code <= 0, (broken / "log.txt").read_text()[-4000:]
        kills = kills + 1 if code < 0 else 0
        if kills == KILLS:
            break
        if code == 0:  # a step takes 0.04 s and more; so fast a machine, or so late a kill, begins anew
            shutil.rmtree(broken)
    assert kills == KILLS
    assert trained(broken) == 0, (broken / "log.txt").read_text()[-4000:]
    assert len(rounds(whole)) == STEPS
    assert rounds(broken) == rounds(whole)
