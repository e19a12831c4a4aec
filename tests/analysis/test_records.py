"""Records as people have them, read without a line of code: every shape against what it says, nothing refused for its
name, and nothing read that would fill the memory.

More than 400 lines: one table of shapes, which a reader compares row by row.
"""

import gzip
import json
import os
import threading
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import ConfigurationError, TraceError
from cero_api.analysis.history import HistoryFormat, SuccessHistory, read_history
from cero_api.analysis.history.names import SYNONYMS, Role, plain_name
from cero_api.trace import TraceWriter
from tests.analysis.test_history import visits_of

RATES = [i / 8 for i in range(9)]


def rates_of(history: SuccessHistory) -> list[float | None]:
    """Of every prompt the rate of its only visit."""
    return [visits[0][1] / visits[0][2] if visits else None for visits in visits_of(history).values()]


def saved(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def csv_of(rates: Sequence[object] = RATES, head: str = "prompt,pass_rate", delimiter: str = ",") -> str:
    rows = "".join(f"q{i}{delimiter}{rate}\r\n" for i, rate in enumerate(rates))
    return head.replace(",", delimiter) + "\r\n" + rows


def lines_of(rows: Sequence[object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


ROWS: list[dict[str, Any]] = [{"id": f"q{i}", "problem": "…", "pass_rate": rate} for i, rate in enumerate(RATES)]
COLUMNS: dict[str, list[Any]] = {"prompt": [f"q{i}" for i in range(9)], "pass_rate": RATES}
EXCEL = csv_of([f"{rate:.3f}".replace(".", ",") for rate in RATES], delimiter=";")
SHAPES: dict[str, tuple[str, bytes | str]] = {
    "delimited by commas": ("a.csv", csv_of()),
    "delimited by tabs": ("a.tsv", csv_of(delimiter="\t")),
    "delimited by semicolons, with decimal commas": ("a.csv", EXCEL),
    "delimited by bars": ("a.csv", csv_of(delimiter="|")),
    "delimited by commas, with decimal commas": (
        "a.csv",
        csv_of([f'"{rate:.3f}"'.replace(".", ",") for rate in RATES[:8]] + ["1"]),
    ),
    "percentages with decimal commas": ("a.csv", csv_of([f'"{100 * rate:.1f}%"'.replace(".", ",") for rate in RATES])),
    "with a word to Excel": ("a.csv", "sep=;\r\n" + EXCEL),
    "with a byte order mark": ("a.csv", b"\xef\xbb\xbf" + csv_of().encode()),
    "in UTF-16": ("a.csv", csv_of(delimiter="\t").encode("utf-16")),
    "in UTF-16 without a mark": ("a.csv", csv_of(delimiter="\t").encode("utf-16-be")),
    "with empty lines": ("a.csv", "\r\n" + csv_of().replace("\r\n", "\r\n\r\n") + ",\r\n\r\n"),
    "with the breaks of old Macs": ("a.csv", csv_of().replace("\r\n", "\r")),
    "without a last break": ("a.csv", csv_of().rstrip()),
    "under another name": ("rates.txt", csv_of()),
    "under no name": ("rates", lines_of(ROWS)),
    "headed as people write": ("a.csv", csv_of(head="Prompt ID, Pass Rate ")),
    "percentages": ("a.csv", csv_of([f"{100 * rate}%" for rate in RATES])),
    "percentages, as the head says": ("a.csv", csv_of([100 * rate for rate in RATES], "prompt,Pass Rate (%)")),
    "a rate that is only called a percentage": ("a.csv", csv_of(head="prompt,pass_percentage")),
    "fractions": ("a.csv", csv_of([f"{i}/8" for i in range(9)])),
    "fractions under another name": ("a.csv", csv_of([f"{i}/8" for i in range(9)], "problem,difficulty")),
    "outside by rounding": ("a.csv", csv_of([-1e-9, *RATES[1:8], 1.0000001])),
    "counts as floats": ("a.csv", csv_of([f"{i}.0,8.0" for i in range(9)], "prompt,num_correct,num_rollouts")),
    "successes and failures": ("a.csv", csv_of([f"{i},{8 - i}" for i in range(9)], "prompt,successes,failures")),
    "percentages of counts": ("a.csv", csv_of([f"{100 * r},8" for r in RATES], "prompt,pass_pct,n")),
    "JSON lines": ("a.jsonl", lines_of(ROWS)),
    "JSON lines, compressed": ("a.jsonl.gz", gzip.compress(lines_of(ROWS).encode())),
    "JSON lines, compressed under a plain name": ("a.jsonl", gzip.compress(lines_of(ROWS).encode())),
    "JSON lines, plain under a compressed name": ("a.jsonl.gz", lines_of(ROWS)),
    "JSON lines with blank ones": ("a.jsonl", "\n" + lines_of(ROWS).replace("\n", "\n \n")),
    "JSON lines with a mark": ("a.jsonl", b"\xef\xbb\xbf" + lines_of(ROWS).encode()),
    "a JSON list": ("a.json", json.dumps(ROWS)),
    "a JSON list over many lines": ("a.json", json.dumps(ROWS, indent=2)),
    "JSON lists one after the other": ("a.json", json.dumps(ROWS[:4]) + "\n" + json.dumps(ROWS[4:])),
    "objects over many lines": ("a.json", "\n".join(json.dumps(row, indent=2) for row in ROWS)),
    "a list within an object": ("a.json", json.dumps({"model": "x", "results": ROWS})),
    "rows by prompt": ("a.json", json.dumps({row["id"]: {"pass_rate": row["pass_rate"], "n": 8} for row in ROWS})),
    "columns": ("a.json", json.dumps(COLUMNS)),
    "columns as pandas has them": (
        "a.json",
        json.dumps({name: {str(i): value for i, value in enumerate(column)} for name, column in COLUMNS.items()}),
    ),
    "split as pandas has it": (
        "a.json",
        json.dumps({"columns": list(COLUMNS), "data": list(zip(*COLUMNS.values(), strict=True))}),
    ),
    "a rate by prompt": ("a.json", json.dumps({row["id"]: row["pass_rate"] for row in ROWS})),
    "a fraction by prompt": ("a.json", json.dumps({f"q{i}": f"{i}/8" for i in range(9)})),
    "text for numbers": ("a.jsonl", lines_of([row | {"pass_rate": str(row["pass_rate"])} for row in ROWS])),
    "a rate within": ("a.jsonl", lines_of([{"id": row["id"], "extra_info": row} for row in ROWS])),
    "rewards in a list": ("a.jsonl", lines_of([{"id": i, "rewards": [1.0] * i + [0.0] * (8 - i)} for i in range(9)])),
    "verdicts in a list": ("a.jsonl", lines_of([{"id": i, "correct": [j < i for j in range(8)]} for i in range(9)])),
    "rewards in a cell": ("a.csv", csv_of([f'"{[int(j < i) for j in range(8)]}"' for i in range(9)], "id,scores")),
    "a row a rollout": ("a.jsonl", lines_of([{"id": i, "reward": float(j < i)} for i in range(9) for j in range(8)])),
    "a row a rollout, from -1 on": (
        "a.jsonl",
        lines_of([{"id": i, "reward": 1 - 2 * (j >= i)} for j in range(8) for i in range(9)]),
    ),
    "a verdict a row": ("a.jsonl", lines_of([{"id": i, "is_correct": j < i} for i in range(9) for j in range(8)])),
    "a verdict in words a row": (
        "a.csv",
        "id,correct\n" + "".join(f"{i},{j < i}\n" for i in range(9) for j in range(8)),
    ),
    "an accuracy a row": ("a.csv", "id,acc\n" + "".join(f"{i},{int(j < i)}\n" for i in range(9) for j in range(8))),
    "a mean reward a prompt": ("a.jsonl", lines_of([{"prompt": f"q{i}", "score": r} for i, r in enumerate(RATES)])),
    "chats": (
        "a.jsonl",
        lines_of([{"prompt": [{"role": "user", "content": f"{i}?"}], "pass_rate": r} for i, r in enumerate(RATES)]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_a_record_says_what_it_says_in_any_shape(shape: str, tmp_path: Path) -> None:
    name, content = SHAPES[shape]
    history = read_history(saved(tmp_path / name, content))
    assert history.num_prompts == 9
    assert rates_of(history) == pytest.approx(RATES, abs=1e-6)
    if shape not in ("a rate by prompt", "a fraction by prompt"):
        asked = read_history(saved(tmp_path / name, content), format="table")
        assert visits_of(asked) == visits_of(history)


MISSING = ["", " ", "nan", "NaN", "null", "None", "n/a", "N/A", "NA", "#N/A", "#DIV/0!", "-", "0/0"]


@pytest.mark.parametrize("nothing", MISSING)
def test_a_prompt_without_a_rate_is_unvisited_and_counted_in_a_note(nothing: str, tmp_path: Path) -> None:
    rates = [nothing if i % 3 == 1 else rate for i, rate in enumerate(RATES)]
    history = read_history(saved(tmp_path / "a.csv", csv_of(rates)))
    assert rates_of(history) == pytest.approx([None if i % 3 == 1 else rate for i, rate in enumerate(RATES)])
    assert history.rated.tolist() == [i % 3 != 1 for i in range(9)]
    assert history.notes == ("Rows without pass_rate, which are no visits of their prompts: 3 of 9.",)


def test_nothing_is_nothing_in_json_too(tmp_path: Path) -> None:
    rows = [row | {"pass_rate": None if i % 3 == 1 else row["pass_rate"]} for i, row in enumerate(ROWS)]
    expected = [None if i % 3 == 1 else rate for i, rate in enumerate(RATES)]
    for text in (
        lines_of(rows),
        lines_of(rows).replace("null", "NaN"),
        lines_of(rows).replace(', "pass_rate": null', ""),
    ):
        history = read_history(saved(tmp_path / "a.jsonl", text))
        assert rates_of(history) == pytest.approx(expected)
        assert "3 of 9" in history.notes[0]
    by_prompt = read_history(saved(tmp_path / "a.json", '{"a": [null, 0.5], "b": null, "c": [0.25, NaN]}'))
    assert visits_of(by_prompt) == {"a": [(1, 0.5, 1)], "b": [], "c": [(0, 0.25, 1)]}
    assert by_prompt.notes == ("Visits without a rate, which are not counted: 3.",)


def test_rollouts_without_a_reward_are_given_and_not_scored(tmp_path: Path) -> None:
    rows = [{"step": 1, "prompt": "a", "completion": "…", "reward": reward} for reward in (1.0, 0.0, None, None)]
    history = read_history(saved(tmp_path / "a.jsonl", lines_of(rows)))
    assert visits_of(history) == {"a": [(1, 1.0, 2)]}
    assert history.rollouts.tolist() == [4]


@pytest.mark.parametrize("role", SYNONYMS)
def test_every_synonym_is_understood(role: Role, tmp_path: Path) -> None:
    others: dict[str, object] = {"prompt": "q", "successes": 3, "count": 8}
    for name in SYNONYMS[role]:
        shapes: dict[Role, dict[str, object]] = {
            "prompt": {name: "q", "successes": 3, "count": 8},
            "rate": {"prompt": "q", name: 0.375, "count": 8},
            "success": {"prompt": "q", name: 3, "count": 8},
            "failure": {"prompt": "q", "successes": 3, name: 5},
            "count": {"prompt": "q", "successes": 3, name: 8},
            "reward": {"prompt": "q", name: [1, 1, 1, 0, 0, 0, 0, 0]},
            "round": others | {name: 4},
        }
        cells = shapes[role]
        for spelled in (str.upper, str.title, lambda text: text.replace("_", " "), lambda text: text.replace("_", "-")):
            row = {spelled(key): cell for key, cell in cells.items()}
            # Of two rows, since the only one of a file could be a rate by prompt.
            other = {key: "r" if cell == "q" else cell for key, cell in row.items()}
            history = read_history(saved(tmp_path / "a.jsonl", lines_of([row, other])))
            visit = visits_of(history)["q"][0]
            assert visit == (4 if role == "round" else 0, 3.0, 8), (role, name)


def test_no_synonym_stands_for_two_things() -> None:
    plain = [plain_name(name) for names in SYNONYMS.values() for name in names]
    assert len(plain) == len(set(plain))


def test_columns_of_any_name_can_be_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.csv", "Frage,richtig,Versuche,Zeit,p\nx,3,8,5,0.5\nx,4,8,6,0.25\ny,8,8,6,1\n")
    counts = read_history(
        path, prompt_column="frage", success_column="richtig", count_column="Versuche", round_column="Zeit"
    )
    assert visits_of(counts) == {"x": [(5, 3.0, 8), (6, 4.0, 8)], "y": [(6, 8.0, 8)]}
    rates = read_history(path, prompt_column="Frage", rate_column="p")
    assert visits_of(rates) == {"x": [(0, 0.5, 1), (1, 0.25, 1)], "y": [(0, 1.0, 1)]}
    for options in ({"prompt_column": "Antwort"}, {"count_column": "n"}, {"rate_column": "p.q"}):
        with pytest.raises(TraceError, match=r"no column .* but Frage, richtig, Versuche, Zeit, p; name the one"):
            read_history(path, **({"prompt_column": "Frage", "rate_column": "p"} | options))  # type: ignore[arg-type]
    with TraceWriter(tmp_path / "trace.jsonl") as trace:
        trace.write(0, [1], [8], [3])
    with pytest.raises(ConfigurationError, match="no table, so rate_column means nothing; leave it out"):
        read_history(tmp_path, rate_column="p")


def test_fields_within_columns_and_within_text_are_reached(tmp_path: Path) -> None:
    rows = [{"prompt": f"q{i}", "meta": {"id": i, "own": {"p": rate}}} for i, rate in enumerate(RATES)]
    as_text = [row | {"meta": json.dumps(row["meta"])} for row in rows]
    flat = [{"prompt": f"q{i}", "meta.id": i, "meta.own.p": rate} for i, rate in enumerate(RATES)]
    dotted = [{"prompt": f"q{i}", "meta": {"id": i, "own.p": rate}} for i, rate in enumerate(RATES)]
    for content in (lines_of(rows), lines_of(as_text), lines_of(flat), lines_of(dotted)):
        path = saved(tmp_path / "a.jsonl", content)
        history = read_history(path, prompt_column="meta.id", rate_column="meta.own.p")
        assert list(history.keys) == list(range(9))
        assert rates_of(history) == pytest.approx(RATES)


def test_rows_of_one_prompt_are_visits_or_rollouts_or_a_sum(tmp_path: Path) -> None:
    def read(text: str) -> SuccessHistory:
        return read_history(saved(tmp_path / "a.csv", text))

    assert visits_of(read("id,pass_rate\nx,0.25\nx,0.5\n"))["x"] == [(0, 0.25, 1), (1, 0.5, 1)]
    summed = read("id,step,pass_rate\nx,4,0.25\ny,4,1\nx,4,0.5\nx,2,1\n")
    assert visits_of(summed) == {"x": [(2, 1.0, 1), (4, 0.75, 2)], "y": [(4, 1.0, 1)]}
    assert "is summed" in summed.notes[0]
    counted = read("id,step,num_correct,n\nx,4,1,2\nx,4,2,2\n")
    assert visits_of(counted) == {"x": [(4, 3.0, 4)]}
    assert counted.rollouts.tolist() == [4]
    rolled = read("id,step,reward\nx,4,1\ny,4,0.9\nx,4,0.2\n")
    assert visits_of(rolled) == {"x": [(4, 1.0, 2)], "y": [(4, 0.0, 1)]}
    assert rolled.notes == ("A rollout is a success if its reward reaches 1.",)
    lenient = read_history(tmp_path / "a.csv", success_threshold=0.2)
    assert visits_of(lenient) == {"x": [(4, 2.0, 2)], "y": [(4, 1.0, 1)]}
    hopeless = read("id,step,reward\nx,4,0.1\nx,4,0.2\n")
    assert "the highest is 0.2" in hopeless.notes[0]
    with pytest.raises(TraceError, match="both fractions and rewards"):
        read("id,reward\nx,3/8\ny,7\n")


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=20
    )
)
def test_a_table_of_rollouts_is_the_table_of_their_sums(
    tmp_path_factory: pytest.TempPathFactory, groups: list[tuple[int, int, int, int]]
) -> None:
    expected: dict[tuple[int, int], list[int]] = {}
    rows = []
    for step, prompt, won, lost in groups:
        rows += [{"step": step, "id": prompt, "reward": float(at < won)} for at in range(won + lost)]
        if won + lost:
            tally = expected.setdefault((prompt, step), [0, 0])
            tally[0], tally[1] = tally[0] + won, tally[1] + won + lost
    if not rows:
        return
    history = read_history(saved(tmp_path_factory.getbasetemp() / "rolled.jsonl", lines_of(rows)))
    found = {(key, k): [int(s), n] for key, own in visits_of(history).items() for k, s, n in own}
    assert found == expected
    assert history.rollouts.sum() == len(rows)


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
    import csv

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
