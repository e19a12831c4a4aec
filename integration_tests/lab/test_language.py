"""Trainings of a language model: the warm start, the record at every evaluation, and the time limit."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from cero_lab.evidence.arithmetic import draw
from cero_lab.language import training
from cero_lab.language.settings import VARIANTS, Record, Sizes, WarmSizes
from cero_lab.language.start import load, warm_start
from cero_lab.language.training import make
from integration_tests.tiny_model import make_model, make_tokenizer

SIZES = Sizes(
    prompts=24, rounds=4, prompts_per_round=4, group_size=4, learning_rate=1e-3, heldout=6, samples=2, evaluations=2,
    warm=WarmSizes(batch=8, steps=3, learning_rate=1e-2, every=2),
)  # fmt: skip


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    alphabet = "0123456789+-= \n"
    make_model(alphabet, hidden_size=32, positions=64).save_pretrained(folder / "published")
    make_tokenizer(alphabet).save_pretrained(folder / "published")
    made = warm_start(folder / "published", 0, SIZES.warm, folder)
    before = made.stat().st_mtime_ns
    assert warm_start(folder / "published", 0, SIZES.warm, folder) == made
    assert made.stat().st_mtime_ns == before  # found, not made again
    assert warm_start(folder / "published", 1, SIZES.warm, folder) != made
    return made


def test_an_answer_ends_with_its_line(start: Path) -> None:
    model, tokenizer = load(start)
    assert tokenizer.decode([tokenizer.eos_token_id]) == "\n"
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id != tokenizer.pad_token_id
    prompt = draw("pool", 1, 0)[0].prompt
    assert tokenizer.decode(tokenizer(prompt)["input_ids"]) == prompt


@pytest.mark.parametrize("name", ["uniform", "cero", "cero-source"])
def test_a_training_leaves_a_record(name: str, start: Path, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    make(name, 1, SIZES, start, path, deadline=time.time() + 600)
    record = Record.load(path)
    assert record.finished
    assert record.rollouts == [0, 32, 64]
    assert record.tokens[0] == 0
    assert 64 <= record.tokens[-1] <= 64 * 6
    assert (record.label, record.seed, record.start, record.settings) == (name, 1, start.name, SIZES)


def test_time_ends_a_training_at_an_evaluation_and_begins_none(start: Path, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    make("uniform", 0, SIZES, start, path, deadline=time.time())
    assert not path.exists()
    # Over before the first evaluation, and not before it begins.
    times = iter([0.0] + [2.0] * 10)
    with pytest.MonkeyPatch.context() as patch:
        clock = SimpleNamespace(time=lambda: next(times), perf_counter=time.perf_counter)
        patch.setattr(training, "time", clock)
        make("uniform", 0, SIZES, start, path, deadline=1.0)
    record = Record.load(path)
    assert not record.finished
    assert record.rollouts == [0, 32]


def test_what_is_compared_has_a_baseline() -> None:
    assert next(iter(VARIANTS)) == "uniform"
