"""The launcher: `--help` has both sets of arguments, and what is wrong ends before anything starts."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from cero_openrlhf.config import read_settings
from cero_openrlhf.launcher import main
from integration_tests.openrlhf import made, tiny


def launched(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["cero_openrlhf", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert launched(["--help"], monkeypatch) == 0
    text = capsys.readouterr().out
    for word in ("--rollout.n_samples_per_prompt", "--cero.allocator", "--cero.scope", "--cero.saturation"):
        assert word in text
    assert "$" not in text.partition("(cero-api)")[2]  # no TeX


def test_the_guides_command_is_parsed_to_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = (tiny.ROOT / "docs" / "openrlhf.md").read_text()
    [command] = re.findall(r"python -m cero_openrlhf \\\n(.*?)```", guide, re.DOTALL)
    words = shlex.split(command.replace("\\\n", " "))
    # One wrong word at the end: the only fault that is found.
    assert launched([*words, "--cero.saturation", "0"], monkeypatch) == 2
    [fault] = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert fault.endswith("--cero.saturation 0: Input should be greater than 0")


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"cero.saturation": "-1"}, "--cero.saturation -1: Input should be greater than 0"),
        ({"cero.seed": "x"}, "--cero.seed x: Input should be a valid integer"),
        ({"cero.prompt_weight": "everybody"}, "prompt_weight"),
        ({"cero.alpha": 1}, "--cero.alpha is not a field of 'cero'"),
        ({"rollout.n_samples_per_prompt": 1, "algo.advantage.estimator": "gae"}, "leaves nothing to allocate"),
    ],
)
def test_refusals(
    changes: dict[str, object],
    advice: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert launched(tiny.arguments(tmp_path, **changes), monkeypatch) == 2
    assert advice in capsys.readouterr().err


def test_a_method_brings_its_usual_scope() -> None:
    for allocator, scope in (("cero", "window"), ("greso", "pool"), ("vip", "batch")):
        args = made.args(**{"cero.allocator": allocator})
        del args.cero.scope
        settings, fields = read_settings(args)
        assert settings.scope == scope
        assert fields.get("belief") == ("features" if allocator == "cero" else None)
