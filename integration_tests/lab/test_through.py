"""Trainings through real trainers: their jobs, what they leave behind, their rewards, their table; TRL end to end."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.through.by_trl import train
from benchmarks.through.jobs import TRAINERS, Through, jobs_of, named, read_all
from benchmarks.through.report import FAST, PUBLISHED, blocks
from benchmarks.through.rewards import compute_score, reward_func
from benchmarks.through.told import evaluated, rounds_of, told
from benchmarks.through_trainers import make
from cero_api.adapting.defaults import allocator_fields
from cero_api.analysis.learning import read_trainings
from cero_api.trace import TraceReader, TraceRound, TraceWriter
from cero_lab.evidence.published import write_regimes
from cero_lab.fast.chances import chances
from cero_lab.fast.network import Network
from cero_lab.fast.questions import Questions
from cero_lab.fast.scene import Scene
from cero_lab.grid.making import exam
from cero_lab.grid.record import GridRecord, read
from cero_lab.grid.regimes import REGIMES, Regime
from cero_lab.grid.starts import MODELS, start
from cero_lab.grid.variants import VARIANTS, Allocated, shape_of
from cero_lab.settings import EvalSettings, ModelSettings, TrainSettings, WarmstartSettings
from cero_lab.tasks import pool
from integration_tests.tiny_model import Passes, make_model

TINY = Regime(
    pool="easy",
    train=TrainSettings(prompts=24, rounds=6, prompts_per_round=4, group_size=4, warmup=1, learning_rate=1e-3),
    model="tiny",
    evaluation=EvalSettings(prompts=12, samples=0, every=4),
)
MODEL = WarmstartSettings(
    model=ModelSettings(width=16, mlp_width=16, layers=1, heads=2), batch=16, max_steps=12, cooldown=1
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A regime and a model that cost nothing."""
    monkeypatch.setitem(REGIMES, "tiny", TINY)
    monkeypatch.setitem(MODELS, "tiny", MODEL)


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("starts")


def test_what_is_there_when_it_stops_is_paired() -> None:
    jobs = jobs_of(TRAINERS, ["hard-one-visit", "hard-two-visits"], range(5, 8), range(2))
    assert len(set(jobs)) == len(jobs) == 3 * 2 * 3 * 2 * 2
    for one, other in list(pairwise(jobs))[::2]:
        assert (one.variant, other.variant) == ("uniform", "default")
        assert (one.trainer, one.regime, one.start, one.seed) == (
            other.trainer, other.regime, other.start, other.seed,
        )  # fmt: skip
    folders = {job.path(Path("records")).parent for job in jobs}
    assert len(folders) == len(TRAINERS) * 2


def test_the_default_is_what_the_grid_calls_it(starts: Path) -> None:
    """All that the adapters make of nothing configured is what the grid's variant says, but for seed and features."""
    [name] = [name for name, label in FAST.items() if label == "default"]
    variant = VARIANTS[name]
    assert isinstance(variant, Allocated)
    job = Through("hard-one-visit", "default", 0, 0, "trl")
    network = Network.load(start("tiny", 0, starts))
    scene = Scene(job.settings.train, 0, Questions.of(pool("easy", 640, 0)), network, lambda: network)
    told = {**variant.fields(scene)}
    features = told.pop("features")
    assert (told.pop("seed"), told.pop("belief"), features.shape[1]) == (0, "features", 3)
    assert f"cero window {allocator_fields('cero', shape_of(scene, 'window'), told)}" == job.meaning


@pytest.fixture(scope="module")
def made(starts: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, GridRecord]]:
    """Both variants through TRL."""
    folder = tmp_path_factory.mktemp("records")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(REGIMES, "tiny", TINY)
        patch.setitem(MODELS, "tiny", MODEL)
        jobs = jobs_of(["trl"], ["tiny"], [0], [3])
        return folder, {job.variant: make(job, folder, starts) for job in jobs}


def test_trl_trains_and_leaves_a_record(made: tuple[Path, dict[str, GridRecord]]) -> None:
    folder, records = made
    for variant, record in records.items():
        job = Through("tiny", variant, 0, 3, "trl")
        assert read(job, folder) == record
        assert record.rollouts == [0, 64, 96]  # after four rounds and at the end
        assert [sum(counts) for counts in record.counts] == [TINY.rollouts] * TINY.train.rounds
        assert record.tokens[-1] == sum(map(sum, record.lengths))
        assert set(np.concatenate(record.counts)) == {4}
    assert records["uniform"].accuracy[0] == records["default"].accuracy[0]
    assert records["uniform"].prompts != records["default"].prompts
    assert [(record.label, record.regime) for record in read_all(folder)] == [
        ("default", "trl-tiny"),
        ("uniform", "trl-tiny"),
    ]


def test_what_became_another_default_is_trained_again(
    made: tuple[Path, dict[str, GridRecord]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, records = made
    monkeypatch.setattr("cero_api.adapting.defaults.VARIETY", 0.5)
    assert read(Through("tiny", "default", 0, 3, "trl"), folder) is None
    assert read(Through("tiny", "uniform", 0, 3, "trl"), folder) == records["uniform"]
    assert [record.label for record in read_all(folder)] == ["uniform"]


def test_a_trace_and_checkpoints_tell_what_the_history_told(
    made: tuple[Path, dict[str, GridRecord]], starts: Path, tmp_path: Path
) -> None:
    """TRL leaves both behind, and so each can be held against the other."""
    job, checkpoint = Through("tiny", "default", 0, 3, "trl"), start("tiny", 0, starts)
    record = made[1]["default"]
    train(job, checkpoint, tmp_path)
    assert evaluated(TINY) == [4, 6]
    checkpoints = {0: checkpoint, 6: tmp_path / "checkpoint-6"}
    found = told(tmp_path / "trace.jsonl", checkpoints, TINY, seconds=1.0, allocator_seconds=0.5)
    assert found.rollouts == [0, 96]
    assert found.tokens == [0, record.tokens[-1]]
    assert found.accuracy == pytest.approx([record.accuracy[0], record.accuracy[-1]], abs=1e-5)
    assert found.accuracy[0] == chances(Network.load(checkpoint), exam(TINY.pool, TINY.evaluation)).mean()
    assert [r.counts for r in found.rounds] == record.counts
    assert [r.successes for r in found.rounds] == record.successes
    assert [r.tokens for r in found.rounds] == record.lengths
    keys = TraceReader(tmp_path / "trace.jsonl")
    assert sum(1 for _ in keys) == len(found.rounds)
    asked = [[int(keys.keys[row]) for row in r.prompts] for r in found.rounds]
    assert asked == record.prompts
    shutil.rmtree(tmp_path)


def test_prompts_that_were_passed_over_are_in_no_round(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    counts, successes = np.array([2, 0, 2]), np.array([1.0, 0.0, 2.0])
    with TraceWriter(path) as trace:
        trace(TraceRound(0, np.arange(3), counts, successes, counts - successes))
    [only] = rounds_of(path)
    assert (only.counts, only.successes, only.tokens) == ([2, 2], [1, 2], [0, 0])


def test_both_rewards_are_the_learners() -> None:
    for puzzle in pool("hard", 20, 0):
        for said, right in ((puzzle.answer, 1.0), (puzzle.answer.upper(), 1.0), (puzzle.answer[:-1], 0.0), ("", 0.0)):
            assert compute_score(puzzle.task, said, puzzle.answer, {"prompt": puzzle.prompt}) == right
            query = f"{puzzle.prompt}{said}<eos><pad>"
            assert reward_func([query], [puzzle.prompt], [puzzle.answer])["rewards"] == right


def test_the_table_has_a_line_for_each_trainer(made: tuple[Path, dict[str, GridRecord]], tmp_path: Path) -> None:
    records = [
        named(Through("hard-one-visit", variant, 0, 3, trainer), record)
        for trainer in TRAINERS
        for variant, record in made[1].items()
    ]
    text = blocks(records)["through"]
    assert [line.split(" | ")[1] for line in text.splitlines()[2:]][-3:] == ["TRL", "verl", "OpenRLHF"]
    files = write_regimes(records, tmp_path)
    assert sorted(file.stem for file in files) == sorted(f"{trainer}-hard-one-visit" for trainer in TRAINERS)
    assert blocks(read_trainings([tmp_path])) == {"through": text}
    assert blocks([]) == {"through": "No trainings."}


def test_what_is_published_is_read() -> None:
    published = read_trainings([PUBLISHED])
    assert {record.label for record in published} == {"uniform", "default"}
    assert {record.regime.partition("-")[0] for record in published} == set(TRAINERS)
    assert all(record.tokens is not None and record.start is not None for record in published)
    assert "OpenRLHF" in blocks(published)["through"]


def test_a_report_needs_no_torch() -> None:
    code = "import sys, benchmarks.through_trainers; print({'torch', 'transformers', 'trl'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_an_engine_may_answer_all_that_wait_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model("abc", positions=16).eval()
    rows = [[2], [3, 4], [4, 2, 3, 2], [2, 2]]
    widths: list[int] = []
    model.register_forward_pre_hook(lambda _, given: widths.append(len(given[0])))

    async def ask(passes: Passes) -> list[object]:
        return list(await asyncio.gather(*map(passes.logits, rows)))

    alone = asyncio.run(ask(Passes(model)))
    assert widths == [1] * len(rows)
    monkeypatch.setenv("TINY_TOGETHER", "1")
    together = asyncio.run(ask(Passes(model)))
    assert widths[len(rows) :] == [len(rows)]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-6)
