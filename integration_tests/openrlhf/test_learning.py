"""The command line of benchmarks/through_trainers.py: the regime's sizes, and of the allocator nothing but its name."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.through.by_openrlhf import command
from benchmarks.through.jobs import ALLOCATORS, Through
from cero_openrlhf.config import allocator_config, read_settings, schedule_of
from cero_openrlhf.launcher import main
from integration_tests.openrlhf import made


@pytest.mark.parametrize("variant", ALLOCATORS)
@pytest.mark.parametrize(("regime", "prompts"), [("hard-one-visit", 640), ("hard-two-visits", 320)])
def test_nothing_is_configured(variant: str, regime: str, prompts: int, tmp_path: Path) -> None:
    job = Through(regime, variant, 5, 0, "openrlhf")
    words = command(job, tmp_path)
    given = {word: value for word, value in pairwise([*words, ""]) if word.startswith("--")}
    assert {word for word in given if word.startswith("--cero.")} == {"--cero.allocator", "--cero.trace"}
    names = ("rollout.batch_size", "rollout.n_samples_per_prompt", "train.num_episodes")
    sizes = {name: int(given[f"--{name}"]) for name in names}
    args = made.args(**sizes, **{"cero.allocator": job.allocator})
    del args.cero.scope  # which those arguments name
    settings, fields = read_settings(args)
    schedule = schedule_of(args, prompts, prompts)
    found = allocator_config(settings, fields, schedule)
    assert (schedule.rounds, schedule.budget) == (80, 5120)
    assert set(fields) <= {"belief"}  # which follows from the scope
    assert {name: getattr(found, name) for name in job.fields} == job.fields


def test_openrlhf_parses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(Through("hard-one-visit", "default", 5, 0, "openrlhf"), tmp_path)
    # One wrong word at the end: the only fault that is found.
    monkeypatch.setattr(sys, "argv", ["cero_openrlhf", *words, "--cero.saturation", "0"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    [fault] = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert fault.endswith("--cero.saturation 0: Input should be greater than 0")
