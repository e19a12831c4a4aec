"""Writers write what readers take: anything else is refused before a line of it is there."""

import os
from pathlib import Path

import numpy as np
import pytest

from cero_api import CeroError, TraceError
from cero_api.trace import TraceReader, TraceWriter
from tests.test_trace import read, rounds_of, written

# What a writer may be given: written so that a reader takes it, or refused before a line of it is there.
POOLS: dict[str, dict[str, object]] = {
    "keys of two kinds": {"keys": ["x", 1]},
    "keys that are no names": {"keys": [1.5, 2.5]},
    "keys that are true or false": {"keys": [True, False]},
    "keys that are missing": {"keys": ["x", None]},
    "keys that repeat": {"keys": ["x", "y", "x"]},
    "fewer keys than prompts": {"keys": ["x", "y"], "num_prompts": 3},
    "no prompts": {"num_prompts": 0},
    "half a prompt": {"num_prompts": 2.5},
    "metadata with NaN": {"metadata": {"lr": float("nan")}},
    "metadata with names that are no text": {"metadata": {("a", 1): 2}},
    "metadata without end": {"metadata": {"x": "y" * (1 << 24)}},
}


@pytest.mark.parametrize("pool", POOLS)
def test_a_pool_that_no_reader_would_take_is_refused_at_once(pool: str, tmp_path: Path) -> None:
    with pytest.raises(TraceError):
        TraceWriter(tmp_path / "trace.jsonl", **POOLS[pool])  # type: ignore[arg-type]
    assert not (tmp_path / "trace.jsonl").exists()


ROUNDS: dict[str, tuple[dict[str, object], tuple[object, ...]]] = {
    "a row beyond the keys": ({"keys": ["x", "y"]}, (0, [0, 2], [2, 2], [1, 0])),
    "a row before the keys": ({"keys": ["x", "y"]}, (0, [0, -1], [2, 2], [1, 0])),
    "a row before the pool": ({}, (0, [-1], [2], [1])),
    "a name that is no key": ({"keys": ["x", "y"]}, (0, ["z"], [2], [1])),
    "names and rows": ({}, (0, ["x", 1], [2, 2], [1, 0])),
    "rows and names": ({}, (0, [1, "x"], [2, 2], [1, 0])),
    "one text for a list": ({}, (0, "xy", [2, 2], [1, 0])),
    "half a round": ({}, (0.5, [1], [2], [1])),
    "a round before the first": ({}, (-1, [1], [2], [1])),
    "a round beyond counting": ({}, (2**31, [1], [2], [1])),
    "successes in a column": ({}, (0, [1, 2], [2, 2], [[1], [0]])),
    "successes that are no numbers": ({}, (0, [1], [2], ["many"])),
    "successes and failures without end": ({}, (0, [1], [2], [float("inf")], [float("-inf")])),
    "half a rollout": ({}, (0, [1], [2.5], [1])),
    "a name longer than a line": ({}, (0, ["x" * (1 << 24)], [2], [1])),
}


@pytest.mark.parametrize("case", ROUNDS)
def test_a_round_that_no_reader_would_take_is_refused_and_leaves_nothing(case: str, tmp_path: Path) -> None:
    options, arguments = ROUNDS[case]
    path = tmp_path / "trace.jsonl"
    with TraceWriter(path, **options) as trace:  # type: ignore[arg-type]
        with pytest.raises(CeroError):
            trace.write(*arguments)  # type: ignore[arg-type]
        trace.write(0, [1], [2], [1])
    assert len(read(path)) == 1


def test_prompts_are_rows_or_keys_of_any_library(tmp_path: Path) -> None:
    names = np.array(["x", "y", "z"])
    with TraceWriter(tmp_path / "rows.jsonl", keys=names, num_prompts=np.int64(3)) as trace:  # type: ignore[arg-type]
        trace.write(np.int32(0), np.array([2, 0], dtype=np.uint8), np.int16([4, 2]), np.float32([1, 0]))  # type: ignore[arg-type]
        trace.write(1, ["y", "x"], [4, 2], [1, 0])
    with TraceWriter(tmp_path / "keys.jsonl") as trace:
        trace.write(0, np.array(["z", "x"]), [4, 2], [1, 0])
        trace.write(1, ("y", "x"), [4, 2], [1, 0])
    assert read(tmp_path / "rows.jsonl") == read(tmp_path / "keys.jsonl")
    assert TraceReader(tmp_path / "keys.jsonl").header.num_prompts is None
    assert b'"prompt":"z"' in (tmp_path / "keys.jsonl").read_bytes()


def test_a_file_keeps_to_one_kind_of_prompts(tmp_path: Path) -> None:
    path = written(tmp_path / "trace.jsonl", rounds_of(3))
    before = path.read_bytes()
    with TraceWriter(path, num_prompts=50, metadata={"seed": 1}) as trace:
        with pytest.raises(TraceError, match="names prompts by integers, this round by strings"):
            trace.write(3, ["x"], [2], [1])
        trace.write(3, [7], [2], [1])
    assert path.read_bytes().startswith(before)
    assert len(read(path)) == 4


def test_the_folder_is_made_or_the_reason_said(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "runs" / "one" / "trace.jsonl") as trace:
        trace.write(0, [1], [2], [1])
    assert len(read(tmp_path / "runs" / "one" / "trace.jsonl")) == 1
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "trace.jsonl", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(TraceError, match="cannot write"):
            TraceWriter(path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_device_without_room_is_a_refusal_too() -> None:
    with pytest.raises(TraceError, match="cannot write /dev/full"):
        TraceWriter("/dev/full")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "trace.jsonl")
    with pytest.raises(TraceError, match="save it as a file first"):
        TraceReader(tmp_path / "trace.jsonl")
