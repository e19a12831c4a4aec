"""`cero replay`, `cero simulate` and `cero report` as a user runs them: tables, JSON, exit codes, reasons."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from cero_api.analysis.learning import TrainingRecord
from cero_api.cli.app import main
from cero_api.trace import TraceWriter


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Cero = Callable[..., Outcome]


@pytest.fixture
def cero(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cero:
    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["cero", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        code = caught.value.code
        return Outcome(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    p = rng.beta(0.4, 0.6, 40)
    with TraceWriter(tmp_path / "trace.jsonl.gz", num_prompts=40, metadata={"allocator": "uniform"}) as trace:
        for k in range(20):
            rows = rng.permutation(40)[:8]
            trace.write(k, rows, [8] * 8, rng.binomial(8, p[rows]))
    return tmp_path


def test_replay_prints_a_table_of_all_allocators_and_what_it_cannot_tell(cero: Cero, run_folder: Path) -> None:
    code, out, err = cero("replay", run_folder, "--seeds", 2)
    assert (code, err) == (0, "")
    from cero_api import available_allocators

    for name in available_allocators():
        assert f"│ {name} " in out
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
        (["simulate", "--scope", "batch", "--budget", "10"], "makes batches of 0"),
        (["report", "{folder}/missing.jsonl"], "check the path"),
        (["report", "{folder}/bad.jsonl"], "line 3"),
        (["report", "{folder}/missing.json"], "check the path"),
    ],
)
def test_what_is_wrong_exits_with_2_and_a_reason(arguments: list[str], said: str, cero: Cero, run_folder: Path) -> None:
    (run_folder / "bad.jsonl").write_text(
        '{"format":"cero-trace","version":1}\n'
        '{"round":0,"prompt":1,"count":8,"successes":1}\n'
        '{"round":0,"prompt":2,"count":-8,"successes":1}\n'
        '{"round":0,"prompt":3,"count":8,"successes":1}\n'
    )
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
    assert out == f"Report: {page}\n"
    assert page.is_file()
    code, out, _ = cero("report", run_folder, run_folder / "trace.jsonl.gz", "--out", run_folder / "r", "--json")
    assert json.loads(out)["runs"][1]["rollouts"] == 1280
    assert (run_folder / "r" / "index.html").is_file()


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


def test_report_without_matplotlib_says_what_to_install(
    cero: Cero, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = cero("report", run_folder)
    assert code == 2
    assert 'pip install "cero-api[plot]"' in err
