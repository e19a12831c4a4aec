"""The demo, end to end on a model so small that it learns nothing: a comparison, its report, stopping and resuming."""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from cero_api import CeroConfig, available_allocators, load_allocator
from cero_api.analysis.history import read_history
from cero_api.analysis.learning import Interval, TrainingRecord, compare_trainings, read_trainings
from cero_lab import compare as comparing
from cero_lab import history
from cero_lab.commands.demo import REGIME
from cero_lab.compare import TrainingFailedError, compare
from cero_lab.grid.regimes import regime_of
from cero_lab.history import Evaluation, History, Round
from cero_lab.plots import exposure
from cero_lab.report import RECORDS_FILE
from cero_lab.run import train
from cero_lab.settings import (
    DemoSettings,
    EvalSettings,
    ModelSettings,
    PoolName,
    RunSettings,
    TrainSettings,
    WarmstartSettings,
)
from cero_lab.summary import verdict
from cero_lab.tasks import TEXTS, WORDS, corpus, heldout, pool, solved
from cero_lab.warmstart import cached_checkpoint

TRAIN = TrainSettings(prompts=12, rounds=4, prompts_per_round=3, group_size=4, warmup=0, save_every=100)
EVALUATION = EvalSettings(prompts=6, samples=2, every=2)
WARMSTART = WarmstartSettings(
    model=ModelSettings(width=16, mlp_width=16, layers=1, heads=2), batch=8, max_steps=10, cooldown=1
)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cached_checkpoint(WARMSTART, tmp_path_factory.mktemp("models"))


def run_settings(start: Path, allocator: str = "cero") -> RunSettings:
    return RunSettings(allocator=allocator, seed=3, pool="easy", start=start, train=TRAIN, evaluation=EVALUATION)


def demo_settings(start: Path, out: Path) -> DemoSettings:
    return DemoSettings(pool="easy", seeds=(3,), model=start, train=TRAIN, evaluation=EVALUATION, out=out)


# Tasks


def test_splits_are_disjoint_and_large_enough() -> None:
    prompts = [{p.prompt for p in corpus(split, (*WORDS, TEXTS))} for split in ("warmstart", "pool", "heldout")]
    assert sum(map(len, prompts)) == len(set().union(*prompts))
    assert min(map(len, prompts)) > 1000


@pytest.mark.parametrize("name", ["hard", "mixed", "easy", "lengths"])
def test_a_pool_is_distinct_seeded_and_like_what_is_held_out(name: PoolName) -> None:
    sizes = regime_of(REGIME).train
    drawn = pool(name, sizes.prompts, seed=0)
    assert drawn == pool(name, sizes.prompts, seed=0) != pool(name, sizes.prompts, seed=1)
    assert len({p.prompt for p in drawn}) == sizes.prompts
    unseen = heldout(name, 256, seed=0)
    assert {(p.task, p.length) for p in drawn} == {(p.task, p.length) for p in unseen}


def test_the_scorer_accepts_the_answer_and_nothing_less() -> None:
    for puzzle in corpus("heldout", (*WORDS, TEXTS))[::50]:
        assert solved(puzzle, puzzle.answer)
        assert not solved(puzzle, puzzle.answer[:-1])
        assert not solved(puzzle, puzzle.answer + "a")
        assert not solved(puzzle, "")


# Warm start


def test_the_warm_start_is_cached_by_its_settings(tmp_path: Path) -> None:
    steps: list[int] = []

    def count(step: int, mastery: float) -> None:
        steps.append(step)

    first = cached_checkpoint(WARMSTART, tmp_path, count)
    assert steps == [10]
    assert cached_checkpoint(WARMSTART, tmp_path, count) == first
    assert len(steps) == 1
    assert cached_checkpoint(WARMSTART.model_copy(update={"seed": 1}), tmp_path, count) != first
    assert len(list(tmp_path.iterdir())) == 2


# Trainings


def without_times(past: History) -> tuple[list[Round], list[Evaluation]]:
    rounds = [Round(**{**vars(r), "allocator_seconds": 0.0, "seconds": 0.0}) for r in past.rounds]
    return rounds, past.evaluations


def stop_after(rounds: int) -> Callable[[], bool]:
    asked = iter(range(1, rounds + 1))
    return lambda: next(asked, rounds) >= rounds


@pytest.mark.parametrize("allocator", ["uniform", "cero"])
def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(allocator: str, start: Path, tmp_path: Path) -> None:
    settings = run_settings(start, allocator)
    assert train(settings, tmp_path / "whole")
    whole = history.read(tmp_path / "whole")
    assert [e.step for e in whole.evaluations] == [0, 2, 4]
    assert whole.rounds[-1].rollouts == TRAIN.budget

    assert not train(settings, tmp_path / "parts", stop_after(1))
    assert not train(settings, tmp_path / "parts", stop_after(2))
    assert history.read(tmp_path / "parts").step == 3
    assert train(settings, tmp_path / "parts")
    assert without_times(history.read(tmp_path / "parts")) == without_times(whole)


def test_a_comparison_writes_table_and_report_and_repeats_nothing(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, screen = demo_settings(start, tmp_path), io.StringIO()
    found = compare(settings, Console(file=screen, width=80))
    (records,) = found.comparison.records.values()
    assert [record.label for record in records] == ["uniform", "cero"]
    assert all(record.rollouts[-1] == TRAIN.budget and record.tokens is not None for record in records)
    said = screen.getvalue()
    assert "less baseline's" in said
    assert "tokens" in said
    assert "of 4 rounds, held-out accuracy" in said  # no terminal, no bars: lines say that it goes on
    assert max(map(len, said.splitlines())) <= 80 or "Report:" in max(said.splitlines(), key=len)
    assert all("no claim" in sentence for sentence in found.verdicts)  # of one start
    page = found.page.read_text()
    assert page.count("data:image/png;base64,") == 6 == len(list(found.page.parent.glob("*.png")))
    assert "http" not in page  # self-contained
    assert len(read_trainings([found.page.parent / RECORDS_FILE])) == 2  # what `cero report` takes

    for folder in (tmp_path / "runs").iterdir():
        assert exposure(history.read(folder), TRAIN.prompts).sum() == TRAIN.budget
        assert read_history(folder).rollouts.sum() == TRAIN.budget  # what `cero replay` takes
    monkeypatch.setattr(comparing.Run, "begin", lambda self: pytest.fail(f"{self.name} was repeated"))
    assert compare(settings, Console(file=screen)).comparison == found.comparison


def test_cero_chooses_in_a_window_by_length_and_task(start: Path, tmp_path: Path) -> None:
    """The composition that decides before a prompt's first visit, as `scope="window"` makes it of the data set."""
    assert train(run_settings(start), tmp_path)
    state = next(tmp_path.glob("checkpoint-*/*allocator*"))
    config = load_allocator(state).config
    assert isinstance(config, CeroConfig)
    assert (config.offer, config.belief) == ("window", "features")


def test_every_allocator_trains(start: Path, tmp_path: Path) -> None:
    """Which is what `cero compare` asks of them."""
    for allocator in available_allocators():
        settings = run_settings(start, allocator).model_copy(update={"train": TRAIN.model_copy(update={"rounds": 2})})
        assert train(settings, tmp_path / allocator)
        assert history.read(tmp_path / allocator).rounds[-1].rollouts == settings.train.budget


def test_ctrl_c_leaves_checkpoints_and_no_orphans(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = demo_settings(start, tmp_path)
    settings = settings.model_copy(update={"train": TRAIN.model_copy(update={"rounds": 100_000})})
    runs: list[comparing.Run] = []

    def interrupt(progress: object, task: object, run: comparing.Run) -> None:
        if run not in runs:
            runs.append(run)
        if len(runs) == 2 and all(history.read(r.folder).step for r in runs):
            raise KeyboardInterrupt

    monkeypatch.setattr(comparing, "_show", interrupt)
    with pytest.raises(KeyboardInterrupt):
        compare(settings, Console(file=io.StringIO()))
    for run in runs:
        assert run.process is not None
        assert run.process.returncode == 130
        step = history.read(run.folder).step
        assert (run.folder / f"checkpoint-{step}").is_dir()


def test_a_failing_training_shows_the_end_of_its_log(start: Path, tmp_path: Path) -> None:
    settings = demo_settings(start, tmp_path).model_copy(update={"model": tmp_path})  # no checkpoint there
    with pytest.raises(TrainingFailedError, match="ended with status 1"):
        compare(settings, Console(file=io.StringIO()))


# Verdicts


def verdict_over(starts: int, pace: float, noise: float = 0.0, seeds: int = 1) -> str:
    """Of trainings that come as far as uniform with a share of the rollouts, which differs from start to start."""
    spent = list(range(0, 660, 64))

    def run(label: str, start: int, seed: int, pace: float) -> TrainingRecord:
        curve = [0.1 + 0.3 * (1 - np.exp(-x / 640 / pace)) for x in spent]
        return TrainingRecord(
            label=label, start=f"demo-{start}", seed=seed, rollouts=spent, tokens=spent, accuracy=curve
        )

    records = []
    for start in range(starts):
        for seed in range(seeds):
            records.append(run("uniform", start, seed, 1.0))
            records.append(run("cero", start, seed, pace * np.exp(noise * (start - (starts - 1) / 2))))
    return verdict("cero", compare_trainings(records)["cero"])


@pytest.mark.parametrize("seeds", [1, 5])
@pytest.mark.parametrize("pace", [0.3, 3.0])
def test_one_start_claims_nothing_however_many_seeds(seeds: int, pace: float) -> None:
    said = verdict_over(1, pace, seeds=seeds)
    assert said.endswith(f"One start and {'one seed' if seeds == 1 else '5 seeds'}: no claim.")


def test_only_an_interval_that_excludes_equality_is_a_saving_or_a_loss() -> None:
    assert verdict_over(5, 0.7, 0.01).endswith("5 starts: a saving.")
    assert verdict_over(5, 1.5, 0.01).endswith("5 starts: a LOSS.")
    assert verdict_over(5, 0.9, 0.3).endswith("5 starts: no claim.")
    assert verdict_over(5, 1.0).endswith("5 starts: no claim.")  # where it deals as uniform does


def test_rollouts_and_tokens_are_claimed_each_for_itself() -> None:
    whole = Interval(0.9, 0.8, 1.1)
    saved = Interval(0.7, 0.6, 0.8)
    records = [
        TrainingRecord(label=label, start=start, rollouts=[0, 64, 128], tokens=[0, 9, 18], accuracy=[0.1, 0.2, 0.3])
        for label in ("uniform", "cero")
        for start in ("a", "b")
    ]
    result = compare_trainings(records)["cero"]
    assert result.against is not None
    assert result.against.rollouts is not None
    one, other = (dataclasses.replace(result.against.rollouts, along=part) for part in (whole, saved))
    against = dataclasses.replace(result.against, rollouts=one, tokens=other)
    said = verdict("cero", dataclasses.replace(result, against=against))
    assert said == (
        "CERO came as far as uniform with 0.90 [0.80, 1.10] of its rollouts and 0.70 [0.60, 0.80] of its tokens, along "
        "the curve. 2 starts: no claim about rollouts, a saving of tokens."
    )


def test_without_uniform_nothing_is_claimed() -> None:
    alone = TrainingRecord(label="cero", rollouts=[0, 64], accuracy=[0.1, 0.2])
    assert verdict("cero", compare_trainings([alone])["cero"]) == "CERO: nothing to compare, no claim."


# Records


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    evaluation = Evaluation(0, 0, [0.5], 0.5)
    history.append(tmp_path, evaluation)
    with (tmp_path / history.FILE).open("a") as file:
        file.write('{"kind": "Round", "st')
    assert history.read(tmp_path) == History([], [evaluation])


# Command line


def cero(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    program = "from cero_api.cli.app import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "120", **env},
    )


def test_help_is_quick_to_import() -> None:
    shown = cero("demo", "--help")
    assert shown.returncode == 0
    assert "--pool" in shown.stdout
    code = "import sys, cero_lab.commands.demo; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--allocators", "unifrom"], "choose from"),
        (["--rounds", "2", "--budget", "256"], "not both"),
        (["--budget", "100"], "multiple of the 64 rollouts"),
        (["--starts", "2", "--model", "."], "a checkpoint of your own is one start"),
    ],
)
def test_wrong_options_are_explained(arguments: list[str], message: str) -> None:
    shown = cero("demo", *arguments)
    assert shown.returncode == 2
    assert message in " ".join(shown.stderr.split())
