"""Sums of a run against plain counting; the page holds everything it shows."""

import re
import tracemalloc
import unicodedata
from html import escape
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import ConfigurationError, MissingDependencyError, TraceError
from cero_api.analysis.report import BANDS, RunSummary, draw_effective, draw_exposure, write_report
from cero_api.analysis.report.figures import say_plainly
from cero_api.analysis.text import plain_text, plot_label
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
    assert sorted(run.exposure.tolist()) == [4, 6, 11, 14]
    assert run.numbers()["never served"] == 8
    same = RunSummary.of_rounds("cero", ROUNDS, num_prompts=12)
    for name in ("rounds", "rollouts", "groups", "effective", "successes", "signal", "bands"):
        np.testing.assert_array_equal(getattr(same, name), getattr(run, name))
    assert same.exposure[[3, 5, 7, 9]].tolist() == [14, 11, 6, 4]


def test_a_pool_that_a_file_only_claims_costs_no_memory(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = recorded(tmp_path, num_prompts=2**40)
    tracemalloc.start()
    try:
        run = RunSummary.of_trace(path)
        write_report([run], tmp_path / "report")
        assert tracemalloc.get_traced_memory()[1] < 1 << 27
    finally:
        tracemalloc.stop()
    assert run.numbers()["never served"] == 2**40 - 4


def test_exposure_is_drawn_over_the_whole_pool(tmp_path: Path) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    axes = figure.add_subplot()
    draw_exposure(axes, [RunSummary.of_trace(recorded(tmp_path))])
    x, y = axes.lines[0].get_data()
    assert x.tolist() == pytest.approx([0, 0, *(n * 12 / 35 for n in (4, 6, 11, 14))])
    assert y.tolist() == pytest.approx([0, 8 / 12, 9 / 12, 10 / 12, 11 / 12, 1])


def test_tokens_are_those_that_were_counted(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with TraceWriter(path) as trace:
        trace.write(0, [1, 2], [4, 4], [2, 2], tokens=[900, 50])
        trace.write(1, [1, 2], [2, 4], [0, 2], [0, 2], tokens=[np.nan, 30])  # all of one's rollouts were lost
    run = RunSummary.of_trace(path)
    assert run.tokens.tolist() == [950, 30]
    assert run.numbers()["tokens"] == 980
    with TraceWriter(path) as trace:
        trace.write(2, [1], [4], [2])
    assert RunSummary.of_trace(path).numbers()["tokens"] is None


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
    with pytest.raises(MissingDependencyError, match=r'pip install "\.\[plot\]"'):
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
    for name in ("exposure", "success", "effective", "signal"):
        assert (page.parent / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def drawn(rounds: list[tuple[int, list[int], list[int], list[float]]], folder: Path) -> set[str]:
    write_report([RunSummary.of_rounds("run", rounds, 12)], folder)
    return {path.stem for path in folder.glob("*.png")}


def test_no_figure_is_drawn_that_would_be_empty(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    usual = {"exposure", "success", "effective", "signal"}
    even = [(k, [k % 3, 5], [4, 12], [1.0, 6.0]) for k in range(20)]
    assert drawn(even, tmp_path / "even") == usual  # as a loader's batches are: ahead of nothing
    late = [(k, rows, [count * (k // 5) for count in counts], won) for k, rows, counts, won in even]
    assert drawn(late, tmp_path / "late") == usual | {"pacing"}
    assert drawn(even[:1], tmp_path / "one") == usual
    unscored = [(0, [1, 2], [4, 4], [0.0, 0.0])]
    with TraceWriter(tmp_path / "trace.jsonl") as trace:
        trace.write(0, [1, 2], [4, 4], [0, 0], [0, 0])
    write_report([RunSummary.of_trace(tmp_path / "trace.jsonl")], tmp_path / "unscored")
    assert {path.stem for path in (tmp_path / "unscored").glob("*.png")} == {"exposure"}
    mixed = [RunSummary.of_trace(tmp_path / "trace.jsonl"), RunSummary.of_rounds("run", unscored, 12)]
    write_report(mixed, tmp_path / "mixed")


LABELS = [
    "$a$ $\\frac$",
    "$",
    "_hidden",
    "\x1b[31m",
    "[/]",
    "<script>alert(1)</script>",
    "日本語",
    "x" * 500,
    "a\nb",
    "\ud83d",
]


def test_labels_are_labels_on_the_page_and_in_the_plots(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    runs = [RunSummary.of_rounds(label, ROUNDS, 12) for label in LABELS]
    text = write_report(runs, tmp_path).read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "\x1b" not in text
    for label in LABELS:
        assert f'<td data-label="run">{escape(plain_text(label))}</td>' in text
    figure = matplotlib.figure.Figure()
    draw_effective(figure.subplots(), runs)
    say_plainly(figure)
    legend = [entry.get_text() for entry in figure.axes[0].get_legend().get_texts()]
    assert legend == [plot_label(label) for label in LABELS]  # none hidden, none cut to nothing
    assert not any(entry.get_parse_math() for entry in figure.axes[0].get_legend().get_texts())
    assert max(map(len, legend)) == 48


@given(st.text(st.characters()))
def test_plain_text_shows_everything_and_moves_nothing(text: str) -> None:
    plain = plain_text(text)
    plain.encode()
    assert not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in plain)
    assert not set(plain) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
    assert plain_text(plain) == plain
    assert plain_text("a\nb", lines=True) == "a\nb"


def test_a_page_fits_a_phone(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    text = write_report([RunSummary.of_rounds("cero", ROUNDS, 12)], tmp_path).read_text(encoding="utf-8")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert re.search(r"@media \(max-width: [\d.]+rem\)", text)
    heads = re.findall(r"<th>(.*?)</th>", text)
    assert re.findall(r'<td data-label="(.*?)">', text) == heads  # a cell names its column where there is no head


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(ConfigurationError, match="cannot write the report to"):
            write_report([RunSummary.of_rounds("cero", ROUNDS, 12)], folder)
