"""`cero replay`, `cero simulate` and `cero report` as a user runs them: tables, JSON, exit codes, reasons."""

import importlib.metadata
import io
import json
import os
import re
import sys
import threading
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import NamedTuple

import pytest

from cero_api.analysis.learning import TrainingRecord
from cero_api.analysis.text import plain_text
from cero_api.trace import TraceWriter


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Cero = Callable[..., Outcome]


def test_replay_prints_a_table_of_all_allocators_and_what_it_cannot_tell(cero: Cero, run_folder: Path) -> None:
    code, out, err = cero("replay", run_folder, "--seeds", 2)
    assert (code, err) == (0, "")
    from cero_api import available_allocators

    for name in available_allocators():
        assert re.search(rf"^{name} +1,280 ", out, re.MULTILINE)
    assert "Less uniform, seed by seed" in out
    assert "cannot tell what a model would have learned" in " ".join(out.split())
    assert "1,280" in out


def test_json_holds_every_number(cero: Cero, run_folder: Path) -> None:
    code, out, _ = cero("replay", run_folder / "trace.jsonl.gz", "--allocators", "uniform,cero", "--seeds", 3, "--json")
    report = json.loads(out)
    assert code == 0
    assert report["kind"] == "replay"
    assert report["seeds"] == [0, 1, 2]
    assert [result["allocator"] for result in report["results"]] == ["uniform", "cero"]
    assert report["results"][1]["metrics"]["rollouts"]["values"] == [1280, 1280, 1280]
    assert set(report["differences"]) == {"cero"}
    assert len(report["notes"]) >= 2


def test_options_reach_the_replay(cero: Cero, run_folder: Path) -> None:
    _, out, _ = cero(
        "replay", run_folder, "--allocators", "cero", "--seeds", 1, "--seed", 7, "--scope", "pool", "--rounds", 10,
        "--budget", 640, "--group-size", 4, "--cap", 6, "--smooth", 0, "--set", "cero.saturation=2.5", "--json",
    )  # fmt: skip
    report = json.loads(out)
    sizes = report["settings"]
    assert (sizes["scope"], sizes["rounds"], sizes["budget"], sizes["smooth"]) == ("pool", 10, 640, 0)
    assert report["seeds"] == [7]
    assert report["results"][0]["config"]["saturation"] == 2.5


def test_other_shapes(cero: Cero, tmp_path: Path) -> None:
    (tmp_path / "rates.json").write_text('{"a": [0.1, 0.6], "b": [0.5, 1.0]}')
    (tmp_path / "rates.csv").write_text("id,avg\na,0.1\nb,0.9\n")
    (tmp_path / "rollouts").mkdir()
    (tmp_path / "rollouts" / "1.jsonl").write_text('{"input":"q","output":"","score":0.5,"step":1}\n' * 4)
    short = ("--allocators", "uniform,cero", "--seeds", 1)
    assert cero("replay", tmp_path / "rates.json", *short).code == 0
    assert cero("replay", tmp_path / "rates.csv", "--rate-column", "avg", *short).code == 0
    assert cero("replay", tmp_path / "rollouts", "--success-threshold", 0.5, *short).code == 0


def test_parquet(cero: Cero, tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"id": ["a", "b"], "pass_rate": [0.5, 1.0]}), tmp_path / "t.parquet")
    assert cero("replay", tmp_path / "t.parquet", "--allocators", "uniform", "--seeds", 1).code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replay", "{folder}/missing.json"], "check the path"),
        (["replay", "{folder}/bad.jsonl"], "line 3: count -8 is not a number of rollouts; correct or remove the line"),
        (["replay", "{folder}", "--allocators", "nobody"], "choose from all, "),
        (["replay", "{folder}", "--set", "cero"], "write allocator.field=value"),
        (["replay", "{folder}", "--allocators", "cero", "--set", "cero.x=1"], "x: unknown"),
        (["replay", "{folder}", "--budget", "0"], "--budget"),
        (["replay", "{folder}", "--scope", "moon"], "--scope"),
        (["simulate", "--drift-spread", "-1"], "--drift-spread"),
        (["simulate", "--scope", "batch", "--rounds", "2", "--budget", "4"], "makes batches of 0"),
        (["simulate", "--budget", "1"], "budget=1 is less than 400 rollouts, one group of two for each of 200 rounds"),
        (["replay", "{folder}", "--budget", "1"], "budget=1 is less than 40 rollouts, one group of two for each of 20"),
        (["replay", "{folder}", "--cap", "2"], "cap=2 is less than the 8 rollouts a prompt that a round takes"),
        (["replay", "{folder}/nofile"], "nofile does not exist; check the path"),
        (["replay", "{folder}/trace.jsonl.gz", "--rate-column", "x"], "no table, so rate_column means nothing"),
        (["report", "{folder}/missing.jsonl"], "missing.jsonl does not exist; check the path"),
        (["report", "{folder}/bad.jsonl"], "line 3"),
        (["report", "{folder}/missing.json"], "missing.json does not exist; check the path"),
        (["report", "{folder}/missing"], "missing does not exist; check the path"),
        (["report", "{folder}", "{folder}/missing"], "missing does not exist; check the path"),
        (
            ["report", "{folder}/rates.csv"],
            "neither a trace nor a record of a training (.json); give it to cero replay",
        ),
        (["report", "{folder}/empty"], "holds no run"),
        (["report", "{folder}", "{folder}/record.json"], "report on one kind at a time"),
    ],
)
def test_what_is_wrong_exits_with_2_and_a_reason(arguments: list[str], said: str, cero: Cero, run_folder: Path) -> None:
    (run_folder / "bad.jsonl").write_text(
        '{"format":"cero-trace","version":1}\n'
        '{"round":0,"prompt":1,"count":8,"successes":1}\n'
        '{"round":0,"prompt":2,"count":-8,"successes":1}\n'
        '{"round":0,"prompt":3,"count":8,"successes":1}\n'
    )
    (run_folder / "rates.csv").write_text("prompt,pass_rate\nq,0.5\n")
    (run_folder / "record.json").write_text('{"label": "cero", "rollouts": [0, 640], "accuracy": [0.1, 0.2]}')
    (run_folder / "empty").mkdir()
    code, out, err = cero(*(argument.format(folder=run_folder) for argument in arguments))
    assert code == 2
    assert out == ""
    assert said in " ".join(err.replace("│", " ").split())


def test_ctrl_c_exits_with_130(cero: Cero, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cero_api.analysis.replay.contest", interrupt)
    assert cero("replay", run_folder).code == 130


def test_simulate(cero: Cero) -> None:
    code, out, _ = cero("simulate", "--prompts", 60, "--rounds", 20, "--seeds", 2, "--drift", 1, "--beta", 0.5, 0.5)
    assert code == 0
    assert "regret" in out
    assert "nothing about what a model would learn" in " ".join(out.split())
    _, out, _ = cero("simulate", "--prompts", 60, "--rounds", 20, "--allocators", "uniform", "--seeds", 1, "--json")
    assert json.loads(out)["results"][0]["metrics"]["regret"]["low"] is None


def test_report(cero: Cero, run_folder: Path) -> None:
    pytest.importorskip("matplotlib")
    code, out, _ = cero("report", run_folder)
    page = run_folder / "report" / "index.html"
    assert code == 0
    assert re.search(r"^uniform +20 +1,280 +40 ", out, re.MULTILINE)
    assert out.endswith(f"Report: {page}\n")
    assert page.is_file()
    code, out, _ = cero("report", run_folder, run_folder / "trace.jsonl.gz", "--out", run_folder / "r", "--json")
    assert json.loads(out)["runs"][1]["rollouts"] == 1280
    assert (run_folder / "r" / "index.html").is_file()


def test_report_finds_the_runs_below_a_folder_and_tells_them_apart(cero: Cero, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name, allocator in (("a/seed0", "uniform"), ("a/seed1", "uniform"), ("b", "cero"), (".hidden", "cero")):
        with TraceWriter(tmp_path / "runs" / name / "trace.jsonl", metadata={"allocator": allocator}) as trace:
            trace.write(0, [1, 2], [8, 8], [3, 0])
    (tmp_path / "runs" / "config.json").write_text("{}")
    code, out, _ = cero("report", tmp_path / "runs", "--json")
    assert code == 0
    assert [run["run"] for run in json.loads(out)["runs"]] == ["uniform (seed0)", "uniform (seed1)", "cero"]
    for name in ("one", "two"):
        with TraceWriter(tmp_path / "other" / f"{name}.jsonl.gz", metadata={"allocator": name}) as trace:
            trace.write(0, [1, 2], [8, 8], [3, 0])
    (tmp_path / "other" / "notes.jsonl").write_text("{}")
    for name in ("first", "second"):  # of one method, and in one folder
        with TraceWriter(tmp_path / "same" / f"{name}.jsonl", metadata={"allocator": "uniform"}) as trace:
            trace.write(0, [1, 2], [8, 8], [3, 0])
    _, out, _ = cero("report", tmp_path / "same", "--json")
    assert [run["run"] for run in json.loads(out)["runs"]] == ["uniform (first.jsonl)", "uniform (second.jsonl)"]
    code, out, _ = cero("report", tmp_path / "other", "--json")
    assert [run["run"] for run in json.loads(out)["runs"]] == ["one", "two"]
    for label in ("uniform", "cero"):
        TrainingRecord(label=label, rollouts=[0, 640], accuracy=[0.1, 0.2]).save(tmp_path / "t" / label / "r.json")
    code, out, _ = cero("report", tmp_path / "t", "--json")
    assert set(json.loads(out)["regimes"][""]) == {"uniform", "cero"}


@pytest.mark.parametrize("kind", ["traces", "trainings"])
def test_a_report_that_cannot_be_written_says_so(kind: str, cero: Cero, run_folder: Path) -> None:
    pytest.importorskip("matplotlib")
    (run_folder / "file").write_text("")
    TrainingRecord(label="cero", rollouts=[0, 640], accuracy=[0.1, 0.2]).save(run_folder / "r.json")
    run = run_folder / ("r.json" if kind == "trainings" else "trace.jsonl.gz")
    for out in ("file", "file/below", "x" * 300):
        code, _, err = cero("report", run, "--out", run_folder / out)
        assert code == 2
        assert "Traceback" not in err
        assert "file" in err or "cannot write the report to" in err


def test_report_on_trainings(cero: Cero, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")  # an extra of its own
    for label, final in (("uniform", 0.2), ("cero", 0.4), ("best", 0.5)):
        for seed in range(2):
            run = TrainingRecord(label=label, seed=seed, rollouts=[0, 640, 1280], accuracy=[0.1, 0.1, final])
            run.save(tmp_path / f"{label}-seed{seed}.json")
    code, out, _ = cero("report", tmp_path)
    assert code == 0
    page = tmp_path / "report" / "index.html"
    assert out.endswith(f"Report: {page}\n")
    assert "rollouts to match" in out
    assert "Fewer than five seeds" in out
    assert page.is_file()
    code, out, _ = cero("report", *sorted(tmp_path.glob("cero-*.json")), "--json", "--out", tmp_path / "r")
    trainings = json.loads(out)["regimes"][""]
    assert (trainings["cero"]["trainings"], trainings["cero"]["against"]) == (2, None)
    for oracle in (("best",), ("cero=best",), ("cero=best", "best=cero")):
        told = [word for name in oracle for word in ("--oracle", name)]
        _, out, _ = cero("report", tmp_path, *told, "--json", "--out", tmp_path / "r")
        share = json.loads(out)["regimes"][""]["cero"]["against"]["rollouts"]["along_of_oracle"]
        assert share["low"] == pytest.approx(share["high"])
    code, _, err = cero("report", tmp_path, "--oracle", "best", "--oracle", "cero=best")
    assert code == 2
    assert "give one label, or LABEL=ITS_ORACLE for each" in err
    _, out, _ = cero("report", tmp_path, "--baseline", "cero", "--json", "--out", tmp_path / "r")
    assert json.loads(out)["regimes"][""]["uniform"]["against"]["less"]["value"] < 0


def test_the_published_records_are_read_as_they_are(cero: Cero, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")  # an extra of its own
    published = sorted((Path(__file__).parents[2] / "docs" / "evidence").glob("*.json"))
    code, out, _ = cero("report", *published, "--out", tmp_path)
    assert code == 0
    assert {path.stem for path in published} <= set(re.findall(r"^([\w-]+): [\d,]+ rollouts", out, re.MULTILINE))
    assert "All regimes together" in out
    lines = out.splitlines()[:-1]
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if re.search(r"\[[\d.]*,?\s*$", line)]  # no number is broken off
    assert (tmp_path / "index.html").read_text().count("<h2>") == len(published) + 1


HOSTILE = [
    "cero[lr=1e-6]",
    "[/]",
    "[bold]x",
    "\x1b[31mred\x1b]0;t\x07",
    "$a$ $\\frac$",
    "$",
    "_x",
    "a\nb",
    "\u202etxt",
    "<b>&",
]


@pytest.mark.parametrize("label", HOSTILE)
def test_what_people_call_things_is_printed_as_it_reads(label: str, cero: Cero, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for number, name in enumerate((label, "uniform")):
        for seed in range(2):
            run = TrainingRecord(label=name, seed=seed, rollouts=[0, 640, 1280], accuracy=[0.1, 0.1, 0.2])
            run.save(tmp_path / f"{number}-{seed}.json")
    with TraceWriter(tmp_path / "run" / "trace.jsonl", metadata={"allocator": label}) as trace:
        trace.write(0, [1, 2], [8, 8], [3, 0])
    for place in (tmp_path, tmp_path / "run"):
        code, out, err = cero("report", place)
        assert (code, err) == (0, "")
        assert plain_text(label) in out
        assert "\x1b" not in out
        assert escape(plain_text(label)) in (place / "report" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["[].csv", "[red]x[.csv", "\x1b[31m.csv", "$x$.csv"])
def test_a_files_name_is_printed_as_it_reads(name: str, cero: Cero, tmp_path: Path) -> None:
    (tmp_path / name).write_text("prompt,pass_rate\na,0.5\nb,x\n")
    code, out, err = cero("replay", tmp_path / name)
    assert (code, out) == (2, "")
    assert f"{plain_text(name)}, line 3" in err
    assert "\x1b" not in err


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", ["replay", "simulate", "report"])
def test_tables_fit_the_console(
    columns: int, command: str, cero: Cero, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("COLUMNS", str(columns))
    asked: dict[str, list[object]] = {
        "replay": [run_folder, "--seeds", 2],
        "simulate": ["--rounds", 20, "--prompts", 50, "--seeds", 2],
        "report": [run_folder],
    }
    _, out, _ = cero(command, *asked[command])
    lines = [line for line in out.splitlines() if not line.startswith("Report: ")]
    assert max(map(len, lines)) <= columns
    if command != "report":
        assert sum(line.startswith("random_matched ") for line in lines) == out.count("─\n")
    assert "…" not in out


def test_columns_without_an_entry_are_left_out(cero: Cero, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    TrainingRecord(label="uniform", rollouts=[0, 640], accuracy=[0.1, 0.2]).save(tmp_path / "a.json")
    _, out, _ = cero("report", tmp_path)
    table, _, _ = out.partition("To match: ")  # where the explanations begin
    assert "final accuracy" in table
    for empty in ("signal", "wall", "steps", "tokens"):
        assert empty not in table
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "<th>final accuracy</th>" in page
    assert "<th>signal</th>" not in page


def test_the_version(cero: Cero) -> None:
    code, out, _ = cero("--version")
    assert (code, out) == (0, f"cero-api {importlib.metadata.version('cero-api')}\n")


def test_a_console_of_another_encoding_gets_what_it_can_show(
    cero: Cero, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", screen)
    assert cero("replay", run_folder, "--allocators", "uniform,cero", "--seeds", 2).code == 0
    screen.flush()
    assert b"1,280" in screen.buffer.getvalue()


def test_columns_are_named_on_the_command_line(cero: Cero, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "Frage,richtig,Versuche,Zeit\n" + "".join(f"q{i % 4},{i % 9},8,{i // 4}\n" for i in range(24))
    )
    code, out, _ = cero(
        "replay", tmp_path / "t.csv", "--prompt-column", "Frage", "--success-column", "richtig", "--count-column",
        "Versuche", "--round-column", "Zeit", "--allocators", "uniform,cero", "--seeds", 1, "--json",
    )  # fmt: skip
    sizes = json.loads(out)["settings"]
    assert (code, sizes["prompts"], sizes["rounds"], sizes["budget"]) == (0, 4, 6, 192)


def test_report_without_matplotlib_says_what_to_install(
    cero: Cero, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = cero("report", run_folder)
    assert code == 2
    assert 'in a clone of cero-api: pip install ".[plot]"' in err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_report_of_a_pipe(cero: Cero, run_folder: Path) -> None:
    pytest.importorskip("matplotlib")
    os.mkfifo(run_folder / "pipe")
    content = (run_folder / "trace.jsonl.gz").read_bytes()
    threading.Thread(target=lambda: (run_folder / "pipe").write_bytes(content), daemon=True).start()
    code, out, _ = cero("report", run_folder / "pipe", "--json")
    assert (code, json.loads(out)["runs"][0]["rollouts"]) == (0, 1280)


def test_bars_say_what_things_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    from cero_api.cli.contest import progress_bar

    console = pytest.importorskip("rich.console")
    screen = io.StringIO()
    monkeypatch.setattr("cero_api.cli.contest.errors", console.Console(file=screen, force_terminal=True, width=200))
    with progress_bar() as bar:
        bar.add_task("reading [/] and [red]x", total=1.0)
    assert "reading [/] and [red]x" in screen.getvalue()
