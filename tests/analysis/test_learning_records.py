"""Records of trainings: from arrays, from old files and new, one or thousands in a file; and the page about them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import ConfigurationError, TraceError
from cero_api.analysis.learning import (
    TrainingRecord,
    by_regime,
    compare_regimes,
    compare_trainings,
    read_records,
    read_trainings,
    write_trainings,
)
from cero_api.analysis.report import learning_cells, learning_tables, learning_warnings, write_learning_report


def record_of(**fields: Any) -> TrainingRecord:
    """With arrays, which type checkers would have as lists."""
    return TrainingRecord(**fields)


def run(label: str = "cero", seed: int = 0, slope: float = 0.4, **more: Any) -> TrainingRecord:
    rollouts = np.arange(6) * 256
    return record_of(label=label, seed=seed, rollouts=rollouts, accuracy=0.1 + slope * rollouts / 1280, **more)


def runs(seeds: int = 6, **more: Any) -> list[TrainingRecord]:
    slopes = (("cero", 0.4), ("uniform", 0.2))
    return [run(label, seed, slope, **more) for label, slope in slopes for seed in range(seeds)]


@pytest.mark.parametrize("kind", [list, tuple, np.array, np.float32])
def test_a_curve_is_taken_as_it_comes(kind: Callable[[object], object]) -> None:
    rollouts = kind([0, 640, 1280])
    record = record_of(label="cero", rollouts=rollouts, accuracy=kind([0.125, 0.25, 0.5]), tokens=rollouts)
    assert list(record.rollouts) == [0, 640, 1280]
    assert all(type(n) is int for n in record.rollouts)
    assert list(record.accuracy) == [0.125, 0.25, 0.5]
    assert json.loads(record.model_dump_json())["tokens"] == [0, 640, 1280]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rollouts": [0], "accuracy": [0.1]}, "give two or more of each"),
        ({"rollouts": [0, 64], "accuracy": [0.1]}, "2 values of rollouts and 1 of accuracy"),
        ({"rollouts": [0, 0], "accuracy": [0.1, 0.2]}, "do not ascend"),
        ({"rollouts": [-1, 0], "accuracy": [0.1, 0.2]}, "rollouts.0"),
        ({"rollouts": np.zeros((2, 2)), "accuracy": [0.1, 0.2]}, "rollouts.0"),
        ({"rollouts": [0, 0.5], "accuracy": [0.1, 0.2]}, "rollouts.1"),
        ({"rollouts": [0, 1], "accuracy": [0.1, float("nan")]}, "accuracy.1"),
        ({"rollouts": [0, 1], "accuracy": [0.1, 0.2], "tokens": [0]}, "2 values of rollouts and 1 of tokens"),
        ({"rollouts": [0, 1], "accuracy": [0.1, 0.2], "tokens": [5, 4]}, "tokens descend"),
        ({"label": "", "rollouts": [0, 1], "accuracy": [0.1, 0.2]}, "label"),
    ],
)
def test_a_record_that_is_no_curve_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        record_of(**{"label": "cero", **fields})


# Files


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    made = runs(start="warm-1", tokens=np.arange(6) * 9000, regime="hard")
    for record in made:
        record.save(tmp_path / "deep" / f"{record.label}-{record.seed}.json")
    assert sorted(path.name for path in (tmp_path / "deep").iterdir())[0] == "cero-0.json"  # nothing half-written
    assert read_trainings([tmp_path / "deep"]) == made
    by_hand = tmp_path / "hand.json"
    by_hand.write_text('{"label": "mine", "rollouts": [0, 64], "accuracy": [0.1, 0.2], "anything": {"else": 1}}')
    old = TrainingRecord.load(by_hand)
    assert (old.label, old.start, old.regime, old.tokens) == ("mine", "", "", None)


def test_a_file_may_hold_several(tmp_path: Path) -> None:
    made, path = runs(), tmp_path / "all.json"
    path.write_text("[" + ",\n".join(record.model_dump_json() for record in made) + "]")
    assert read_trainings([path]) == made
    path.write_text("[" + ",\n".join(record.model_dump_json() for record in (*made, made[0])) + "]")
    with pytest.raises(TraceError, match=r"cero, seed 0, is in .* keep one"):
        read_trainings([path])
    path.write_text('[{"label": "a", "rollouts": [0, 1], "accuracy": [0.1, 0.2]}, {"label": "b"}]')
    with pytest.raises(TraceError, match="no record of a training: number 2: "):
        read_trainings([path])


class Kept(TrainingRecord):
    """With something of its own."""

    greedy: float = 0.0


KEPT = st.builds(
    lambda **fields: Kept(rollouts=[0, 640], accuracy=[0.25, 0.5], **fields),
    label=st.sampled_from(["uniform", "cero"]),
    seed=st.integers(0, 3),
    start=st.sampled_from(["", "a"]),
    regime=st.sampled_from(["hard", "easy"]),
    tokens=st.none() | st.just([0, 9]),
    optimizer_steps=st.none() | st.just(80),
    greedy=st.sampled_from([0.0, 0.5]),
)


@given(st.lists(KEPT, min_size=1, max_size=8, unique_by=lambda record: (record.label, record.pair, record.regime)))
def test_what_is_written_together_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, made: Sequence[Kept]
) -> None:
    path = tmp_path_factory.mktemp("records") / "all.json"
    write_trainings(made, path)
    assert read_records([path], Kept) == made
    assert [record.pair for record in read_trainings([path])] == [record.pair for record in made]


def test_two_thousand_trainings_are_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rollouts = np.arange(21) * 256
    made = [
        record_of(
            label=label,
            seed=seed,
            start=f"warm-{start}",
            regime="hard-one-visit",
            rollouts=rollouts,
            accuracy=np.round(rng.uniform(0.1, 0.3, 21), 5),
            tokens=np.cumsum(rng.integers(1000, 2000, 21)),
            effective_group_rate=round(rng.uniform(), 4),
            signal_per_rollout=round(rng.uniform(0, 0.25), 5),
            optimizer_steps=80,
            seconds=2.5,
        )
        for label in (f"allocator-{i}" for i in range(8))
        for start in range(10)
        for seed in range(25)
    ]
    path = tmp_path / "hard-one-visit.json"
    write_trainings(made, path)
    text = path.read_text()
    assert len(text) < 1_000_000
    assert text.count("\n") == len(made) + 2  # one line each: a change of one is a change of one line
    assert text.count("hard-one-visit") == 1
    assert read_trainings([path]) == made


def test_regimes_are_told_by_name_or_by_file(tmp_path: Path) -> None:
    for name in ("easy", "hard"):
        write_trainings(runs(2, regime=name), tmp_path / f"{name}.json")
    assert list(by_regime(read_trainings([tmp_path]))) == ["easy", "hard"]
    # Files that name no regime, and hold the same trainings, are a regime each.
    old = tmp_path / "old"
    for name in ("mixed", "easy"):
        write_trainings(runs(2), old / f"{name}.json")
    found = by_regime(read_trainings([old]))
    assert {regime: len(records) for regime, records in found.items()} == {"easy": 4, "mixed": 4}
    # And so are folders of files of one training each; of one regime, files and folders are one comparison.
    for name in ("one", "two"):
        for record in runs(2):
            record.save(tmp_path / name / f"{record.label}-{record.seed}.json")
    assert set(by_regime(read_trainings([tmp_path / "one", tmp_path / "two"]))) == {"one", "two"}
    assert set(by_regime(read_trainings([tmp_path / "one"]))) == {""}
    parts = [tmp_path / "parts" / f"{label}.json" for label in ("cero", "uniform")]
    for path in parts:
        write_trainings([record for record in runs(2) if record.label == path.stem], path)
    assert set(by_regime(read_trainings(parts))) == {""}


def test_what_is_no_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"label": "cero", "rollouts": [0, 64]}')
    with pytest.raises(TraceError, match=r"a\.json is no record of a training: .*accuracy: Field required; "):
        read_trainings([tmp_path])
    for text in ("{", "", "[1", '{"format": "cero-trainings", "version": 1, "trainings": 3}', "[3]", "3"):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(TraceError, match=r"a\.json is no record of a training: "):
            read_trainings([tmp_path / "a.json"])
    (tmp_path / "a.json").write_text('{"format": "cero-trainings", "version": 2}')
    with pytest.raises(TraceError, match=r"a\.json has the format 'cero-trainings', version 2; this cero-api reads"):
        read_trainings([tmp_path / "a.json"])
    with pytest.raises(TraceError, match="check the path"):
        read_trainings([tmp_path / "absent.json"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(TraceError, match=r"holds no \.json"):
        read_trainings([tmp_path / "empty"])
    for name in ("one", "two"):
        write_trainings(runs(2, regime="hard"), tmp_path / name / "hard.json")
    with pytest.raises(TraceError, match=r"cero, seed 0, is in .*one.*and in .*two.*keep one"):
        read_trainings([tmp_path / "one", tmp_path / "two"])  # they say that they are of one regime
    for name in ("a", "b"):
        run(start="warm").save(tmp_path / f"{name}.json")
    with pytest.raises(TraceError, match=r"cero, start warm, seed 0, is in .*a\.json and in .*b\.json; keep one"):
        read_trainings([tmp_path])


# The report


def test_the_page_holds_tables_and_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")  # the core is tested without the extra that draws, the command line with it
    made = [
        run(label, 0, slope, regime=regime, start=start, tokens=np.arange(6) * 10 if regime == "b" else None)
        for regime in ("a", "b")
        for start in ("x", "y")
        for label, slope in (("cero <b>", 0.4), ("uniform", 0.2))
    ]
    page = write_learning_report(compare_regimes(made), tmp_path / "report").read_text()
    assert "cero &lt;b&gt;" in page
    assert "<h2>All regimes together</h2>" in page
    assert page.count("data:image/png;base64,") == 3  # over rollouts in both regimes, over tokens in one
    assert "Fewer than five starts, which prove little." in page


DETAILS: dict[str, Any] = {
    "effective_group_rate": 0.3,
    "signal_per_rollout": 0.1,
    "optimizer_steps": 1000,
    "seconds": 9.0,
}


def test_tables_fit_on_80_columns() -> None:
    made = [
        run(label, seed, slope, start=start, tokens=np.arange(6) * 10, allocator_seconds=10.0, **DETAILS)
        for start in ("x", "y", "z")
        for label, slope in (("cero-batch-with-a-long-name", 0.3), ("uniform", 0.2), ("oracle", 0.45), ("vip", -0.1))
        for seed in range(2)
    ]
    results = compare_trainings(made)
    tables = learning_tables([learning_cells(label, result) for label, result in results.items()])
    assert len(tables) == 6
    for rows in tables.values():
        others = [max(len(text) for text in (name, *(row[name] for row in rows))) for name in list(rows[0])[1:]]
        assert 15 + sum(3 + width for width in others) <= 80  # a label that is longer is folded
    alone = learning_tables([learning_cells("cero", compare_trainings([run()])["cero"])])
    assert alone == {
        "Rollouts to match": [{"allocator": "cero", "trainings": "1"}],
        "Accuracy": [{"allocator": "cero", "final accuracy": alone["Accuracy"][0]["final accuracy"]}],
    }


def test_what_the_numbers_hide_is_said() -> None:
    def said(made: list[TrainingRecord]) -> str:
        return "\n".join(learning_warnings(compare_trainings(made)))

    assert said([run()]).startswith("No start and seed of uniform is shared with another: nothing is compared.")
    assert said(runs(6)) == "One start in a regime: intervals are over its seeds, and speak of that start alone."
    assert "Fewer than five seeds, which prove little." in said(runs(2))
    worse = [*runs(6), *(run("vip", seed, 0.15) for seed in range(6)), *(run("gvm", seed, -0.05) for seed in range(6))]
    told = said(worse)
    assert "is not reached, and the ratio is read at the highest that is: vip, gvm." in told
    assert "Not a third of the gain of uniform is reached, and the ratio is a lower bound (≥): gvm." in told
    assert re.search(r"Collapsed, .* all means include them: gvm \(seed 0, seed 1, .*\)\.", told)
    assert learning_cells("gvm", compare_trainings(worse)["gvm"])["rollouts to match"].startswith("≥ ")
    hopeless = [run("uniform", seed, 0.2) for seed in range(6)] + [run("oracle", seed, 0.2) for seed in range(6)]
    hopeless += [run("cero", seed, 0.3) for seed in range(6)]
    assert "The oracle's own saving is not outside its interval: there is no share to state: cero." in said(hopeless)
