"""Histories: flat arrays against a plain dictionary, every shape people have, bad files by line and reason."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import MissingDependencyError, TraceError
from cero_api.analysis.history import SuccessHistory, read_history
from cero_api.trace import TraceWriter


def visits_of(history: SuccessHistory) -> dict[object, list[tuple[int, float, int]]]:
    result: dict[object, list[tuple[int, float, int]]] = {}
    for row, key in enumerate(history.keys):
        own = slice(history.offsets[row], history.offsets[row + 1])
        result[key] = [
            (int(k), round(float(s), 5), int(n))
            for k, s, n in zip(
                history.visit_round[own], history.visit_successes[own], history.visit_count[own], strict=True
            )
        ]
    return result


def test_a_trace_of_graded_rewards_says_that_contrast_was_less(tmp_path: Path) -> None:
    for squares, notes in ((None, 0), ([2.0], 0), ([1.0], 1)):
        path = tmp_path / f"{squares}.jsonl"
        with TraceWriter(path) as trace:
            trace.write(0, [3], [4], [2.0], squares=squares)
        history = read_history(path)
        assert history.rates().tolist() == [0.5]
        assert len(history.notes) == notes


@given(
    st.lists(
        st.dictionaries(st.integers(0, 8), st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=9),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([1, 3, 16384]),
)
def test_a_trace_becomes_the_visits_of_every_prompt(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[dict[int, tuple[int, int]]], block: int
) -> None:
    path = tmp_path_factory.mktemp("t") / "trace.jsonl"
    expected: dict[object, list[tuple[int, float, int]]] = {}
    with TraceWriter(path) as trace:
        for k, record in enumerate(rounds):
            count = [max(a, b) for a, b in record.values()]
            won = [min(a, b) for a, b in record.values()]
            trace.write(2 * k, list(record), count, won)
            for key, n, s in zip(record, count, won, strict=True):
                expected.setdefault(key, []).extend([(2 * k, float(s), n)] if n else [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cero_api.mathematics.blocks.SIZE", block)
        history = SuccessHistory.from_trace(path)
        rates = history.rates(smooth=1)
    assert visits_of(history) == expected
    assert history.round_numbers.tolist() == [2 * k for k in range(len(rounds))]
    for k, record in enumerate(rounds):
        assert [history.keys[row] for row in history.offered(k)] == list(record)
        assert history.rollouts[k] == sum(max(pair) for pair in record.values())
    flat = []
    for own in expected.values():
        for at in range(len(own)):
            near = own[max(at - 1, 0) : at + 2]
            flat.append(sum(s for _, s, _ in near) / sum(n for *_, n in near))
    np.testing.assert_allclose(rates, flat, rtol=1e-6)


def test_rewards_that_are_missing_count_as_given_and_not_as_seen(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.jsonl") as trace:
        trace.write(0, [5, 6], [8, 4], [2, 0], [2, 0])
    history = read_history(tmp_path)  # a run's folder
    assert visits_of(history) == {5: [(0, 2.0, 4)], 6: []}
    assert history.rollouts.tolist() == [12]
    assert history.rated.tolist() == [True, False]


def test_a_torn_trace_says_so(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with TraceWriter(path) as trace:
        trace.write(0, [5], [8], [2])
    path.write_bytes(path.read_bytes() + b'{"round":1,"pro')
    assert read_history(path).notes == ("line 3 is torn (15 bytes without an end) and was passed over",)


def test_progress_comes_to_its_end(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.jsonl.gz") as trace:
        trace.write(0, [5], [8], [2])
    shares: list[float] = []
    read_history(tmp_path, progress=shares.append)
    assert shares[-1] == 1.0


def verl_line(text: str, score: float, step: int, **more: object) -> str:
    return json.dumps({"input": text, "output": "…", "gts": "5", "score": score, "step": step, **more}) + "\n"


def test_verls_dumps(tmp_path: Path) -> None:
    (tmp_path / "10.jsonl").write_text(verl_line("b", 1.0, 10) + verl_line("a", -1.0, 10, acc=False))
    (tmp_path / "9.jsonl").write_text("".join(verl_line("a", s, 9) for s in (1.0, -1.0, 1.0, 0.5)))
    history = read_history(tmp_path)
    assert list(visits_of(history).values()) == [[(9, 2.0, 4), (10, 0.0, 1)], [(10, 1.0, 1)]]
    assert history.round_numbers.tolist() == [9, 10]
    assert history.rollouts.tolist() == [4, 2]
    graded = read_history(tmp_path / "9.jsonl", success_threshold=0.5)
    assert list(visits_of(graded).values()) == [[(9, 3.0, 4)]]
    (tmp_path / "11.jsonl").write_text(verl_line("b", 1.0, 11) + '{"input": "b", "sco')
    assert read_history(tmp_path).notes == ("11.jsonl, line 2 is torn and was passed over",)


def test_rates_by_visit(tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    path.write_text('{"a": [0, 0.5, 1.0], "b": [[3, 8]], "c": []}')
    history = read_history(path)
    assert visits_of(history) == {"a": [(0, 0.0, 1), (1, 0.5, 1), (2, 1.0, 1)], "b": [(0, 3.0, 8)], "c": []}
    assert history.rounds == 0
    assert history.rollouts.size == 0
    assert visits_of(SuccessHistory.from_rates({7: [0.25]})) == {7: [(0, 0.25, 1)]}


def test_tables(tmp_path: Path) -> None:
    plain = tmp_path / "rates.csv"
    plain.write_text('id,pass_rate\nq1,0.25\n"q,2",1.0\nq1,0.5\n')
    assert visits_of(read_history(plain)) == {"q1": [(0, 0.25, 1), (1, 0.5, 1)], "q,2": [(0, 1.0, 1)]}
    full = tmp_path / "run.tsv.gz"
    full.write_bytes(gzip.compress(b"step\tproblem\tn\tcorrect\n7\ta\t8\t2\n3\tb\t4\t0\n3\ta\t8\t1\n"))
    history = read_history(full)
    assert visits_of(history) == {"a": [(3, 1.0, 8), (7, 2.0, 8)], "b": [(3, 0.0, 4)]}
    assert history.rollouts.tolist() == [12, 8]
    named = tmp_path / "named.csv"
    named.write_text("question,avg,count\nx,0.5,4\n")
    assert visits_of(read_history(named, rate_column="avg")) == {"x": [(0, 2.0, 4)]}


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rates.parquet"
    parquet.write_table(pyarrow.table({"prompt_id": [4, 9], "text": ["…", "…"], "success_rate": [0.5, 1.0]}), path)
    assert visits_of(read_history(path)) == {4: [(0, 0.5, 1)], 9: [(0, 1.0, 1)]}
    parquet.write_table(pyarrow.table({"prompt_id": [4, 9], "success_rate": [0.5, 50.0]}), path)
    with pytest.raises(TraceError, match=r"line 2: success_rate 50 is not in \[0, 1\]"):
        read_history(path)
    path.write_bytes(b"no parquet")
    with pytest.raises(TraceError, match="cannot be read as Parquet"):
        read_history(path)


def test_without_pyarrow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    (tmp_path / "rates.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingDependencyError, match=r'pip install "\.\[parquet\]"'):
        read_history(tmp_path / "rates.parquet")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", '{"a": [0.5,\n 1.5x]}', "line 2: not JSON"),
        ("a.json", "[1]", "line 1: no JSON object but 1"),
        ("a.json", "[]", "holds no record"),
        ("a.json", "{}", "no JSON object of rates"),
        ("a.json", '{"a": [0.5, 1.5]}', "prompt 'a', visit 1: rate 1.5 is not in [0, 1]"),
        ("a.json", '{"a": [null]}', "not one visit"),
        ("a.json", '{"a": [[9, 8]]}', "visit 0: 9 successes in 8 rollouts"),
        ("a.json", '{"a": [[1, 2, 3]]}', "visit 0: [1, 2, 3] is no rate"),
        ("a.json", '{"a": {"b": 1}, "c": 0.5}', "not a list of rates"),
        ("a.json", '{"a": []}', "not one visit"),
        ("a.csv", "id,rate\nx,1\n", "no pass-rate column pass_rate or success_rate or the like, but id, rate; name"),
        ("a.csv", "name,pass_rate\nx,1\n", "no prompt column"),
        ("a.csv", "id,pass_rate\nx,0.5\ny,high\n", "line 3: pass_rate 'high' is not a number"),
        ("a.csv", "id,pass_rate\nx,0.5\ny,inf\n", "line 3: pass_rate 'inf' is not a number"),
        ("a.csv", "id,pass_rate\nx,0.5\ny,55\n", "line 3: pass_rate 55 is not in [0, 1]"),
        ("a.csv", "id,pass_rate\nx,0.5\ny,-1\n", "line 3: pass_rate -1 is not in [0, 1]"),
        ("a.csv", "id,pass_rate\nx,9/8\n", "line 2: pass_rate '9/8' is more than one"),
        ("a.csv", "id,pass_rate\nx,0.5,\n", "line 2: 3 fields for 2 columns"),
        ("a.csv", "id,pass_rate\n,0.5\n", "line 2: prompt ''"),
        ("a.csv", "id,pass_rate,step\nx,0.5,1.5\n", "line 2: step '1.5' is not a whole number"),
        ("a.csv", "id,pass_rate,step\nx,0.5,\n", "line 2: step '' is not a whole number"),
        ("a.csv", "id,successes\nx,3\n", "no count column"),
        ("a.csv", "id,successes,count\nx,3,2\n", "line 2: 3 successes in 2 rollouts"),
        ("a.csv", "id,a_pass_rate,b_pass_rate\nx,0.5,0.5\n", "has a_pass_rate, b_pass_rate; name the one"),
        ("a.csv", "", "is empty"),
        ("a.csv", "id,pass_rate\n", "not one visit"),
        ("a.csv", "id,pass_rate\nx,\ny,nan\n", "not one visit: 2 rows"),
        ("a.csv", 'id,pass_rate\n"x,0.5\ny,0.5\n', "line 3: 1 fields for 2 columns; quote"),
        ("a.txt", "", "is empty"),
        ("a.txt", "what is this?\n", "no prompt column"),
        ("a.jsonl", '{"id": null, "pass_rate": 0.5}\n', "line 1: prompt None"),
        ("a.jsonl", '{"id": true, "pass_rate": 0.5}\n', "line 1: prompt True"),
        ("1.jsonl", '{"score": 1, "input": "a"}\nnonsense\n{"score": 1, "input": "a"}\n', "line 2: not JSON"),
        ("1.jsonl", '{"score": 1, "input": "a"}\n[]\n', "line 2: no JSON object"),
        ("1.jsonl", '{"score": 1, "input": "a"}\n{"score": 1}\n', "line 2: no 'input'"),
        ("1.jsonl", '{"score": "x", "input": "a"}\n', "line 1: no number for score"),
        ("1.jsonl", '{"score": Infinity, "input": "a"}\n', "line 1: score inf"),
        ("1.jsonl", '{"score": NaN, "input": "a"}\n{"score": null, "input": "a"}\n', "not one visit: no rollout has"),
        ("a.csv", "id,pass_rate,pass_rate\nx,1,0\n", "has 2 columns 'pass_rate'; rename"),
        ("a.csv", "id, id ,pass_rate\nx,y,0\n", "has 2 columns 'id'; rename"),
        ("a.json", '{"columns": ["id", "rate", "rate"], "data": [["x", 1, 0]]}', "has 2 columns 'rate'; rename"),
        (
            "a.jsonl",
            '{"id": "x", "pass_rate": 1}\n{"id": "x", "pass_rate": 1, "pass_rate": 0}\n',
            "line 2: an object has",
        ),
        ("a.json", '{"x": [0.5], "y": [1], "x": [1]}', "an object has two fields 'x'"),
        ("t.jsonl", '{"a": 1}\n', "no prompt column"),
        ("t.jsonl", '{"format":"cero-trace","version":9}\n', "line 1: no header of a trace"),
    ],
)
def test_a_bad_file_has_a_line_and_a_reason(name: str, content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(TraceError) as caught:
        read_history(path)
    assert said in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    "read",
    [
        lambda folder: read_history(folder),
        lambda folder: read_history(folder, format="trace"),
        lambda folder: read_history(folder / "missing.json"),
        lambda folder: read_history(folder / "missing.csv"),
        lambda folder: read_history(folder / "missing.jsonl"),
        lambda folder: read_history(folder / "missing.jsonl", format="verl"),
    ],
)
def test_nothing_there_is_said(read: Callable[[Path], Any], tmp_path: Path) -> None:
    with pytest.raises(TraceError):
        read(tmp_path)


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_text(verl_line("a", 1.0, 5))
    (tmp_path / "2.jsonl").write_text(verl_line("a", 1.0, 5))
    with pytest.raises(TraceError, match="step 5 comes after step 5"):
        read_history(tmp_path)
