"""`cero advise` as a user runs it: what the page shows, other shapes, JSON, tables that fit, refusals."""

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Cero = Callable[..., Outcome]
PAGE = Path(__file__).parents[2] / "docs" / "advise.md"
SHOWN = re.compile(r"```sh\n(cero [^\n]*)\n```\n+<!-- begin (\w+) -->\n+```text\n(.*?)```", re.DOTALL)
NUMBER = re.compile(r"\d+(?:\.\d+)?")


@pytest.fixture
def rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's own file."""
    monkeypatch.chdir(tmp_path)
    example = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    exec(compile(example[1], str(PAGE), "exec"), {})
    return tmp_path / "rates.csv"


def test_the_page_shows_what_is_printed(cero: Cero, rates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = SHOWN.findall(PAGE.read_text(encoding="utf-8"))
    assert {name for _, name, _ in found} == {"sizes", "record"}
    for command, _, text in found:
        code, out, err = cero(*shlex.split(command)[1:])
        assert (code, err) == (0, "")
        lines = [line.rstrip() for line in out.strip().splitlines()]
        stated = text.strip().splitlines()
        assert [NUMBER.sub("#", line) for line in lines] == [NUMBER.sub("#", line) for line in stated], (
            "run python benchmarks/savings.py"
        )
        # Alike but for what another machine's rounding, amplified by a replay, may change.
        mine, its = (list(map(float, NUMBER.findall("\n".join(some)))) for some in (lines, stated))
        assert mine == pytest.approx(its, rel=0.08), "run python benchmarks/savings.py"


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("color", [False, True])
def test_it_fits_the_console(
    columns: int, color: bool, cero: Cero, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    if color:
        monkeypatch.setenv("FORCE_COLOR", "1")
    for arguments in ([run_folder, "--epochs", 1], ["--prompts", 10**9, "--batch", 100_000]):
        code, out, _ = cero("advise", *arguments)
        assert code == 0
        plain = re.sub(r"\x1b\[[\d;]*m", "", out)
        assert (plain != out) == color
        # What is to be copied stands in one line, whatever its length.
        wide = [line for line in plain.splitlines() if len(line) > columns]
        assert all(line.startswith(("  CeroGRPOTrainer(", "  +rollout", "  --cero", "  asyncio.run(")) for line in wide)
        assert "…" not in plain


def test_json_has_everything(cero: Cero, run_folder: Path) -> None:
    code, out, _ = cero("advise", run_folder, "--json", "--epochs", 3)
    told = json.loads(out)
    assert code == 0
    assert set(told) >= {"run", "scopes", "difficulty", "signals", "verdict", "reasons", "composition", "lines"}
    assert (told["run"]["prompts"], told["run"]["batch"], told["run"]["assumed"]) == (40, 8, [])
    assert [view["scope"] for view in told["scopes"]] == ["batch", "window", "pool"]


def test_other_shapes(cero: Cero, tmp_path: Path) -> None:
    (tmp_path / "rates.json").write_text(json.dumps({f"q{i}": (i / 40) ** 5 for i in range(40)}))
    (tmp_path / "rollouts").mkdir()
    lines = [json.dumps({"input": f"q{i // 4}", "output": "", "score": float(i % 3), "step": 1}) for i in range(160)]
    (tmp_path / "rollouts" / "1.jsonl").write_text("\n".join(lines))
    trl = ["step,prompt,completion,accuracy_reward,advantage"]
    trl += [f"{i // 32},q{i // 4},text,{i % 2},0" for i in range(160)]
    (tmp_path / "completions.csv").write_text("\n".join(trl))
    for name in ("rates.json", "rollouts", "completions.csv"):
        code, out, err = cero("advise", tmp_path / name, "--batch", 4, "--json")
        assert (code, err) == (0, "")
        told = json.loads(out)
        assert told["run"]["prompts"] == 40
        assert told["signals"] is not None
        # Rates are known before a training; what a training earned is not.
        rates = told["composition"] is not None and told["composition"]["rates"]
        assert bool(rates) == (name == "rates.json")


def test_what_the_data_set_has_is_said(cero: Cero) -> None:
    _, out, _ = cero("advise", "--prompts", 640, "--batch", 8, "--rates", "extra_info.solved", "--source", "--json")
    told = json.loads(out)
    assert told["composition"]["rates"] == "extra_info.solved"
    assert told["composition"]["source"]
    assert "rollout_allocator.offline_rates=extra_info.solved" in told["lines"]["verl"]


def test_nothing_to_gain(cero: Cero) -> None:
    code, out, _ = cero("advise", "--prompts", 640, "--batch", 8, "--scope", "batch")
    assert code == 0
    assert "Nothing to gain here. Stay with uniform." in out
    assert "CeroGRPOTrainer" not in out
    assert " ".join(out.split()).count("every prompt is visited once") == 0  # said once, as the reason
    assert " ".join(out.split()).count("Every prompt is visited once") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing is known of the run; give a record"),
        (["{folder}/missing.csv"], "missing.csv does not exist; check the path"),
        (["--prompts", "8", "--batch", "9"], "batch=9 prompts do not fit a pool of 8"),
        (["--prompts", "8", "--epochs", "0"], "epochs=0.0 is not above 0"),
        (["--prompts", "8", "--group-size", "1"], "a group of one has no contrast"),
        (["--prompts", "64", "--floor", "9", "--cap", "8"], "exceeds max_rollouts_per_prompt=8"),
        (["--prompts", "0"], "--prompts"),
        (["{folder}", "--rate-column", "x"], "no table, so rate_column means nothing"),
    ],
)
def test_what_is_wrong_exits_with_2_and_a_reason(arguments: list[str], said: str, cero: Cero, run_folder: Path) -> None:
    code, out, err = cero("advise", *(argument.format(folder=run_folder) for argument in arguments))
    assert (code, out) == (2, "")
    assert said in " ".join(err.replace("│", " ").split())


def test_ctrl_c_exits_with_130(cero: Cero, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["cero_api.analysis.replay"], "contest", interrupt)
    assert cero("advise", run_folder).code == 130
