"""The trainer's trace: its rounds as they were, continued on resuming, told apart by run."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cero_api.analysis.history import read_history
from cero_api.analysis.replay import replay
from cero_api.errors import TraceError
from cero_api.trace import TraceReader
from integration_tests.trl import tiny

STEPS: dict[str, Any] = {"max_steps": 6, "save_strategy": "steps", "save_steps": 2}


@pytest.mark.parametrize("name", ["trace.jsonl", "trace.jsonl.gz"])
def test_a_resumed_trainings_trace_is_that_of_one_that_never_stopped(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    whole = tiny.trainer(tmp_path / "run", tiny.first_is_digit, args=STEPS, trace=path)
    whole.train()
    straight = path.read_bytes()
    for record, read in zip(whole.records, reader := TraceReader(path), strict=True):
        assert record.round == read.round
        assert [reader.keys[row] for row in read.prompt_ids] == record.prompt_ids.tolist()
        np.testing.assert_array_equal(record.counts, read.counts)
        np.testing.assert_array_equal(record.successes, read.successes)
        np.testing.assert_array_equal(record.failures, read.failures)
    assert reader.header.num_prompts == 12
    assert reader.header.metadata["allocator"] == "cero"

    # Killed in a write after step 4, resumed at step 2.
    path.write_bytes(straight[: int(0.9 * len(straight))])
    rest = tiny.trainer(tmp_path / "run", tiny.first_is_digit, args=STEPS, trace=path)
    rest.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))
    assert path.read_bytes() == straight


def test_missing_rewards_are_told_from_failures(tmp_path: Path) -> None:
    trainer = tiny.trainer(tmp_path, tiny.last_is_digit, trace=tmp_path / "trace.jsonl", allocator="uniform")
    trainer.train()
    for record, read in zip(trainer.records, TraceReader(tmp_path / "trace.jsonl"), strict=True):
        np.testing.assert_array_equal(record.counts, read.counts)
        np.testing.assert_array_equal(record.failures, read.failures)


def test_a_trace_can_be_replayed(tmp_path: Path) -> None:
    tiny.trainer(tmp_path, tiny.first_is_digit, args={"max_steps": 6}, trace=tmp_path / "trace.jsonl").train()
    report = replay(read_history(tmp_path), ["uniform", "cero"], seeds=[0])
    assert [result.metrics["rollouts"].mean for result in report.results] == [48.0, 48.0]


def test_another_runs_trace_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    tiny.trainer(tmp_path / "a", allocator="uniform", trace=path).train()
    shutil.copy(path, tmp_path / "kept.jsonl")
    for other in ({"allocator": "cero"}, {"allocator": "uniform", "args": {"seed": 4}}):
        with pytest.raises(TraceError, match="another run's trace"):
            tiny.trainer(tmp_path / "b", **other, trace=path)
    assert path.read_bytes() == (tmp_path / "kept.jsonl").read_bytes()
