"""Records as people have them, read without a line of code: every shape against what it says, nothing refused for its
name, and nothing read that would fill the memory.

More than 400 lines: one table of shapes, which a reader compares row by row.
"""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import ConfigurationError, TraceError
from cero_api.analysis.history import SuccessHistory, read_history
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


def test_one_row_is_a_record_too(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "2+2"}]
    for row in ({"prompt": chat, "pass_rate": 0.25}, {"prompt": chat, "extra_info": {"pass_rate": 0.25}}):
        assert rates_of(read_history(saved(tmp_path / "a.jsonl", lines_of([row])))) == [0.25]
        assert rates_of(read_history(saved(tmp_path / "a.json", json.dumps([row])))) == [0.25]


def test_a_column_twice_is_no_matter_where_it_is_not_read(tmp_path: Path) -> None:
    history = read_history(saved(tmp_path / "a.csv", "id,note,pass_rate,note,,\r\nx,,1,,,\r\ny,,0,,,\r\n"))
    assert rates_of(history) == [1.0, 0.0]


def test_of_parquet_a_column_twice_is_refused(tmp_path: Path) -> None:
    # An extra of its own, which the session `cli` installs.
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = [pyarrow.array(["x", "y"]), pyarrow.array([1.0, 0.0]), pyarrow.array([0.0, 0.0])]
    parquet.write_table(pyarrow.table(columns, names=["id", "pass_rate", "pass_rate"]), tmp_path / "a.parquet")
    with pytest.raises(TraceError, match="has 2 columns 'pass_rate'"):
        read_history(tmp_path / "a.parquet")


def test_rollouts_that_verl_dumped_without_a_score_are_given_and_not_scored(tmp_path: Path) -> None:
    """One of three of a, and both of b, which is in the pool and unvisited."""
    scores = [("a", 1.0), ("a", None), ("b", None), ("a", 0.0), ("b", float("nan"))]
    lines = [{"input": text, "output": "…", "score": score, "step": 1} for text, score in scores]
    history = read_history(saved(tmp_path / "1.jsonl", lines_of(lines)))
    assert rates_of(history) == [0.5, None]
    assert history.rollouts.tolist() == [5]
    assert "Rollouts without a score, which count neither way: 3 of 5." in history.notes


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
