"""The table of savings: it is what the published records say, and the nearest regimes are found in it."""

from pathlib import Path

import pytest

from cero_api.analysis.advice import Regime, Saved, Saving, published, regimes_like

RECORDS = Path(__file__).parents[2] / "docs" / "evidence" / "grid"


@pytest.mark.skipif(not RECORDS.is_dir(), reason="the wheel is tested without the documentation")
def test_the_table_is_what_the_published_records_say() -> None:
    from cero_lab.grid.savings import savings_table

    told = [regime.model_dump() for regime in published()]
    found = [Regime(**regime).model_dump() for regime in savings_table(RECORDS)["regimes"]]
    assert [regime["name"] for regime in told] == [regime["name"] for regime in found], "python benchmarks/savings.py"
    for mine, its in zip(told, found, strict=True):
        for name in set(mine) - {"savings"}:
            assert mine[name] == pytest.approx(its[name]), "run python benchmarks/savings.py"
        for one, other in zip(mine["savings"], its["savings"], strict=True):
            for what in ("name", "trainings", "starts", "window"):
                assert one[what] == other[what], "run python benchmarks/savings.py"
            for what in ("rollouts", "tokens"):
                assert one[what] == pytest.approx(other[what], abs=2e-3), "run python benchmarks/savings.py"


def regime(
    pool: str, visits: float, effective: float, *names: str, model: str = "small", group_size: int = 8
) -> Regime:
    savings = tuple(
        Saving(name=name, trainings=8, starts=4, window=4, rollouts=Saved(ratio=0.8, low=0.7, high=0.9))
        for name in names
    )
    return Regime(
        name=f"{pool}-{visits}", pool=pool, visits=visits, model=model, parameters=0.1, group_size=group_size,
        effective=effective, savings=savings,
    )  # fmt: skip


TABLE = [
    regime("hard", 1.0, 0.36, "window", "window-tokens"),
    regime("hard", 6.7, 0.34, "window"),
    regime("hard", 1.0, 0.40, "window", model="demo"),
    regime("easy", 6.7, 0.70, "window-tokens"),
]


@pytest.mark.parametrize(
    ("visits", "effective", "name", "found"),
    [
        (1.0, 0.2, "window", ["hard-1.0", "hard-1.0"]),  # of all models
        (30.0, 0.4, "window", ["hard-6.7"]),
        (2.4, 0.4, "window", ["hard-1.0", "hard-1.0"]),  # by the logarithm, else 3.85 would be the border
        (2.7, 0.4, "window", ["hard-6.7"]),
        (1.0, 0.9, "window", []),  # nothing of the kind was tried in the nearer pool
        (1.0, 0.9, "window-tokens", ["easy-6.7"]),
        (1.0, None, "window-tokens", ["hard-1.0", "easy-6.7"]),  # nobody knows the pool
        (1.0, 0.4, "nothing", []),
    ],
)
def test_the_nearest_regimes(visits: float, effective: float | None, name: str, found: list[str]) -> None:
    def tried(regime: Regime) -> bool:
        return regime.of([name], 4) is not None

    assert [regime.name for regime in regimes_like(visits, effective, 8, tried, TABLE)] == found


def test_of_the_nearest_visits_the_nearest_groups() -> None:
    table = [*TABLE, regime("hard", 1.0, 0.38, "window", group_size=16)]
    for group_size, found in [(4, [8, 8]), (8, [8, 8]), (12, [16]), (64, [16])]:
        assert [regime.group_size for regime in regimes_like(1.0, 0.3, group_size, table=table)] == found


def test_the_first_composition_that_was_tried_at_this_width_is_meant() -> None:
    saving = TABLE[0].of(["window-both", "window-tokens", "window"], 4)
    assert saving is not None
    assert saving.name == "window-tokens"
    assert TABLE[1].of(["window-tokens"], 4) is None
    assert TABLE[0].of(["window-tokens"], 2) is None
    assert saving.model_copy(update={"name": "window-2-features"}).composition == "window-features"
