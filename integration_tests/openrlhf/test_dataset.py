"""What the train dataset's file tells is judged before a model loads, with the option that mends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cero_api import make_allocator
from cero_api.adapting import run_identity
from cero_api.errors import ConfigurationError
from cero_api.trace import TraceWriter
from cero_openrlhf.config import read_settings
from cero_openrlhf.early import check_files
from integration_tests.openrlhf import made

ROWS = [{"input": f"{i}+1=", "label": str(i)} for i in range(40)]
CHATS = [{"input": [{"role": "user", "content": row["input"]}], "label": row["label"]} for row in ROWS]


def check(folder: Path, rows: list[dict[str, Any]], **changes: Any) -> str | None:
    path = folder / "prompts.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    files = {"ckpt__load_enable": False, "ckpt__path": str(folder), "cero__scope": "window"}
    args = made.args(**made.reading(path) | files | changes)
    return check_files(args, *read_settings(args))


@pytest.mark.parametrize(
    ("rows", "changes", "advice"),
    [
        (ROWS, {"data__input_key": "prompt"}, "--data.input_key prompt is no column .* has input, label; name one"),
        (ROWS, {"data__label_key": "answer"}, "--data.label_key answer is no column"),
        ([*ROWS, {"input": None, "label": "1"}], {}, "row 40 of the train dataset has None in --data.input_key input"),
        (CHATS, {}, "is no text; pass --data.apply_chat_template"),
        (ROWS[:3] * 10, {}, "hold 3 different prompts .* fewer than the 4 of a batch.*pass --cero.scope batch"),
        (ROWS[:1], {"actor__num_gpus_per_node": 2}, "make 4 rollouts, of which 2 training processes .* multiples of 8"),
    ],
)
def test_refused(tmp_path: Path, rows: list[dict[str, Any]], changes: dict[str, Any], advice: str) -> None:
    with pytest.raises(ConfigurationError, match=advice):
        check(tmp_path, rows, **changes)


@pytest.mark.parametrize(
    ("rows", "changes"),
    [
        (CHATS, {"data__apply_chat_template": True}),
        (CHATS, {"data__input_template": "{}"}),
        (ROWS, {"data__label_key": None}),
        (ROWS, {"cero__window": "4"}),
        (ROWS[:3] * 10, {"cero__scope": "batch", "train__num_episodes": 2}),
    ],
)
def test_taken(tmp_path: Path, rows: list[dict[str, Any]], changes: dict[str, Any]) -> None:
    known = check(tmp_path, rows, **changes)
    assert known == check(tmp_path, rows, **changes) != check(tmp_path, rows[::-1], **changes)


def test_the_trace_of_other_settings_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    options = {"cero__scope": "pool", "cero__trace": str(trace)}
    config = {"num_prompts": 40, "rounds": 10, "budget": 160, "max_rollouts_per_prompt": 4, "capacity": 16}
    identity = run_identity(make_allocator("cero", **config), trainer="openrlhf", pool="known later")
    TraceWriter(trace, num_prompts=40, metadata=identity).close()
    check(tmp_path, ROWS, **options)
    with pytest.raises(ConfigurationError, match="is the trace of a run with other settings; choose another file"):
        check(tmp_path, ROWS, **options, cero__saturation="2")
