"""`cero` as a user runs it, and a run's folder to run it on."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from cero_api.cli.app import main
from cero_api.trace import TraceWriter


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def cero(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
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
