"""Trainings side by side: the ratio and its interval on curves whose answer is known, and records on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import ConfigurationError, TraceError
from cero_api.analysis.learning import (
    TrainingRecord,
    compare_trainings,
    curves,
    ratio_interval,
    read_trainings,
    rollout_ratio,
    smoothed,
)
from cero_api.analysis.learning.compare import reaches
from cero_api.analysis.report import learning_cells, write_learning_report
from cero_api.analysis.report.learning import learning_warnings


def test_the_ratio_is_of_rollouts_to_the_same_accuracy() -> None:
    slow = np.linspace(0, 0.4, 11)
    fast = np.minimum(2 * slow, 0.6)
    assert reaches(slow, 0.4) == 1.0
    assert reaches(slow, 0.5) is None
    assert rollout_ratio(fast, slow) == pytest.approx(0.5)
    assert rollout_ratio(slow, slow) == 1.0
    # The other way round uniform is the fast one, and half of its rollouts suffice for what the slow one ends with.
    assert rollout_ratio(slow, 2 * slow) == pytest.approx(2.0)


def test_the_interval_holds_a_true_ratio() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, (2, 10, 1))
    slow = np.linspace(0, 0.4, 21) + noise[0]
    fast = np.minimum(np.linspace(0, 0.8, 21), 0.6) + noise[1]
    interval = ratio_interval(fast, slow)
    assert interval.low < 0.5 < interval.high < 0.7
    same = ratio_interval(slow, slow)
    assert same.low == same.high == 1.0


def trainings(label: str, slope: float, seeds: int = 6, points: int = 21, last: int = 1280) -> list[TrainingRecord]:
    """Straight lines from 0.1, each seed a little higher than the one before, shared by all labels."""
    rollouts = np.linspace(0, last, points).astype(int).tolist()
    return [
        TrainingRecord(
            label=label,
            seed=seed,
            rollouts=rollouts,
            accuracy=[0.1 + seed / 100 + slope * n / 1280 for n in rollouts],
            effective_group_rate=slope,
            optimizer_steps=20,
            seconds=10.0,
        )
        for seed in range(seeds)
    ]


def test_twice_the_slope_takes_half_of_the_rollouts() -> None:
    results = compare_trainings(trainings("cero", 0.4) + trainings("uniform", 0.2))
    assert list(results) == ["cero", "uniform"]
    cero, uniform = results["cero"], results["uniform"]
    assert [uniform.ratio, uniform.less, uniform.area_less, uniform.pace] == [None] * 4
    assert cero.ratio is not None
    assert cero.ratio.value == pytest.approx(0.5, abs=0.03)  # smoothing looks back over two evaluations
    assert cero.less is not None
    assert cero.less.mean == pytest.approx(0.2 * 0.95)  # the last three evaluations
    assert cero.less.high == pytest.approx(cero.less.low)  # what both owe to the seed cancels
    assert (cero.seeds, cero.rollouts, cero.steps, cero.pace) == (6, 1280, 20, 1.0)


def test_only_seeds_that_both_have_are_compared() -> None:
    lonely = TrainingRecord(label="cero", seed=99, rollouts=[0, 1280], accuracy=[0.0, 0.0])
    results = compare_trainings([*trainings("uniform", 0.2, seeds=4), *trainings("cero", 0.4, seeds=2), lonely])
    assert results["cero"].seeds == 2
    assert results["cero"].less is not None
    assert results["cero"].less.mean > 0
    assert results["uniform"].seeds == 4


def test_only_rollouts_that_all_have_spent_are_compared() -> None:
    half = trainings("cero", 0.2, last=640)
    results = compare_trainings(trainings("uniform", 0.2) + half)
    assert results["cero"].rollouts == results["uniform"].rollouts == 640
    assert results["cero"].ratio is not None
    assert results["cero"].ratio.value == pytest.approx(1.0, abs=0.1)  # denser evaluations smooth over fewer rollouts
    later = TrainingRecord(label="vip", rollouts=[2000, 3000], accuracy=[0.1, 0.2])
    with pytest.raises(ConfigurationError, match="ends at 640 rollouts, another begins at 2000"):
        compare_trainings([*half, later])
    with pytest.raises(ConfigurationError, match="give at least one"):
        compare_trainings([])


def test_other_evaluations_of_the_same_line_change_nothing() -> None:
    few, many = trainings("uniform", 0.2, points=11), trainings("cero", 0.2, points=41)
    np.testing.assert_allclose(curves(few)[:, 0], curves(many)[:, 0])
    assert curves(few + many).shape == (12, 41)


def test_a_training_that_forgets_has_no_ratio_in_json() -> None:
    falling = [run.model_copy(update={"accuracy": [0.1] + [0.0] * 20}) for run in trainings("vip", 0.2)]
    result = compare_trainings(trainings("uniform", 0.2) + falling)["vip"]
    assert result.ratio is not None
    assert result.ratio.value == np.inf
    assert json.loads(json.dumps(result.numbers(), allow_nan=False))["ratio"]["value"] is None


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=30))
def test_a_curve_against_itself_is_even(values: list[float]) -> None:
    curve = smoothed(values)
    assert curve.min() >= min(values) - 1e-12
    assert curve.max() <= max(values) + 1e-12
    assert rollout_ratio(curve, curve) == 1.0


# Records


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    runs = trainings("cero", 0.4) + trainings("uniform", 0.2)
    for run in runs:
        run.save(tmp_path / "deep" / f"{run.label}-{run.seed}.json")
    assert sorted(path.name for path in (tmp_path / "deep").iterdir())[0] == "cero-0.json"  # nothing half-written
    assert read_trainings([tmp_path / "deep"]) == runs
    by_hand = tmp_path / "hand.json"
    by_hand.write_text('{"label": "mine", "rollouts": [0, 64], "accuracy": [0.1, 0.2], "anything": {"else": 1}}')
    assert TrainingRecord.load(by_hand).label == "mine"


def test_a_file_may_hold_several(tmp_path: Path) -> None:
    runs = trainings("cero", 0.4)
    path = tmp_path / "all.json"
    path.write_text("[" + ",\n".join(run.model_dump_json() for run in runs) + "]")
    assert read_trainings([path]) == runs
    path.write_text("[" + ",\n".join(run.model_dump_json() for run in (*runs, runs[0])) + "]")
    with pytest.raises(TraceError, match="keep one"):
        read_trainings([path])
    path.write_text('[{"label": "a", "rollouts": [0, 1], "accuracy": [0.1, 0.2]}, {"label": "b"}]')
    with pytest.raises(TraceError, match="no record of a training: number 2: "):
        read_trainings([path])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rollouts": [0], "accuracy": [0.1]}, "give two or more of each"),
        ({"rollouts": [0, 64], "accuracy": [0.1]}, "2 values of rollouts and 1 of accuracy"),
        ({"rollouts": [0, 0], "accuracy": [0.1, 0.2]}, "do not ascend"),
        ({"rollouts": [-1, 0], "accuracy": [0.1, 0.2]}, "rollouts.0"),
        ({"rollouts": [0, 1], "accuracy": [0.1, float("nan")]}, "accuracy.1"),
        ({"label": "", "rollouts": [0, 1], "accuracy": [0.1, 0.2]}, "label"),
    ],
)
def test_a_record_that_is_no_curve_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        TrainingRecord(**{"label": "cero", **fields})  # type: ignore[arg-type]  # wrong on purpose


def test_what_is_no_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"label": "cero", "rollouts": [0, 64]}')
    with pytest.raises(TraceError, match=r"a\.json is no record of a training: .*accuracy: Field required; "):
        read_trainings([tmp_path])
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(TraceError, match="no record of a training: Invalid JSON"):
        read_trainings([tmp_path / "a.json"])
    with pytest.raises(TraceError, match="check the path"):
        read_trainings([tmp_path / "absent.json"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(TraceError, match=r"holds no \.json"):
        read_trainings([tmp_path / "empty"])
    (run,) = trainings("cero", 0.4, seeds=1)
    for name in ("a", "b"):
        run.save(tmp_path / f"{name}.json")
    with pytest.raises(TraceError, match=r"cero, seed 0, is in .*a\.json and in .*b\.json; keep one"):
        read_trainings([tmp_path])


# The report


def test_the_page_holds_table_and_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")  # the core is tested without the extra that draws, the command line with it
    runs = trainings("cero <b>", 0.4) + trainings("uniform", 0.2, seeds=1)
    page = write_learning_report(runs, compare_trainings(runs), tmp_path / "report").read_text()
    assert "cero &lt;b&gt;" in page
    assert "data:image/png;base64," in page
    assert "Fewer than five seeds, which prove little: cero &lt;b&gt;, uniform." in page


def test_a_single_seed_has_no_interval() -> None:
    results = compare_trainings(trainings("cero", 0.4, seeds=1) + trainings("uniform", 0.2, seeds=1))
    assert "[" not in learning_cells("cero", results["cero"])["rollouts to match"]
    assert learning_warnings(compare_trainings(trainings("cero", 0.4)))[0].startswith("No seed of uniform")
