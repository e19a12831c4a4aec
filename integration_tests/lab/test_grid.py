"""Grids: starts by their seeds, regimes and variants as data, records that a comparison reads, workers."""

from __future__ import annotations

import io
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from cero_api import CeroConfig, check_allocator
from cero_api.analysis.learning import compare_regimes, read_trainings
from cero_api.errors import ConfigurationError
from cero_lab.crew import TaskFailedError, run_tasks
from cero_lab.fast.chances import chances
from cero_lab.fast.drivers import Dealt
from cero_lab.fast.network import Network
from cero_lab.fast.oracle import OracleAllocator
from cero_lab.fast.questions import Questions
from cero_lab.fast.scene import Scene
from cero_lab.grid.jobs import Job
from cero_lab.grid.making import make
from cero_lab.grid.record import GridRecord, read
from cero_lab.grid.regimes import REGIMES, SETS, Regime, regime_of
from cero_lab.grid.report import publish, report
from cero_lab.grid.savings import PARAMETERS
from cero_lab.grid.starts import MODELS, STARTS, start
from cero_lab.grid.variants import CEILINGS, VARIANT_SETS, VARIANTS, Allocated
from cero_lab.model import make_model
from cero_lab.settings import EvalSettings, ModelSettings, TrainSettings, WarmstartSettings
from cero_lab.tasks import pool

TINY = Regime(
    pool="easy",
    train=TrainSettings(prompts=32, rounds=6, prompts_per_round=4, group_size=4, warmup=1, learning_rate=1e-3),
    model="tiny",
    evaluation=EvalSettings(prompts=12, samples=0, every=2),
)
MODEL = WarmstartSettings(
    model=ModelSettings(width=16, mlp_width=16, layers=1, heads=2), batch=16, max_steps=12, cooldown=1
)


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("starts")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A regime and a model that cost nothing."""
    monkeypatch.setitem(REGIMES, "tiny", TINY)
    monkeypatch.setitem(MODELS, "tiny", MODEL)


# Starts


def test_starts_are_made_by_their_index_and_once(starts: Path) -> None:
    folders = [start("tiny", index, starts) for index in (0, 1, 0)]
    assert folders[0] == folders[2] != folders[1]
    one, other = (Network.load(folder).vector for folder in folders[:2])
    assert one.shape == other.shape
    assert not bool((one == other).all())
    assert STARTS >= 5


def test_the_models_have_as_many_parameters_as_the_savings_say() -> None:
    for name, parameters in PARAMETERS.items():
        counted = sum(p.numel() for p in make_model(MODELS[name].model, seed=0).parameters())
        assert counted / 1e6 == pytest.approx(parameters, rel=0.15)
    assert PARAMETERS.keys() == MODELS.keys() - {"tiny"}  # this file's own


# Regimes


@pytest.mark.parametrize("name", REGIMES)
def test_a_regime_says_how_often_prompts_are_visited(name: str) -> None:
    place = REGIMES[name]
    visits = {"one": 1, "two": 2, "seven": 6.67}
    assert place.visits == pytest.approx(visits[next(word for word in name.split("-") if word in visits)], abs=0.01)
    assert place.rollouts == 64
    assert place.model in MODELS
    assert place.evaluation.samples == 0
    longest = max(puzzle.length for puzzle in pool(place.pool, place.train.prompts, 0))
    assert longest < place.train.max_new_tokens  # the end of sequence has room


def test_sets_name_what_there_is() -> None:
    assert {name for names in SETS.values() for name in names} == set(REGIMES) - {"tiny"}
    assert {name for names in VARIANT_SETS.values() for name in names} == set(VARIANTS)
    assert set(CEILINGS.values()) <= set(VARIANTS)


def test_a_regime_at_another_rate_is_another_one() -> None:
    twice = regime_of("hard-one-visit@2")
    assert twice.train.learning_rate == 2 * REGIMES["hard-one-visit"].train.learning_rate
    assert regime_of("hard-one-visit@1") == regime_of("hard-one-visit") == REGIMES["hard-one-visit"]
    for name in ("hard-one-visits", "hard-one-visit@fast"):
        with pytest.raises(ConfigurationError, match="choose from"):
            regime_of(name)


# Variants


@pytest.fixture(scope="module")
def records(starts: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, GridRecord]:
    folder = tmp_path_factory.mktemp("records")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(REGIMES, "tiny", TINY)
        patch.setitem(MODELS, "tiny", MODEL)
        found = {}
        for variant in VARIANTS:
            job = Job("tiny", variant, 0, 3)
            make(job, folder, starts)
            record = read(job, folder)
            assert record is not None
            found[variant] = record
    return found


def test_every_variant_spends_the_same(records: dict[str, GridRecord]) -> None:
    for record in records.values():
        assert record.rollouts[-1] == 96
        if record.label != "dynamic-sampling":  # whose rounds go on until they are full
            assert [sum(counts) for counts in record.counts] == [TINY.rollouts] * TINY.train.rounds
            assert record.rollouts == [0, 32, 64, 96]
            assert record.optimizer_steps == TINY.train.rounds
        assert record.tokens[-1] == sum(map(sum, record.lengths))
        assert record.tokens[0] == 0
        assert len({record.accuracy[0] for record in records.values()}) == 1
        for sizes, won, tokens in zip(record.counts, record.successes, record.lengths, strict=True):
            assert all(
                0 <= s <= n <= t <= n * TINY.train.max_new_tokens for n, s, t in zip(sizes, won, tokens, strict=True)
            )


@pytest.mark.parametrize("variant", ["window-pilot", "window-pilot-tokens", "pilot-commit"])
def test_a_pilot_and_its_rest_are_one_round(variant: str, records: dict[str, GridRecord]) -> None:
    record = records[variant]
    for prompts, counts in zip(record.prompts, record.counts, strict=True):
        assert len(set(prompts)) == len(prompts) == 8  # of which four fit at full groups
        assert sorted(counts) == [1, 1, 1, 1, 1, 3, 4, 4]


@pytest.mark.parametrize("variant", ["uniform", "cero-pool"])
def test_trl_makes_the_same_record(variant: str, starts: Path, tmp_path: Path, records: dict[str, GridRecord]) -> None:
    job = Job("tiny", variant, 0, 3, "trl")
    make(job, tmp_path, starts)
    judged, mine = read(job, tmp_path), records[variant]
    assert judged is not None
    assert read(Job("tiny", variant, 0, 3), tmp_path) is None
    assert (judged.rollouts, judged.start, judged.settings) == (mine.rollouts, mine.start, mine.settings)
    assert judged.accuracy[0] == pytest.approx(mine.accuracy[0], abs=1e-6)
    assert judged.tokens[-1] == sum(map(sum, judged.lengths))
    assert [sum(counts) for counts in judged.counts] == [TINY.rollouts] * TINY.train.rounds
    for sizes, tokens in zip(judged.counts, judged.lengths, strict=True):
        for n, t in zip(sizes, tokens, strict=True):
            assert n <= t <= n * TINY.train.max_new_tokens


def test_trl_cannot_run_a_driver(starts: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="only the fast training"):
        make(Job("tiny", "oracle-window", 0, 3, "trl"), tmp_path, starts)


def test_batches_are_the_same_for_whoever_shares_them_out(records: dict[str, GridRecord]) -> None:
    def batches(name: str) -> list[set[int]]:
        return [set(rows) for rows in records[name].prompts]

    shared = [name for name, variant in VARIANTS.items() if getattr(variant, "scope", "") == "batch"]
    assert len(shared) > 4
    for name in shared:
        assert all(mine <= theirs for mine, theirs in zip(batches(name), batches("uniform"), strict=True))
    # Uniform again is uniform, but for what is said.
    assert records["uniform-again"].prompts == records["uniform"].prompts
    assert records["uniform-again"].lengths != records["uniform"].lengths
    assert records["cero-batch"].lengths[0] == records["uniform"].lengths[0]  # in the first round nothing is known


def test_a_scene_tells_what_could_be_known(starts: Path) -> None:
    network, other = (Network.load(start("tiny", index, starts)) for index in (0, 1))
    asked = Questions.of(pool("mixed", 24, 0))
    scene = Scene(TINY.train, 0, asked, network, lambda: other)
    assert scene.lengths().tolist() == [len(p.prompt) for p in asked.puzzles]
    assert set(scene.sources()) == {"R", "C"}
    features = scene.features()
    assert features.shape == (24, 3)
    np.testing.assert_array_equal(features[:, 1] + features[:, 2], 1)
    rows = np.array([3, 0])
    np.testing.assert_array_equal(scene.rates(rows), chances(network, asked, rows))
    passes = scene.passes(4000) / 4000
    np.testing.assert_allclose(passes, chances(other, asked), atol=0.04)
    assert (scene.passes(4) == scene.passes(4)).all()


class Knowing(Scene):
    def rollouts_in_all(self) -> int:
        return 999


def test_what_a_configuration_must_know_comes_from_the_scene(starts: Path) -> None:
    network = Network.load(start("tiny", 0, starts))
    scene = Knowing(TINY.train, 5, Questions.of(pool("easy", 24, 0)), network, lambda: network)
    variant = Allocated("cero", options={"saturation": 2.0}, given={"budget": "rollouts_in_all"})
    driver = variant.driver(scene)
    assert isinstance(driver, Dealt)
    config = driver.allocator.config
    assert isinstance(config, CeroConfig)
    assert (config.seed, config.saturation, config.budget) == (5, 2.0, 999)
    assert config.max_rollouts_per_prompt == 8


# The oracle


def test_the_oracle_is_an_allocator() -> None:
    rates = np.random.default_rng(0).beta(0.5, 0.5, 24)
    check_allocator(
        lambda **size: OracleAllocator(
            CeroConfig(**size, max_rollouts_per_prompt=8), lambda rows: np.asarray(rates[rows]), window=3
        )
    )


def test_the_oracle_serves_whole_groups_to_the_largest_variance_it_is_offered() -> None:
    rates = np.random.default_rng(1).uniform(size=64)
    config = CeroConfig(num_prompts=64, rounds=4, budget=64, max_rollouts_per_prompt=8, seed=2)
    offers: list[np.ndarray] = []

    def asked(rows: np.ndarray) -> np.ndarray:
        offers.append(rows)
        return np.asarray(rates[rows])

    allocator = OracleAllocator(config, asked, window=8)
    for _ in range(4):
        allocation = allocator.allocate(total=16)
        offered = offers[-1]
        spread = rates * (1 - rates)
        best = offered[np.argsort(-spread[offered])[:2]]
        assert allocation.prompt_ids.tolist() == best.tolist()
        assert allocation.counts.tolist() == [8, 8]
    assert sorted(np.concatenate(offers)) == list(range(64))  # an epoch offers everybody once


def test_the_oracle_shares_a_batch_by_gain() -> None:
    rates = np.array([0.5, 0.999, 0.2, 0.0])
    config = CeroConfig(num_prompts=4, rounds=4, budget=128, max_rollouts_per_prompt=16)
    counts = OracleAllocator(config, lambda rows: np.asarray(rates[rows])).allocate([3, 1, 0, 2], total=32).counts
    assert counts[0] == counts[1] == 2
    assert counts[2] > counts[3] > 2


# Records


def test_what_a_name_stood_for_is_part_of_a_record(
    records: dict[str, GridRecord], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job = Job("tiny", "cero-batch", 0, 3)
    records["cero-batch"].save(job.path(tmp_path))
    assert read(job, tmp_path) == records["cero-batch"]
    assert read(Job("tiny", "cero-batch", 1, 3), tmp_path) is None
    monkeypatch.setitem(VARIANTS, "cero-batch", Allocated("cero", options={"saturation": 2.0}))
    assert read(job, tmp_path) is None
    monkeypatch.undo()
    slower = TINY.model_copy(update={"train": TINY.train.model_copy(update={"learning_rate": 1e-4})})
    monkeypatch.setitem(REGIMES, "tiny", slower)
    monkeypatch.setitem(MODELS, "tiny", MODEL)
    assert read(job, tmp_path) is None
    job.path(tmp_path).write_text('{"label": ')
    assert read(job, tmp_path) is None


def test_records_are_read_by_whoever_compares_trainings(records: dict[str, GridRecord], tmp_path: Path) -> None:
    for record in records.values():
        record.save(tmp_path / "tiny" / f"{record.label}.json")
    read_back = read_trainings([tmp_path / "tiny"])
    assert {(r.label, r.regime, r.start, r.seed) for r in read_back} == {(v, "tiny", "tiny-0", 3) for v in VARIANTS}
    assert {tuple(r.tokens or ()) for r in read_back} == {tuple(r.tokens) for r in records.values()}
    (file,) = publish(records.values(), tmp_path / "published")
    short = read_trainings([file])
    assert [r.accuracy for r in short] == [list(r.accuracy) for r in records.values()]
    assert set(compare_regimes(short, oracle=CEILINGS).results["tiny"]) == set(VARIANTS)


def test_the_report_has_a_line_for_each_variant(records: dict[str, GridRecord], tmp_path: Path) -> None:
    renamed = [record.model_copy(update={"regime": "hard-one-visit"}) for record in records.values()]
    page, screen = tmp_path / "page.md", io.StringIO()
    page.write_text("<!-- begin grid overview -->\n<!-- end grid overview -->\n")
    report(renamed, Console(file=screen, width=300), page)
    assert screen.getvalue().count("| oracle-window |") == 2
    assert page.read_text().count("| hard-one-visit |") == len(VARIANTS) - 1
    report([], Console(file=screen))
    assert screen.getvalue().endswith("No trainings.\n")


def test_a_report_needs_no_torch() -> None:
    code = "import sys, benchmarks.grid; print({'torch', 'transformers', 'reasoning_gym'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


# Workers


def test_workers_do_every_task_and_say_where_one_failed(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    files = [tmp_path / str(number) for number in range(5)]
    run_tasks([partial(file.touch) for file in files], 2, tmp_path / "logs", "files", console)
    assert all(file.exists() for file in files)
    run_tasks([], 2, tmp_path / "logs", "nothing", console)
    with pytest.raises(TaskFailedError, match=r"log-0\.txt"):
        run_tasks([partial((tmp_path / "absent").unlink)], 2, tmp_path / "logs", "files", console)
    assert "FileNotFoundError" in (tmp_path / "logs" / "log-0.txt").read_text()
