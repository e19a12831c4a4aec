"""Records where people have them: what trainers leave, shards, folders, pipes; and nothing that fills the memory."""

import csv
import gzip
import json
import os
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from cero_api import TraceError
from cero_api.analysis.history import HistoryFormat, read_history
from cero_api.trace import TraceWriter
from tests.analysis.test_history import visits_of
from tests.analysis.test_records import RATES, ROWS, csv_of, lines_of, rates_of, saved


def table(path: Path, **columns: object) -> Path:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table(columns), path)
    return path


def chat(i: int) -> list[dict[str, object]]:
    return [{"role": "user", "content": f"What is {i} + 1?"}]


def completions(folder: Path, **functions: list[float | None]) -> Path:
    """What TRL logs of a run: two steps of two prompts, two rollouts each."""
    folder.mkdir(parents=True)
    for step in (2, 10):
        path = folder / f"completions_{step}.parquet"
        table(path, step=[step] * 4, prompt=list("aabb"), completion=["…"] * 4, **functions, advantage=[0.0] * 4)
    return folder


def test_what_trl_leaves_of_a_run(tmp_path: Path) -> None:
    accuracy: list[float | None] = [1.0, 0.0, None, 1.0]
    several = completions(tmp_path / "output" / "completions", accuracy_reward=accuracy, b=[0.0] * 4)
    (tmp_path / "output" / "checkpoint-2").mkdir()
    expected = {"a": [(2, 1.0, 2), (10, 1.0, 2)], "b": [(2, 1.0, 1), (10, 1.0, 1)]}
    for place in (several, several.parent, completions(tmp_path / "one", my_check=accuracy)):
        history = read_history(place)
        assert visits_of(history) == expected
        assert history.rollouts.tolist() == [4, 4]
    one = read_history(several / "completions_2.parquet", rate_column="b")
    assert visits_of(one) == {"a": [(2, 0.0, 2)], "b": [(2, 0.0, 2)]}
    with pytest.raises(TraceError, match="but step, prompt, completion, r1, r2, advantage; name the one"):
        read_history(completions(tmp_path / "two", r1=accuracy, r2=accuracy))


def test_parquet_with_chats_nested_columns_and_nulls(tmp_path: Path) -> None:
    rates = [None if i == 4 else rate for i, rate in enumerate(RATES)]
    nested = [{"index": i, "pass_rate": rate, "other": "…"} for i, rate in enumerate(rates)]
    path = table(tmp_path / "a.parquet", prompt=[chat(i) for i in range(9)], extra_info=nested)
    history = read_history(path)
    assert rates_of(history) == pytest.approx(rates)
    by_model = table(tmp_path / "b.parquet", id=list(range(9)), solved=[{"m": {"a-1.5b": rate}} for rate in RATES])
    assert rates_of(read_history(by_model, rate_column="solved.m.a-1.5b")) == pytest.approx(RATES)
    as_lines = saved(tmp_path / "a.jsonl", lines_of([{"prompt": chat(i), "pass_rate": 0} for i in range(9)]))
    assert list(history.keys) == list(read_history(as_lines).keys)
    assert list(read_history(path, prompt_column="extra_info.index").keys) == list(range(9))


def test_shards_and_folders_of_datasets(tmp_path: Path) -> None:
    pyarrow, ipc = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.ipc")
    hub, disk = tmp_path / "hub", tmp_path / "disk"
    (hub / "data").mkdir(parents=True)
    (hub / "README.md").write_text("…")
    for shard in range(2):
        table(hub / "data" / f"train-{shard}.parquet", problem=[f"{shard}{i}" for i in range(9)], pass_rate=RATES)
    assert rates_of(read_history(hub)) == pytest.approx(RATES * 2)
    disk.mkdir()
    (disk / "state.json").write_text("{}")
    rows = pyarrow.table({"id": list(range(9)), "meta": [{"p": rate} for rate in RATES], "pass_rate": RATES})
    for path, new in ((disk / "data-00000-of-00001.arrow", ipc.new_stream), (tmp_path / "a.arrow", ipc.new_file)):
        with new(str(path), rows.schema) as file:
            file.write_table(rows)
        assert rates_of(read_history(path, rate_column="meta.p")) == pytest.approx(RATES)
    assert rates_of(read_history(disk)) == pytest.approx(RATES)


def test_only_the_columns_asked_for_are_read(tmp_path: Path) -> None:
    n, text = 2000, "lorem ipsum " * 1700
    path = table(
        tmp_path / "a.parquet", problem=[f"q{i}" for i in range(n)], solution=[f"{i}{text}" for i in range(n)],
        pass_rate=[i / n for i in range(n)],
    )  # fmt: skip
    pyarrow = pytest.importorskip("pyarrow")
    before = pyarrow.default_memory_pool()
    pool = pyarrow.proxy_memory_pool(before)
    pyarrow.set_memory_pool(pool)
    tracemalloc.start()
    try:
        assert read_history(path).num_prompts == n
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        assert pool.max_memory() < 4 << 20  # of the 40 MB that the file has unpacked
    finally:
        tracemalloc.stop()
        pyarrow.set_memory_pool(before)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_memory_does_not_grow_with_the_rows_text(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cero_api.analysis.history.opened.PIECE", 1 << 14)
    monkeypatch.setattr("cero_api.analysis.history.values.PIECE", 1 << 14)
    peaks = []
    for n in (100, 3000):
        rows = [{"prompt": f"q{i % 50}", "pass_rate": 0.5, "solution": "x" * 3000} for i in range(n)]
        text = (
            lines_of(rows)
            if name == "a.jsonl"
            else "prompt,pass_rate,solution\n" + "".join(f"{row['prompt']},0.5,{row['solution']}\n" for row in rows)
        )
        path = saved(tmp_path / name, text)
        tracemalloc.start()
        assert read_history(path).visits == n
        peaks.append(tracemalloc.get_traced_memory()[1] - 200 * n)  # what is kept of a row
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


@pytest.mark.parametrize("size", [200_000, 3_000_000])
def test_a_prompt_may_be_long(size: int, tmp_path: Path) -> None:
    before = csv.field_size_limit()
    for name, text in (
        ("a.csv", "prompt,pass_rate\n" + "x" * size + ",0.5\n"),
        ("a.jsonl", lines_of([{"prompt": "x" * size, "pass_rate": 0.5}] * 2)),
    ):
        assert len(str(read_history(saved(tmp_path / name, text)).keys[0])) == size
    assert csv.field_size_limit() == before  # the process's own
    with pytest.raises(TraceError) as caught:
        read_history(saved(tmp_path / "a.csv", "prompt,pass_rate\nq," + "x" * size + "\n"))
    assert len(str(caught.value)) < 400


def test_what_was_torn_off_is_said(tmp_path: Path) -> None:
    history = read_history(saved(tmp_path / "a.jsonl", lines_of(ROWS) + '{"id": "q9", "pass_r'))
    assert history.num_prompts == 9
    assert history.notes == ("a.jsonl, line 10 is torn and was passed over",)
    assert read_history(saved(tmp_path / "a.json", json.dumps(ROWS)[:-30])).notes == (
        "a.json, line 1 is torn and was passed over",
    )


FOREIGN = [
    (b"PK\x03\x04" + bytes(40), "Excel"), (b"\x28\xb5\x2f\xfd" + bytes(40), "zstd"), (b"\x80\x04\x95.", "pickle"),
    (b"SQLite format 3\0", "database"), ("prompt,pass_rate\nm\xfc,1\n".encode("latin-1"), "UTF-8"), (bytes(100), "NUL"),
    (b"PAR1" + bytes(9), "Parquet"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "said"), FOREIGN)
def test_what_is_no_text_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(TraceError, match=said):
        read_history(saved(tmp_path / "a.csv", content))


def test_what_is_not_there_does_not_exist(tmp_path: Path) -> None:
    saved(tmp_path / "file", "")
    for path in (tmp_path / "no.csv", tmp_path / "no", tmp_path / "file" / "no.jsonl", tmp_path / "no" / "no.parquet"):
        with pytest.raises(TraceError, match=f"{path} does not exist; check the path"):
            read_history(path)
    for name in ("x" * 300, "a\0b"):
        with pytest.raises(TraceError, match="cannot be read"):
            read_history(tmp_path / name)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(TraceError, match="symbolic links"):
        read_history(tmp_path / "loop")


def test_a_folder_of_many_things_says_which(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with TraceWriter(tmp_path / "runs" / name / "trace.jsonl") as trace:
            trace.write(0, [1], [8], [3])
    with pytest.raises(TraceError, match=r"holds 2 runs; give one of them, such as .*runs/a/trace.jsonl"):
        read_history(tmp_path / "runs")
    assert read_history(tmp_path / "runs" / "a").visits == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(TraceError, match=r"has no record: .* give the file"):
        read_history(tmp_path / "empty")
    (tmp_path / "mixed").mkdir()
    saved(tmp_path / "mixed" / "settings.json", "{}")
    saved(tmp_path / "mixed" / "a.csv", csv_of())
    assert read_history(tmp_path / "mixed").num_prompts == 9
    saved(tmp_path / "mixed" / "b.parquet", "")
    with pytest.raises(TraceError, match=r"holds \.csv and \.parquet files"):
        read_history(tmp_path / "mixed")


@pytest.fixture
def piped(tmp_path: Path) -> Callable[[bytes], Path]:
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs named pipes")

    def pipe(content: bytes) -> Path:
        path = tmp_path / f"pipe{len(list(tmp_path.iterdir()))}"
        os.mkfifo(path)

        def feed() -> None:
            with open(path, "wb") as file:
                file.write(content)

        threading.Thread(target=feed, daemon=True).start()
        return path

    return pipe


def test_a_pipe_is_read_like_a_file(piped: Callable[[bytes], Path], tmp_path: Path) -> None:
    for content in (
        csv_of().encode(),
        lines_of(ROWS).encode(),
        json.dumps(ROWS).encode(),
        gzip.compress(csv_of().encode()),
    ):
        assert rates_of(read_history(piped(content))) == pytest.approx(RATES)
    with TraceWriter(tmp_path / "trace.jsonl") as trace:
        trace.write(0, [1], [8], [3])
    assert read_history(piped((tmp_path / "trace.jsonl").read_bytes())).visits == 1
    broken = piped(b"prompt,pass_rate\na,x\n")
    with pytest.raises(TraceError, match=f"{broken}, line 2: pass_rate 'x'"):
        read_history(broken)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/null"])
def test_a_device_without_end_is_refused_in_little_memory(device: str) -> None:
    if not os.path.exists(device):
        pytest.skip(f"needs {device}")
    tracemalloc.start()
    try:
        for format in get_args(HistoryFormat):
            # Before much of it is copied.
            with pytest.raises(TraceError, match=r"empty|not one visit|no header|neither text nor Parquet"):
                read_history(device, format=format)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()
