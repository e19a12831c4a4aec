"""The sample-efficiency benchmark: a tiny grid end to end, and the numbers it makes of runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.proxy_quality import Groups, groups_of, quality, read, write
from cero_api.analysis.learning import by_regime, compare_trainings
from cero_lab.evaluate import evaluate, expected
from cero_lab.evidence import arithmetic
from cero_lab.evidence.grid import Job, make, missing
from cero_lab.evidence.page import fill
from cero_lab.evidence.published import Published, read_published, write_regimes
from cero_lab.evidence.record import load, path_of
from cero_lab.evidence.regimes import REGIMES, Regime
from cero_lab.evidence.runs import read_all
from cero_lab.evidence.served import served
from cero_lab.evidence.tables import markdown
from cero_lab.evidence.variants import VARIANTS, run_settings
from cero_lab.settings import ModelSettings, TrainSettings, WarmstartSettings
from cero_lab.tasks import heldout, solved
from cero_lab.warmstart import cached_checkpoint

PUBLISHED = Path(__file__).parents[2] / "docs" / "evidence"
TRAIN = TrainSettings(prompts=12, rounds=4, prompts_per_round=3, group_size=4, warmup=0, save_every=100)
MODEL = WarmstartSettings(
    model=ModelSettings(width=16, mlp_width=16, layers=1, heads=2), batch=8, max_steps=10, cooldown=1
)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cached_checkpoint(MODEL, tmp_path_factory.mktemp("models"))


def test_a_grid_makes_what_is_missing_and_reports_it(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REGIMES, "tiny", Regime("easy", TRAIN, MODEL))
    jobs = [Job("tiny", variant, 0) for variant in ("uniform", "cero", "cero-batch-prompt-weight")]
    starts = {"tiny": start}
    assert missing(jobs, starts, tmp_path) == jobs
    make(jobs[0], starts, tmp_path, parent=-1)  # whose parent is gone: it stops and writes nothing
    assert missing(jobs, starts, tmp_path) == jobs
    for job in jobs:
        make(job, starts, tmp_path)
    assert missing(jobs, starts, tmp_path) == []
    assert missing([Job("tiny", "cero", 1)], starts, tmp_path) != []

    runs = read_all(tmp_path)["tiny"]
    assert all(runs[job.variant][0].rollouts[-1] == TRAIN.budget for job in jobs)
    told = [Published.of("tiny", record) for records in runs.values() for record in records.values()]
    write_regimes(told, tmp_path / "published")
    assert read_published(tmp_path / "published") == told
    rows = compare_trainings(told)
    assert rows["uniform"].against is None
    assert rows["cero"].steps == TRAIN.rounds
    assert {published.start for published in told} == {start.name}
    table = markdown(rows).splitlines()
    assert len(table) == 2 + len(jobs)
    assert len({line.count("|") for line in table}) == 1
    even = served(told).splitlines()[2].split("|")[2:-1]
    assert {cell.strip() for cell in even} <= {f"{TRAIN.group_size:.1f}", ""}
    for published in told:
        assert published.seen_groups is not None
        assert sum(published.seen_groups) == sum(map(len, runs[published.label][0].counts))
        assert published.seen_rollouts is not None
        assert sum(published.seen_rollouts) == TRAIN.budget
    for record in (runs["uniform"][0], runs["cero"][0]):
        assert len(groups_of(record).round) < len(record.groups[0])  # first visits have nothing to predict from

    # Another training under the same name is not taken for this one.
    monkeypatch.setitem(REGIMES, "tiny", Regime("easy", TRAIN.model_copy(update={"learning_rate": 1e-3}), MODEL))
    assert missing(jobs, starts, tmp_path) == jobs
    assert read_all(tmp_path) == {}


def test_the_published_records_give_the_published_tables() -> None:
    page = (PUBLISHED.parent / "evidence.md").read_text(encoding="utf-8")
    regimes = by_regime(read_published(PUBLISHED))
    assert regimes
    for regime, records in regimes.items():
        assert markdown(compare_trainings(records)) in page, regime
        assert {record.label for record in records} <= set(VARIANTS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_can_be_configured(variant: str, start: Path, tmp_path: Path) -> None:
    settings = run_settings("hard", variant, 0, start)
    written = settings.model_dump_json()
    assert type(settings).model_validate_json(written).model_dump_json() == written


def test_a_torn_file_is_missing(tmp_path: Path) -> None:
    path = path_of(tmp_path, "hard", "cero", 0)
    path.parent.mkdir()
    path.write_text('{"settings": ')
    assert load(path) is None


# Numbers


def test_the_proxy_is_judged_by_what_was_observed_later(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rate = rng.beta(0.5, 0.5, 5000)
    predicted = rate * (1 - rate)
    won = rng.binomial(8, rate)
    observed = won * (8 - won) / 56
    true = quality([Groups(np.arange(5000), predicted, observed)], bins=10)
    assert true.by_bins > 0.99
    assert true.predicted == pytest.approx(true.observed, abs=0.005)
    high = quality([Groups(np.arange(5000), predicted + 0.03, observed)], bins=10)
    assert high.early == pytest.approx(0.03, abs=0.005)
    assert high.late == pytest.approx(0.03, abs=0.005)
    write({"hard, uniform": true}, tmp_path / "proxy" / "quality.json")
    back = read(tmp_path / "proxy" / "quality.json")["hard, uniform"]
    assert (back.by_bins, back.early) == (true.by_bins, true.early)
    np.testing.assert_allclose(back.times, true.times, atol=1e-6)


def test_a_page_is_filled_between_its_marks_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Text\n<!-- begin a -->\nold\n<!-- end a -->\nmore\n<!-- begin b -->\n<!-- end b -->\n")
    for _ in range(2):  # filling again changes nothing
        assert fill(page, {"a": "| new |", "absent": "x"}) == ["a"]
        wanted = "# Text\n<!-- begin a -->\n\n| new |\n\n<!-- end a -->\nmore\n<!-- begin b -->\n<!-- end b -->\n"
        assert page.read_text() == wanted


# The language model's task


def test_sums_are_disjoint_distinct_and_judged_by_their_first_line() -> None:
    pool, held = arithmetic.draw("pool", 60, seed=0), arithmetic.draw("heldout", 60, seed=0)
    assert len({s.prompt for s in pool} | {s.prompt for s in held}) == 120
    assert {s.kind for s in pool} == set(arithmetic.CLASSES)
    for question in held:
        answer = question.entry["answer"]
        assert arithmetic.solved(question, f" {answer}\n1 + 1 = 2")
        assert not arithmetic.solved(question, f" {answer}0")
        assert not arithmetic.solved(question, "")


# The exact evaluation


def test_expected_accuracy_is_what_sampling_estimates(start: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(start, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    puzzles = heldout("easy", 6, seed=0)
    # A model that knows the first puzzle by heart, and is unsure about all others.
    row = torch.tensor([tokenizer(puzzles[0].prompt + puzzles[0].answer)["input_ids"] + [tokenizer.eos_token_id]])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        model(input_ids=row, labels=row).loss.backward()
        optimizer.step()
    rates, greedy = expected(model, tokenizer, puzzles)
    sampled, decoded = evaluate(model, tokenizer, puzzles, samples=200, max_new_tokens=11, seed=0)
    assert 0.3 < rates[0] < 1
    for exact, share in zip(rates, sampled, strict=True):
        assert share == pytest.approx(exact, abs=4 * np.sqrt(max(exact * (1 - exact), 1e-3) / 200))
    assert greedy == pytest.approx(decoded)


def test_a_puzzle_has_one_right_answer() -> None:
    for puzzle in heldout("mixed", 40, seed=1):
        for i, letter in enumerate(puzzle.answer):
            other = "b" if letter == "a" else "a"
            assert not solved(puzzle, puzzle.answer[:i] + other + puzzle.answer[i + 1 :])
