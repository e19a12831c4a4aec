"""The format, crashes at every byte, resumption, bad lines by their number, and memory that does not grow.

More than 400 lines: writer and reader are tested by what the one makes of the other.
"""

import gzip
import json
import math
import os
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import TraceError
from cero_api.trace import TraceReader, TraceWriter, trace_lines

Round = tuple[int, list[int], list[int], list[float]]
NAMES = ["trace.jsonl", "trace.jsonl.gz"]
HEADER = '{"format":"cero-trace","version":1}\n'


def rounds_of(count: int, prompts: int = 4, seed: int = 0) -> list[Round]:
    rng = np.random.default_rng(seed)
    rounds = []
    for k in range(count):
        given = rng.integers(0, 9, prompts)
        ids = rng.choice(50, prompts, replace=False)
        rounds.append((k, ids.tolist(), given.tolist(), rng.binomial(given, 0.4).astype(float).tolist()))
    return rounds


def written(path: Path, rounds: list[Round], from_round: int | None = None) -> Path:
    with TraceWriter(path, num_prompts=50, metadata={"seed": 1}, from_round=from_round) as trace:
        for record in rounds:
            trace.write(*record)
    return path


def read(path: Path) -> list[Round]:
    reader = TraceReader(path)
    found = []
    for record in reader:
        keys = [reader.keys[row] for row in record.prompt_ids]
        found.append((record.round, keys, record.counts.tolist(), record.successes.tolist()))
    return found


def text(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read(name: str, tmp_path: Path) -> None:
    rounds = rounds_of(20)
    path = written(tmp_path / name, rounds)
    assert read(path) == rounds
    reader = TraceReader(path)
    assert reader.header.num_prompts == 50
    assert reader.header.metadata == {"seed": 1}
    for record in reader:
        np.testing.assert_array_equal(record.successes + record.failures, record.counts)
    assert reader.torn is None
    assert reader.fraction == 1.0
    first = text(path).splitlines()
    assert first[0] == '{"format":"cero-trace","version":1,"num_prompts":50,"metadata":{"seed":1}}'
    assert list(json.loads(first[1])) == ["round", "prompt", "count", "successes"]


@given(
    st.lists(
        st.dictionaries(
            st.text(max_size=6), st.tuples(st.integers(0, 40), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5
        ),
        max_size=5,
    )
)
def test_any_keys_and_fractions_survive(tmp_path_factory: pytest.TempPathFactory, rounds: list[dict]) -> None:  # type: ignore[type-arg]
    path = tmp_path_factory.mktemp("t") / "trace.jsonl.gz"
    keys = sorted({key for record in rounds for key in record})
    expected = []
    with TraceWriter(path, keys=keys) as trace:
        for k, record in enumerate(rounds):
            count = np.array([n for n, _, _ in record.values()])
            won = count * [share for _, share, _ in record.values()]
            lost = (count - won) * [share for _, _, share in record.values()]
            trace.write(k, [keys.index(key) for key in record], count, won, lost)
            expected.append((k, list(record), count, won, lost))
    reader = TraceReader(path)
    for found, (k, names, count, won, lost) in zip(reader, expected, strict=True):
        assert found.round == k
        assert [reader.keys[row] for row in found.prompt_ids] == names
        np.testing.assert_array_equal(found.counts, count)
        np.testing.assert_allclose(found.successes, won, atol=1e-15)
        np.testing.assert_allclose(found.failures, lost, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_torn_at_any_byte_is_read_up_to_there_and_continued(name: str, tmp_path: Path) -> None:
    rounds = rounds_of(4)
    whole = written(tmp_path / name, rounds).read_bytes()
    full = text(tmp_path / name)
    for size in range(0, len(whole), 3 if name.endswith("gz") else 1):
        path = tmp_path / f"torn-{name}"
        path.write_bytes(whole[:size])
        latest = 0
        try:
            reader = TraceReader(path)
        except TraceError:
            assert size < 120  # within the header
        else:
            for record in reader:
                latest = record.round
            assert reader.torn is None or "passed over" in reader.torn
            assert len(read(path)) == latest + 1 or latest == 0
        # Resumed at a round that is there, whole or in part, or from the start.
        written(path, rounds[latest:], from_round=latest)
        assert text(path) == full
        for file in tmp_path.glob("torn-*"):
            file.unlink()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("resumed_at", [1, 3, 6])
@pytest.mark.parametrize("told", [True, False])
def test_a_resumed_trace_is_that_of_a_run_that_never_stopped(
    name: str, resumed_at: int, told: bool, tmp_path: Path
) -> None:
    rounds = rounds_of(8)
    straight = text(written(tmp_path / f"straight-{name}", rounds))
    path = written(tmp_path / name, rounds[:6])
    written(path, rounds[resumed_at:], from_round=resumed_at if told else None)
    assert text(path) == straight
    assert read(path) == rounds
    assert not list(tmp_path.glob("*.bak"))


def test_one_member_that_another_tool_compressed_is_cut_in_its_middle(tmp_path: Path) -> None:
    rounds = rounds_of(8)
    straight = text(written(tmp_path / "straight.jsonl", rounds))
    path = tmp_path / "trace.jsonl.gz"
    path.write_bytes(gzip.compress(straight.encode()))
    written(path, rounds[5:])
    assert text(path) == straight


def test_a_restart_keeps_the_old_rounds_beside_it(tmp_path: Path) -> None:
    rounds = rounds_of(5)
    path = written(tmp_path / "trace.jsonl", rounds)
    before = path.read_bytes()
    written(path, rounds[:2])
    assert read(path) == rounds[:2]
    assert (tmp_path / "trace.jsonl.bak").read_bytes() == before


def test_another_runs_file_is_refused_and_unharmed(tmp_path: Path) -> None:
    path = written(tmp_path / "trace.jsonl", rounds_of(2))
    before = path.read_bytes()
    for other in ({"seed": 2}, {}):
        with pytest.raises(TraceError, match="another run's trace"):
            TraceWriter(path, num_prompts=50, metadata=other)
    with pytest.raises(TraceError, match="num_prompts"):
        TraceWriter(path, num_prompts=51, metadata={"seed": 1})
    foreign = tmp_path / "notes.txt"
    foreign.write_text("to do: nothing\n")
    with pytest.raises(TraceError, match="no header"):
        TraceWriter(foreign)
    assert foreign.read_text() == "to do: nothing\n"
    assert path.read_bytes() == before


def test_what_differs_from_another_run_is_named_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    run = {"seed": 1, "pool": "a", "config": {"window": 8, "variety": 0.25, "rounds": 9, "prior": {"a": 1, "b": 2}}}
    TraceWriter(path, num_prompts=50, metadata=run).close()
    now = {"seed": 2, "config": {"window": 6, "variety": 0.25, "prior": {"a": 1, "b": 3}, "cap": 4}}
    with pytest.raises(TraceError) as refusal:
        TraceWriter(path, num_prompts=60, metadata=now)
    named = "cap=nothing (now 4), b=2 (now 3), window=8 (now 6), pool='a' (now nothing), seed=1 (now 2)"
    assert f"another run's trace, of {named}, num_prompts=50 (now 60); choose" in str(refusal.value)


def test_runs_with_little_in_common_are_told_apart_in_few_words(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    TraceWriter(path, metadata={f"setting_{i:02}": 0 for i in range(20)}).close()
    with pytest.raises(TraceError, match=r"setting_07=0 \(now 1\) and 12 more; choose another path"):
        TraceWriter(path, metadata={f"setting_{i:02}": 1 for i in range(20)})


def test_a_header_that_says_more_of_the_same_run_is_this_runs(tmp_path: Path) -> None:
    """Earlier versions wrote the training's length, which may change when a training goes on."""
    path = tmp_path / "trace.jsonl"
    old = {"pool": "a", "config": {"seed": 1, "rounds": 30, "prior": {"a": 1}}}
    with TraceWriter(path, num_prompts=50, metadata=old) as trace:
        trace.write(0, [1], [2], [1])
    with TraceWriter(path, num_prompts=50, metadata={"pool": "a", "config": {"seed": 1}}) as trace:
        trace.write(1, [1], [2], [1])
    assert [part.round for part in TraceReader(path)] == [0, 1]
    others: tuple[dict[str, Any], ...] = (
        {"pool": "a", "config": {"seed": 2}},
        {"pool": "a", "config": {"seed": 1, "cap": 2}},
        {"config": {}},
    )
    for other in others:
        with pytest.raises(TraceError, match="another run's trace"):
            TraceWriter(path, num_prompts=50, metadata=other)


def test_rounds_are_written_once_and_in_order(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.jsonl") as trace:
        trace.write(0, [1], [2], [1])
        trace.write(4, [], [], [])  # a zero round
        with pytest.raises(TraceError, match="has round 4 already"):
            trace.write(4, [1], [2], [1])
    with pytest.raises(TraceError, match="closed"):
        trace.write(5, [1], [2], [1])
    assert [k for k, *_ in read(tmp_path / "trace.jsonl")] == [0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((0, [1, 1], [2, 2], [0, 0]), "twice"),
        ((0, [1, 2], [2], [0, 0]), "one of each"),
        ((0, [1], [2], [3]), "3 successes"),
        ((0, [1], [2], [float("nan")]), "nan successes"),
        ((0, [1], [-2], [0]), "count -2"),
        ((0, [1], [2], [1], [2]), "2 failures in 2 rollouts"),
    ],
)
def test_rounds_that_cannot_be_are_refused(arguments: tuple[object, ...], said: str, tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.jsonl") as trace:
        with pytest.raises(TraceError, match=said):
            trace.write(*arguments)  # type: ignore[arg-type]
        trace.write(0, [1], [2], [1])
    assert len(read(tmp_path / "trace.jsonl")) == 1


def test_a_full_disk_harms_no_round_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trace.jsonl"
    trace = TraceWriter(path)
    trace.write(0, [1], [2], [1])
    before, real = path.read_bytes(), os.write

    def fail(handle: int, data: bytes) -> int:
        real(handle, data[:5])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        with pytest.raises(TraceError, match="unharmed"):
            trace.write(1, [1], [2], [1])
    assert path.read_bytes() == before
    trace.write(1, [1], [2], [1])
    trace.close()
    assert [k for k, *_ in read(path)] == [0, 1]


@dataclass
class Record:
    round: int
    prompt_ids: np.ndarray
    counts: np.ndarray
    successes: np.ndarray
    failures: np.ndarray
    rollouts_so_far: int = 0


def test_a_writer_is_an_on_round(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.jsonl", keys=["a", "b"]) as on_round:
        on_round(Record(0, np.array([1, 0]), np.array([4, 2]), np.array([1.0, 0.5]), np.array([2.0, 1.5])))
    assert text(tmp_path / "trace.jsonl").splitlines()[1:] == [
        '{"round":0,"prompt":"b","count":4,"successes":1,"failures":2}',
        '{"round":0,"prompt":"a","count":2,"successes":0.5}',
    ]


GOOD = '{"round":3,"prompt":1,"count":2,"successes":1}'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "line 3: Invalid JSON"),
        ("{", "line 3: Invalid JSON"),
        ("[1]", "line 3"),
        ('{"round":3,"prompt":2,"count":2}', "line 3: successes: Field required"),
        ('{"round":3,"prompt":2,"count":2,"successes":3}', "line 3: 3 successes and -1 failures in 2 rollouts"),
        ('{"round":3,"prompt":2,"count":2,"successes":-1}', "line 3: -1 successes"),
        ('{"round":3,"prompt":2,"count":-2,"successes":0}', "line 3: count -2"),
        ('{"round":3,"prompt":2,"count":2.5,"successes":0}', "line 3: count: Input should be a valid integer"),
        ('{"round":3,"prompt":2,"count":2,"successes":NaN}', "line 3: "),
        ('{"round":3,"prompt":2,"count":2,"successes":"1"}', "line 3: "),
        ('{"round":-3,"prompt":2,"count":2,"successes":1}', "line 3: round: Input should be greater"),
        ('{"round":2,"prompt":2,"count":2,"successes":1}', "line 3: round 2 comes after round 3"),
        ('{"round":3,"prompt":1,"count":2,"successes":1}', "line 3: prompt 1 is in round 3 already"),
        ('{"round":3,"prompt":"b","count":2,"successes":1}', "line 3: prompt 'b'; all prompts must be strings, or"),
        ('{"round":3,"prompt":2.5,"count":2,"successes":1}', "line 3: prompt"),
        ('{"round":3,"prompt":null,"count":2,"successes":1}', "line 3: prompt"),
        ('{"ro3und":3,"prompt":2,"count":2,"successes":1}', "line 3: round: Field required"),
        ('{"round":3,"prompt":2,"count":2,"successes":1}}', "line 3: Invalid JSON"),
        ('{"round":3,"prompt":2,"count":2,"successes":1.1.1}', "line 3: Invalid JSON"),
        ('{"round":3,"prompt":2,"count":,"successes":1}', "line 3: Invalid JSON"),
    ],
)
@pytest.mark.parametrize("after", [GOOD.replace("3", "4"), '{"round": 4, "prompt": 1, "count": 2, "successes": 1}'])
def test_a_bad_line_in_the_middle_has_a_number_and_a_reason(line: str, said: str, after: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(HEADER + "\n".join([GOOD, line, after, ""]))
    with pytest.raises(TraceError) as caught:
        list(TraceReader(path))
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_lines_of_other_tools_are_read(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(
        HEADER
        + '{"prompt": 7, "round": 0, "successes": 1.0, "count": 2, "task": "gsm8k"}\r\n'
        + '{"round": 0, "prompt": 12345678901234567890, "count": 4, "successes": 1, "failures": 2}\n'
        + '{"round":1,"prompt":7,"count":3,"successes":2}'  # no line break at the end
    )
    reader = TraceReader(path)
    first, second = reader
    assert reader.keys == [7, 12345678901234567890]
    assert reader.torn is None
    np.testing.assert_array_equal(first.failures, [1, 2])
    np.testing.assert_array_equal(second.counts, [3])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no header"),
        (b"hello\n", "no header"),
        (b'{"format":"cero-trace","version":2}\n', "version: Input should be 1"),
        (b'{"format":"cero-trace","ver', "no header"),
    ],
)
def test_what_is_no_trace_is_said(data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "trace.jsonl").write_bytes(data)
    with pytest.raises(TraceError, match=said):
        TraceReader(tmp_path / "trace.jsonl")
    with pytest.raises(TraceError, match="check the path"):
        TraceReader(tmp_path / "missing.jsonl")
    (tmp_path / "trace.jsonl.gz").write_bytes(b"\x1f\x8bno gzip at all")
    with pytest.raises(TraceError, match="not a gzip file"):
        TraceReader(tmp_path / "trace.jsonl.gz")


@pytest.mark.parametrize("name", NAMES)
def test_a_trace_is_compressed_or_not_by_what_it_holds(name: str, tmp_path: Path) -> None:
    """Unpacked under the old name, or packed without a new one: it is read, and goes on as it is."""
    rounds = rounds_of(8)
    straight = text(written(tmp_path / "straight.jsonl", rounds))
    path = written(tmp_path / name, rounds[:6])
    packed = name.endswith(".gz")
    renamed = tmp_path / ("trace.jsonl" if packed else "trace.jsonl.gz")
    renamed.write_bytes(path.read_bytes())
    assert read(renamed) == rounds[:6]
    written(renamed, rounds[4:])
    data = renamed.read_bytes()
    assert (gzip.decompress(data) if packed else data).decode() == straight


def test_damage_inside_a_compressed_trace_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "trace.jsonl.gz", rounds_of(6))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(TraceError, match="compression is damaged"):
        list(TraceReader(path))


@pytest.mark.parametrize("off_the_fast_path", [False, True])
def test_tokens_are_read_as_they_were_written(
    off_the_fast_path: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that began to count in its middle, with a prompt that nobody counted, read in pieces and continued."""
    rng, path = np.random.default_rng(0), tmp_path / "trace.jsonl"
    tokens = [rng.integers(0, 2**40, 5).astype(float) for _ in range(30)]
    tokens[12][3] = np.nan
    with TraceWriter(path) as trace:
        for k, each in enumerate(tokens):
            trace.write(k, range(5), [4] * 5, [1, 2, 0, 4, 1.5], tokens=each if k >= 10 else None)
    assert path.read_bytes().count(b'"tokens"') == 20 * 5 - 1
    if off_the_fast_path:
        path.write_text(path.read_text().replace(",", ", "))
    for piece in (70, 1000, 1 << 20):
        monkeypatch.setattr("cero_api.trace.files.PIECE", piece)
        found = list(TraceReader(path))
        assert [record.tokens is None for record in found] == [True] * 10 + [False] * 20
        for record in found[10:]:
            np.testing.assert_array_equal(np.asarray(record.tokens), tokens[record.round])
    before = path.read_bytes()
    with TraceWriter(path, from_round=30) as trace:
        trace.write(30, range(5), [4] * 5, [1, 2, 0, 4, 1.5], tokens=tokens[0])
    assert path.read_bytes().startswith(before)


@pytest.mark.parametrize("bad", ["-1", "NaN", "Infinity", '"many"', "[1]"])
def test_tokens_that_cannot_be_are_named_by_their_line(bad: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    line = '{{"round":0,"prompt":{},"count":2,"successes":1,"tokens":{}}}\n'
    path.write_text(HEADER + line.format(1, 7) + line.format(2, bad))
    with pytest.raises(TraceError, match="line 3: tokens"):
        list(TraceReader(path))
    for tokens in ([1, -1], [1, math.inf], [1]):
        with pytest.raises(TraceError, match="tokens must be 2 numbers"):
            trace_lines(0, [1, 2], [2, 2], [1, 1], tokens=tokens)


@pytest.mark.parametrize("spaced", [False, True])
def test_blocks_do_not_show(spaced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = rounds_of(40, prompts=7)
    path = written(tmp_path / "trace.jsonl", rounds)
    if spaced:  # off the fast path
        path.write_text(path.read_text().replace(",", ", "))
    for piece in (50, 137, 1000):
        monkeypatch.setattr("cero_api.trace.files.PIECE", piece)
        assert read(path) == rounds


def test_memory_does_not_grow_with_the_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cero_api.trace.files.PIECE", 1 << 14)
    peaks = []
    for rounds in (50, 1000):
        path = tmp_path / f"{rounds}.jsonl"
        one = [trace_lines(k, range(40), [8] * 40, [k % 8] * 40) for k in range(rounds)]
        path.write_bytes(HEADER.encode() + b"".join(one))
        tracemalloc.start()
        assert sum(record.counts.size for record in TraceReader(path)) == 40 * rounds
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
