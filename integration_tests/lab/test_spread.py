"""All seeds of the demo together."""

from cero_lab.spread import SPREAD_HEADINGS, spread_rows
from cero_lab.summary import Summary


def summary(allocator: str, seed: int, final: float, to_match: int | None) -> Summary:
    return Summary(
        allocator=allocator,
        seed=seed,
        rollouts=1000,
        start=0.1,
        final=final,
        greedy_start=0.2,
        greedy=0.3,
        effective=0.25,
        to_match=to_match,
        allocator_seconds=0.1,
        seconds=10.0,
        rates=(final,),
    )


def test_differences_and_ratios_are_taken_seed_by_seed() -> None:
    summaries = [
        *(summary("uniform", seed, final, 1000) for seed, final in enumerate([0.40, 0.50, 0.60])),
        *(summary("cero", seed, final, match) for seed, (final, match) in enumerate([(0.45, 500), (0.55, 700)])),
        summary("cero", 2, 0.55, None),
    ]
    uniform, cero = (dict(zip(SPREAD_HEADINGS, row, strict=True)) for row in spread_rows(summaries))
    assert uniform["sampled accuracy"] == "0.500 ± 0.248"
    assert uniform["less uniform's"] == uniform["rollouts to match"] == "-"
    assert cero["less uniform's"] == "+0.017 ± 0.143"
    assert cero["rollouts to match"] == "0.60 ± 1.27 (2 of 3)"
    assert cero["effective groups"] == "25.0%"


def test_a_single_seed_has_no_interval_and_no_uniform_no_difference() -> None:
    (row,) = spread_rows([summary("cero", 0, 0.45, None)])
    assert row == ["cero", "1", "0.450", "-", "-", "25.0%"]
