"""Traces and histories that are damaged, foreign or hostile: refused with a CeroError that says what to do."""

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import TraceError
from cero_api.analysis.history import read_history
from cero_api.trace import TraceReader, TraceWriter
from tests.faults.test_hostile import MUTATIONS, mutations, only_refuses

TABLE = "prompt,step,pass_rate,count\na,0,0.5,8\nb,0,1.0,8\na,1,0.25,8\nb,1,0.125,8\n"
VERL = "".join(
    json.dumps({"input": f"p{i % 3}", "output": "x", "score": float(i % 2), "step": i // 6 + 1}) + "\n"
    for i in range(24)
)
ROWS = "".join(
    json.dumps({"id": f"q{i}", "extra_info": {"pass_rate": i / 8, "n": 8}, "answer": None}) + "\n" for i in range(9)
)
FILES: dict[str, bytes] = {
    "history.csv": TABLE.encode(),
    "history.tsv": TABLE.replace(",", "\t").encode(),
    "history.json": json.dumps({"a": [0.5, 0.25], "b": [[1, 8], [0, 8], 1]}).encode(),
    "history.jsonl": ROWS.encode(),
    "rollouts.jsonl": VERL.replace("input", "prompt").encode(),
    "list.json": f"[{ROWS.strip()}]".replace("\n", ",\n").encode(),
    "excel.csv": b"\xef\xbb\xbf" + TABLE.replace(",", ";").replace("0.", "0,").encode(),
    "utf16.csv": TABLE.replace(",", "\t").encode("utf-16"),
    "verl.jsonl": VERL.encode(),
    "history.csv.gz": gzip.compress(TABLE.encode(), mtime=0),
    "history.json.gz": gzip.compress(b'{"a": [0.5, 0.25]}', mtime=0),
    "verl.jsonl.gz": gzip.compress(VERL.encode(), mtime=0),
}
TRACES = ["trace.jsonl", "trace.jsonl.gz"]


def trace(path: Path) -> Path:
    with TraceWriter(path, num_prompts=9) as writer:
        for round in range(5):
            prompts = np.arange(round, round + 4)
            writer.write(round, prompts, [8, 2, 0, 4], [3, 0.5, 0, 4], [5, 1.5, 0, 0] if round % 2 else [5, 1, 0, 0])
    return path


def read(path: Path) -> None:
    for _ in TraceReader(path):
        pass


@pytest.mark.parametrize("name", TRACES)
def test_damaged_traces_are_refused_or_read(name: str, tmp_path: Path) -> None:
    path = trace(tmp_path / name)
    for data in mutations(path.read_bytes(), seed=6):
        for use in (read, read_history, lambda path: TraceWriter(path, num_prompts=9, from_round=3).close()):
            path.write_bytes(data)
            only_refuses(use, path)


@pytest.mark.parametrize("name", TRACES)
def test_a_damaged_trace_is_never_overwritten_unnoticed(name: str, tmp_path: Path) -> None:
    """What a writer refuses it leaves alone."""
    path = trace(tmp_path / name)
    for data in list(mutations(path.read_bytes(), seed=7))[: MUTATIONS // 3]:
        path.write_bytes(data)
        if not only_refuses(lambda: TraceWriter(path, num_prompts=9, from_round=3).close()):
            assert path.read_bytes() == data


@pytest.mark.parametrize("name", FILES)
def test_damaged_histories_are_refused_or_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    for data in mutations(FILES[name], seed=8):
        path.write_bytes(data)
        only_refuses(read_history, path)


JSON: st.SearchStrategy[object] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from([0, 1, -1, 2**31, 2**53, 2**63, 2**64, 10**400, 0.5, 1e308, -0.0]),
        st.floats(),
        st.text(max_size=3),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)


FIELDS = ("round", "prompt", "count", "successes", "failures", "input", "score", "step", "pass_rate", "extra_info")
RECORD = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON))


@given(records=st.lists(RECORD, min_size=1, max_size=3))
def test_records_of_any_values_are_refused_or_read(
    records: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    good = {"round": 0, "prompt": 3, "count": 8, "successes": 3, "input": "x", "score": 1, "step": 1}
    lines = "".join(json.dumps(good | record) + "\n" for record in records)
    path.write_text('{"format":"cero-trace","version":1}\n' + lines)
    only_refuses(read, path)
    only_refuses(read_history, path)
    path.write_text(lines)
    only_refuses(read_history, path, format="verl")
    only_refuses(read_history, path, format="table")
    path.write_text(json.dumps({str(n): list(record.values()) for n, record in enumerate(records)}))
    only_refuses(read_history, path, format="rates")
    path.write_text(json.dumps(records))
    only_refuses(read_history, path)


HEAD = b'{"format":"cero-trace","version":1}\n'
LINE = b'{"round":%d,"prompt":%s,"count":%s,"successes":%s}\n'
HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "nested 100,000 deep": ("t.jsonl", lambda: HEAD + LINE % (0, b"[" * 100_000, b"1", b"1")),
    "a header nested 100,000 deep": ("t.jsonl", lambda: b"[" * 100_000 + b"\n"),
    "NaN": ("t.jsonl", lambda: HEAD + LINE % (0, b"1", b"1", b"NaN")),
    "infinity": ("t.jsonl", lambda: HEAD + LINE % (0, b"1", b"1", b"Infinity")),
    "a negative count": ("t.jsonl", lambda: HEAD + LINE % (0, b"1", b"-1", b"0")),
    "a count of 2**40": ("t.jsonl", lambda: HEAD + LINE % (0, b"1", b"1099511627776", b"0")),
    "a number of 5,000 digits": ("t.jsonl", lambda: HEAD + LINE % (0, b"1", b"9" * 5000, b"0")),
    "the same prompt twice": ("t.jsonl", lambda: HEAD + 2 * LINE % (0, b"1", b"1", b"0", 0, b"1", b"1", b"0")),
    "rounds that go back": ("t.jsonl", lambda: HEAD + 2 * LINE % (5, b"1", b"1", b"0", 4, b"1", b"1", b"0")),
    "prompts of two kinds": ("t.jsonl", lambda: HEAD + 2 * LINE % (0, b"1", b"1", b"0", 0, b'"1"', b"1", b"0")),
    "bytes that are no UTF-8": ("t.jsonl", lambda: HEAD + LINE % (0, b'"\xff\xfe"', b"1", b"0")),
    "a line without end, inflated": ("t.jsonl.gz", lambda: gzip.compress(HEAD + bytes(1 << 27), mtime=0)),
    "a header without end, inflated": ("t.jsonl.gz", lambda: gzip.compress(bytes(1 << 27), mtime=0)),
    "a history nested 100,000 deep": ("h.json", lambda: b'{"a": ' + b"[" * 100_000),
    "a rate beyond 1": ("h.json", lambda: b'{"a": [1.5]}'),
    "a rate of NaN": ("h.json", lambda: b'{"a": [NaN]}'),
    "a rate of 400 digits": ("h.json", lambda: b'{"a": [1' + b"0" * 400 + b"]}"),
    "a table that is no UTF-8": ("h.csv", lambda: b"prompt,pass_rate\n\xff,0.5\n"),
    "a table with a NUL": ("h.csv", lambda: b"prompt,pass_rate\n\x00,x\n"),
    "a table whose quote never ends": ("h.csv", lambda: b'prompt,pass_rate\n"' + b"a\n" * (1 << 19)),
    "a table of zeros, inflated": ("h.csv.gz", lambda: gzip.compress(b"prompt,pass_rate\n" + bytes(1 << 27), mtime=0)),
    "a history of zeros, inflated": ("h.json.gz", lambda: gzip.compress(b'{"a": [' + bytes(1 << 27), mtime=0)),
    "lines without end, inflated": ("h.txt.gz", lambda: gzip.compress(b"\n" * (1 << 27), mtime=0)),
    "a table that is half a gzip": ("h.csv.gz", lambda: gzip.compress(b"prompt,pass_rate\na,0.5\n" * 99, mtime=0)[:50]),
    "fields nested 100,000 deep": ("h.jsonl", lambda: b'{"id": 1, "pass_rate": ' + b"[" * 100_000 + b"\n"),
    "text nested 100,000 deep": ("h.csv", lambda: b'id,pass_rate\na,"' + b"[" * 100_000 + b'"\n'),
    "a round of 2**40": ("h.csv", lambda: b"id,pass_rate,step\na,0.5,1099511627776\n"),
    "a count of 10**400": ("h.csv", lambda: b"id,num_correct,n\na,1,1" + b"0" * 400 + b"\n"),
    "a fraction of 10**400": ("h.csv", lambda: b"id,pass_rate\na,1/1" + b"0" * 400 + b"\n"),
    "zeros alone": ("h", lambda: bytes(1 << 22)),
    "Parquet that is none": ("h.parquet", lambda: b"PAR1" + bytes(100) + b"PAR1"),
    "verl's step of 2**40": ("v.jsonl", lambda: b'{"input": "a", "score": 1, "step": 1099511627776}\n'),
    "verl's step of infinity": ("v.jsonl", lambda: b'{"input": "a", "score": 1, "step": Infinity}\n'),
    "verl's score of NaN": ("v.jsonl", lambda: b'{"input": "a", "score": NaN, "step": 1}\n'),
    "verl's score of 400 digits": ("v.jsonl", lambda: b'{"input": "a", "score": 1' + b"0" * 400 + b', "step": 1}\n'),
    "verl's lines nested 100,000 deep": ("v.jsonl", lambda: b'{"score": ' + b"[" * 100_000 + b"\n"),
    "an empty file": ("t.jsonl", bytes),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_files_are_refused_in_little_memory(hostile: str, tmp_path: Path) -> None:
    name, content = HOSTILE[hostile]
    path = tmp_path / name
    path.write_bytes(content())
    if "Parquet" in hostile:
        pytest.importorskip("pyarrow")
    tracemalloc.start()
    try:
        assert not only_refuses(read_history, path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 26
    with pytest.raises(TraceError):
        read_history(path)
