"""Sums of a run against plain counting; the page holds everything it shows."""

import re
from pathlib import Path

import numpy as np
import pytest

from cero_api import ConfigurationError, MissingDependencyError, TraceError
from cero_api.analysis.report import BANDS, RunSummary, write_report
from cero_api.trace import TraceWriter

ROUNDS = [
    (0, [3, 5, 9], [6, 6, 0], [0.0, 6.0, 0.0]),
    (2, [5, 3, 7], [3, 8, 6], [1.0, 7.0, 4.0]),
    (3, [9, 5], [4, 2], [1.0, 0.5]),
]


def recorded(folder: Path, num_prompts: int | None = 12) -> Path:
    path = folder / "trace.jsonl"
    with TraceWriter(path, num_prompts=num_prompts, metadata={"allocator": "cero"}) as trace:
        for record in ROUNDS:
            trace.write(*record)
    return path


@pytest.mark.parametrize("piece", [60, 1 << 20])
def test_a_summary_is_what_one_would_count(piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cero_api.trace.files.PIECE", piece)
    run = RunSummary.of_trace(recorded(tmp_path))
    assert (run.label, run.num_prompts, run.budget) == ("cero", 12, 35)
    assert run.rounds.tolist() == [0, 2, 3]
    assert run.rollouts.tolist() == [12, 17, 6]
    assert run.groups.tolist() == [2, 3, 2]
    assert run.effective.tolist() == [0, 3, 2]
    assert run.successes.tolist() == [6.0, 12.0, 1.5]
    assert run.bands.tolist() == [[1, 0, 0, 0, 1], [0, 0, 2, 1, 0], [0, 2, 0, 0, 0]]
    np.testing.assert_allclose(run.signal, [0.0, 3 * 2 / 6 + 8 * 7 / 56 + 6 * 8 / 30, 4 * 3 / 12 + 2 * 0.75 / 2])
    assert len(BANDS) == 5
    assert sorted(run.exposure.tolist()) == [0] * 8 + [4, 6, 11, 14]
    same = RunSummary.of_rounds("cero", ROUNDS, num_prompts=12)
    for name in ("rounds", "rollouts", "groups", "effective", "successes", "signal", "bands"):
        np.testing.assert_array_equal(getattr(same, name), getattr(run, name))
    assert same.exposure[[3, 5, 7, 9]].tolist() == [14, 11, 6, 4]


def test_graded_rewards_count_by_their_spread(tmp_path: Path) -> None:
    """Always 0.5, and 0.25 with 0.75: equal sums, and only the second has something to learn from."""
    path = tmp_path / "trace.jsonl"
    with TraceWriter(path) as trace:
        trace.write(0, [1, 2], [4, 4], [2.0, 2.0], squares=[1.0, 1.25])
        trace.write(1, [1, 2], [1, 2], [0.5, 1.0], squares=[0.25, 1.0])
    run = RunSummary.of_trace(path)
    assert run.effective.tolist() == [1, 1]
    np.testing.assert_allclose(run.signal, [4 * 0.25 / 3, 2 * 0.5])
    assert run.groups.tolist() == [2, 2]


def test_the_signal_of_pairs_is_up_to_a_half() -> None:
    """It is an unbiased variance, n / (4 (n - 1)) at most: a quarter is the bound of its expectation only."""
    pairs = RunSummary.of_rounds("pairs", [(0, [1, 2], [2, 2], [1, 1])], num_prompts=3)
    assert pairs.numbers()["signal"] == "0.500"
    large = RunSummary.of_rounds("large", [(0, [1], [1000], [500])], num_prompts=3)
    assert large.numbers()["signal"] == "0.250"


def test_missing_rewards_and_unknown_pools(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.jsonl") as trace:
        trace.write(0, [1, 2], [8, 4], [1, 0], [1, 0])
    run = RunSummary.of_trace(tmp_path / "trace.jsonl")
    assert run.num_prompts == 2
    assert run.label == "trace.jsonl"
    assert run.bands.sum() == 1  # the other group has no reward at all
    assert run.effective.tolist() == [1]


def test_an_empty_trace_is_refused(tmp_path: Path) -> None:
    TraceWriter(tmp_path / "trace.jsonl").close()
    with pytest.raises(TraceError, match="not one round"):
        RunSummary.of_trace(tmp_path / "trace.jsonl")


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "cero-api\[plot\]"'):
        write_report([RunSummary.of_rounds("a", ROUNDS, 12)], tmp_path)
    with pytest.raises(ConfigurationError, match="no runs"):
        write_report([], tmp_path)


@pytest.mark.parametrize("runs", [1, 4])
def test_the_page_needs_nothing_but_itself(runs: int, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    summaries = [RunSummary.of_rounds(f"<run {k}>", ROUNDS, 12) for k in range(runs)]
    page = write_report(summaries, tmp_path / "report", title="A & B")
    text = page.read_text()
    assert "A &amp; B" in text
    assert "&lt;run 0&gt;" in text
    assert "<run 0>" not in text
    assert text.count("data:image/png;base64,") == 4
    assert not re.search(r'(src|href)="(?!data:)', text)
    for name in ("pacing", "exposure", "success", "effective"):
        assert (page.parent / f"{name}.png").read_bytes().startswith(b"\x89PNG")
