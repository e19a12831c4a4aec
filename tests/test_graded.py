"""Graded rewards from the reward function to the report: contrast is their spread, not their sum."""

import gzip
import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import (
    CeroAllocator,
    CeroConfig,
    PilotAllocator,
    RolloutOutcomes,
    TraceError,
    available_allocators,
    make_allocator,
)
from cero_api.adapting import round_numbers
from cero_api.analysis.contest.run import _drawn
from cero_api.analysis.history import SuccessHistory
from cero_api.analysis.replay import replay
from cero_api.analysis.report import RunSummary
from cero_api.rewards import SuccessRule
from cero_api.trace import TraceReader, TraceRound, TraceWriter, trace_lines
from cero_ray import Deal, Desk
from cero_ray.desk import spread

# Sums of two in four each: whole, always the same, and a little apart.
WHOLE, FLAT, NEAR = [1.0, 0.0, 1.0, 0.0], [0.5] * 4, [0.25, 0.75, 0.5, 0.5]


def test_a_round_says_how_far_its_rewards_differ() -> None:
    counts, half = np.array([4, 4, 4]), np.full(3, 2.0)
    numbers = round_numbers(counts, half, half, squares=np.array([2.0, 1.0, 1.125]))
    assert numbers["round_effective_group_rate"] == pytest.approx(2 / 3)
    assert numbers["round_signal"] == pytest.approx((1 / 3 + 0 + 0.125 / 3) / 3)
    assert round_numbers(counts, half, half)["round_effective_group_rate"] == 1.0


def test_deals_say_how_far_their_rewards_differ() -> None:
    deals = [Deal(0, row, 4, 0, dict(enumerate(shares))) for row, shares in enumerate([WHOLE, FLAT, NEAR])]
    assert spread(deals)["round_effective_group_rate"] == pytest.approx(2 / 3)


def test_a_desk_books_and_records_the_spread(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.jsonl") as trace:
        config = CeroConfig(num_prompts=6, rounds=4, budget=64)
        desk = Desk(CeroAllocator(config), SuccessRule(reward_range=(-1, 1)), trace)
        counts = desk.deal(["a", "b", "c"], [4, 1, 3], mean=4)
        assert counts == [4, 4, 4]
        for ticket, shares in zip("abc", (WHOLE, FLAT, NEAR), strict=True):
            for session, share in enumerate(shares):
                desk.report(ticket, session, 2 * share - 1)
        desk.book()
    assert desk.allocator.metrics()["effective_group_rate"] == pytest.approx(2 / 3)
    assert desk.allocator.state_dict()["graded"][[4, 1, 3]].tolist() == [0.0, 1.0, 0.875]
    (record,) = TraceReader(tmp_path / "trace.jsonl")
    assert record.successes.tolist() == [2.0, 2.0, 2.0]
    assert record.squares.tolist() == [2.0, 1.0, 1.125]
    run = RunSummary.of_trace(tmp_path / "trace.jsonl")
    assert run.effective.tolist() == [2]
    assert run.signal[0] == pytest.approx(4 * (1 / 3 + 0.125 / 3))


def exposures(squares_known: bool) -> list[float]:
    """Mean exposure of prompts always half right, right in 15% of their rollouts, and never right."""
    kinds, means = np.arange(60) % 3, []
    for seed in range(3):
        config = CeroConfig(num_prompts=60, rounds=60, budget=60 * 32, max_rollouts_per_prompt=8, seed=seed)
        allocator = CeroAllocator(config)
        rng = np.random.default_rng(seed)
        for _ in range(60):
            allocation = allocator.allocate()
            n, kind = allocation.counts, kinds[allocation.prompt_ids]
            won = np.select([kind == 0, kind == 1], [n / 2, rng.binomial(n, 0.15)], 0.0)
            squares = np.where((kind == 0) & squares_known, n / 4, won)
            allocator.observe(
                RolloutOutcomes(allocation.prompt_ids, won, n - won, round=allocation.round, squares=squares)
            )
        means.append([allocator.exposure()[kinds == kind].mean() for kind in range(3)])
    return [float(mean) for mean in np.mean(means, axis=0)]


def test_an_always_half_right_prompt_gets_what_a_hopeless_one_gets() -> None:
    """By the sums alone it looked like the best prompt of all: 40.0 rollouts against 31.2 and 22.9.

    With the squares known it has 25.2, the one that is right in 15% of its rollouts 42.4, the hopeless one 25.1.
    """
    flat, rare, hopeless = exposures(squares_known=False)
    assert flat > 1.2 * rare > 1.2 * hopeless
    flat, rare, hopeless = exposures(squares_known=True)
    assert rare > 1.5 * flat
    assert flat == pytest.approx(hopeless, rel=0.05)


@pytest.mark.parametrize("name", available_allocators(waves=1))
def test_groups_without_spread_are_not_effective(name: str) -> None:
    allocator = make_allocator(name, num_prompts=8, rounds=10, budget=320)
    for share in (0.5, 0.1, 1 / 3):
        allocation = allocator.allocate()
        rows = allocation.prompt_ids_per_rollout
        for part in (slice(0, 3), slice(3, None)):  # of one group, too
            allocator.observe(
                RolloutOutcomes.from_rewards(
                    rows[part], np.full(rows[part].size, share), round=allocation.round, reward_range=(0, 1)
                )
            )
    assert allocator.metrics()["outstanding"] == 0
    assert allocator.metrics()["effective_group_rate"] == 0.0
    allocation = allocator.allocate()
    rows = allocation.prompt_ids_per_rollout
    rewards = np.where(np.arange(rows.size) == 0, 0.6, 0.5)
    allocator.observe(RolloutOutcomes.from_rewards(rows, rewards, round=allocation.round, reward_range=(0, 1)))
    assert allocator.metrics()["effective_group_rate"] > 0.0


def test_rewards_reported_one_by_one_tell_as_much() -> None:
    """Of a single rollout the square is known, so nobody has to give it."""
    config = CeroConfig(num_prompts=2, rounds=4, budget=32)
    whole, single = CeroAllocator(config), CeroAllocator(config)
    rewards = [0.25, 0.5, 0.5, 1.0, 0.0, 0.125]
    for allocator in (whole, single):
        allocator.allocate([0, 1], total=12)
    whole.observe(RolloutOutcomes.from_rewards([1] * 6, rewards, reward_range=(0, 1)))
    for reward in rewards:
        single.observe(RolloutOutcomes([1], [reward], [1 - reward]))
    assert single.metrics() == whole.metrics()
    assert single.state_dict()["graded"].tolist() == whole.state_dict()["graded"].tolist() == [0.0, 0.796875]


def test_graded_evidence_is_forgotten_like_any_other() -> None:
    config = CeroConfig(num_prompts=2, rounds=20, budget=160, forgetting=0.5)
    allocator = CeroAllocator(config)
    allocation = allocator.allocate([0, 1], total=8)
    allocator.observe(RolloutOutcomes.from_rewards([0] * 4, [0.5] * 4, round=0, reward_range=(0, 1)))
    for _ in range(3):
        allocator.allocate([0, 1], total=8)
    allocator.observe(RolloutOutcomes.from_rewards([1] * 4, [0.5] * 4, round=allocation.round, reward_range=(0, 1)))
    state = allocator.state_dict()
    assert state["successes"].tolist() == [0.25, 0.25]  # late evidence weighs what it would have weighed in time
    assert state["graded"].tolist() == [0.125, 0.125]


def test_binary_rewards_leave_no_trace_of_graded_ones() -> None:
    """Nor cost anything: the column begins with the first reward between 0 and 1."""
    for name in available_allocators(waves=1):
        allocator = make_allocator(name, num_prompts=8, rounds=10, budget=320)
        for share, size in ((1.0, 0), (0.0, 0), (0.25, 8), (1.0, 8)):
            allocation = allocator.allocate([1, 2, 3])
            rows = allocation.prompt_ids_per_rollout
            rewards = np.full(rows.size, share)
            allocator.observe(RolloutOutcomes.from_rewards(rows, rewards, round=allocation.round, reward_range=(0, 1)))
            assert allocator.state_dict()["graded"].size == size


@pytest.mark.parametrize("name", available_allocators(waves=1))
@given(data=st.data())
def test_graded_rewards_of_any_kind_are_played(name: str, data: st.DataObject) -> None:
    """Late and in parts, nearly equal, nearly whole: the proxy stays a variance, and the state can be loaded again."""
    allocator = make_allocator(name, num_prompts=12, rounds=20, budget=480)
    shares = st.floats(0, 1) | st.sampled_from([0.0, 1.0, 0.5, 1e-9, 1 - 1e-9, 5e-324, 1 / 3])
    differ = False
    for _ in range(data.draw(st.integers(1, 4))):
        allocation = allocator.allocate()
        prompts = allocation.prompt_ids_per_rollout
        earned = data.draw(st.lists(shares, min_size=1, max_size=3))
        rewards = np.resize(earned, prompts.size)
        for part in (slice(0, None, 2), slice(1, None, 2)):
            allocator.observe(
                RolloutOutcomes.from_rewards(prompts[part], rewards[part], round=allocation.round, reward_range=(0, 1))
            )
        differ |= len(set(earned)) > 1
        assert differ or not allocator.metrics()["effective_group_rate"]
    assert 0 <= allocator.metrics().get("mean_variance_proxy", 0.0) <= 0.25
    make_allocator(name, num_prompts=12, rounds=20, budget=480).load_state_dict(allocator.state_dict())


@pytest.mark.parametrize("name", ["trace.jsonl", "trace.jsonl.gz"])
@given(data=st.data())
def test_squares_of_graded_rewards_survive(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    """Beside lines of whole successes, which say nothing of them, and lines with missing rewards."""
    path, shares = tmp_path_factory.mktemp("t") / name, st.floats(0, 1) | st.sampled_from([0.0, 1.0])
    given_ = [[data.draw(st.lists(shares, max_size=4)) for _ in range(data.draw(st.integers(1, 4)))] for _ in range(3)]
    with TraceWriter(path) as trace:
        for k, groups in enumerate(given_):
            won = np.array([sum(group) for group in groups])
            lost = np.array([len(group) for group in groups]) - won
            squares = [sum(share * share for share in group) for group in groups]
            missing = data.draw(st.integers(0, 1))
            counts = [len(group) + missing for group in groups]
            trace.write(k, range(len(groups)), counts, won, np.maximum(lost, 0.0), squares)
    for found, groups in zip(TraceReader(path), given_, strict=True):
        expected = [sum(share * share for share in group) for group in groups]
        np.testing.assert_allclose(found.squares, expected, rtol=1e-12, atol=1e-11)
    written = path.read_bytes()
    text = gzip.decompress(written) if name.endswith(".gz") else written
    for line in text.splitlines()[1:]:
        fields = json.loads(line)
        if float(fields["successes"]).is_integer() and fields.get("squares") is None:
            continue
        assert ("squares" in fields) <= (fields["count"] > 1)  # of one rollout they are known


def test_lines_of_whole_successes_say_nothing_of_squares() -> None:
    assert b"squares" not in trace_lines(0, [1, 2], [4, 1], [3.0, 0.5], squares=[3.0, 0.25])
    graded = trace_lines(0, [1], [4], [2.0], squares=[1.0])
    assert graded == b'{"round":0,"prompt":1,"count":4,"successes":2,"squares":1}\n'


@pytest.mark.parametrize(
    ("squares", "said"),
    [([0.9], "squares of 0.9"), ([2.1], "squares of 2.1"), ([float("nan")], "nan"), ([1.0, 1.0], "one per prompt")],
)
def test_squares_that_cannot_be_are_refused(squares: list[float], said: str, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=said):
        trace_lines(0, [1], [4], [2.0], squares=squares)
    if len(squares) == 1 and squares[0] == squares[0]:
        path = tmp_path / "trace.jsonl"
        path.write_text(
            '{"format":"cero-trace","version":1}\n'
            f'{{"round":0,"prompt":1,"count":4,"successes":2,"squares":{squares[0]}}}\n'
        )
        with pytest.raises(TraceError, match=f"line 2: .*{said}"):
            list(TraceReader(path))


def test_a_record_without_squares_is_written_too(tmp_path: Path) -> None:
    rounds = [TraceRound(0, np.array([3]), np.array([4]), np.array([2.0]), np.array([2.0]))]
    rounds.append(TraceRound(1, np.array([3]), np.array([4]), np.array([2.0]), np.array([2.0]), np.array([1.0])))
    with TraceWriter(tmp_path / "trace.jsonl") as trace:
        bare: Any = SimpleNamespace(**{name: value for name, value in vars(rounds[0]).items() if name != "squares"})
        trace(bare)
        trace(rounds[1])
    assert [record.squares.tolist() for record in TraceReader(tmp_path / "trace.jsonl")] == [[2.0], [1.0]]


def recorded(folder: Path, always: float = 0.5) -> SuccessHistory:
    """A trace of prompts always half right, right in 15% of their rollouts, and never right, 16 rollouts a visit."""
    rng, kinds, n = np.random.default_rng(0), np.arange(30) % 3, np.full(10, 16)
    with TraceWriter(folder / "trace.jsonl", num_prompts=30) as trace:
        for round in range(24):
            rows = np.arange(10) + 10 * (round % 3)
            flat = kinds[rows] == 0
            won = np.select([flat, kinds[rows] == 1], [n * always, rng.binomial(n, 0.15)], 0.0)
            trace.write(round, rows, n, won, squares=np.where(flat, n * always**2, won))
    return SuccessHistory.from_trace(folder / "trace.jsonl")


def test_a_replay_draws_rewards_that_differ_as_much_as_the_recorded_ones(tmp_path: Path) -> None:
    history = recorded(tmp_path)
    varying = history.varying(smooth=1)
    assert varying is not None
    by_prompt = [set(varying[start:stop].tolist()) for start, stop in pairwise(history.offsets.tolist())]
    assert by_prompt == [{0.0} if int(key) % 3 == 0 else {1.0} for key in history.keys]
    report = replay(history, ["uniform", "cero"], seeds=[0, 1], scope="batch", batch_size=10)
    uniform, cero = (result.metrics for result in report.results)
    assert uniform["effective_group_rate"].mean < 1 / 3  # but for the chance of no success in 16
    assert uniform["signal_per_rollout"].mean == pytest.approx(0.15 * 0.85 / 3, rel=0.2)
    # By the sums alone an always half right prompt looks best of all, and the signal would be three times as much.
    assert cero["signal_per_rollout"].mean > 1.2 * uniform["signal_per_rollout"].mean
    mixed = next(note for note in replay(history, ["uniform"], seeds=[0]).notes if "were mixed" in note)
    assert 20 < float(mixed.split("groups ")[1].split("%")[0]) <= 33.4


@given(p=st.floats(0, 1), varying=st.floats(0, 1) | st.sampled_from([0.0, 1.0]), n=st.integers(1, 50))
def test_drawn_rewards_have_the_mean_and_the_spread_that_they_should(p: float, varying: float, n: int) -> None:
    """Over all draws of a whole success or failure: mean p, variance `varying` p(1 - p), shares of a success all."""
    low, high = (p + np.sqrt(varying) * (b - p) for b in (0.0, 1.0))
    rng = np.random.default_rng(0)
    drawn = _drawn(np.arange(1), np.array([n]), np.array([p]), np.array([varying]), 0, rng)
    won = np.random.default_rng(0).binomial(n, p)
    assert drawn.successes[0] == pytest.approx(won * high + (n - won) * low)
    assert drawn.squares[0] == pytest.approx(won * high**2 + (n - won) * low**2, abs=1e-9)
    assert p * high + (1 - p) * low == pytest.approx(p)
    assert p * high**2 + (1 - p) * low**2 - p**2 == pytest.approx(varying * p * (1 - p), abs=1e-12)


def test_a_replay_of_whole_successes_knows_nothing_of_graded_ones(tmp_path: Path) -> None:
    history = recorded(tmp_path, always=1.0)
    assert history.visit_graded.size == 0
    assert history.varying() is None


METHODS = [
    name for name in available_allocators() if name not in ("uniform", "random_matched")
]  # who decide by rewards


def exposures_in(scope: str, name: str, always: float, **options: Any) -> list[float]:
    """Mean exposure of prompts with always the same reward, right in 30% of their rollouts, and never right."""
    kinds, means = np.arange(30) % 3, []
    for seed in range(3):
        size: dict[str, Any] = {"num_prompts": 30, "rounds": 60, "budget": 60 * 32, "seed": seed, **options}
        if scope != "batch":
            size |= {"offer": scope} | ({"window": 3} if scope == "window" else {})
        allocator, rng = make_allocator(name, **size), np.random.default_rng(seed)
        for _ in range(60):
            batch = rng.permutation(30)[:8]  # room for two rollouts above the floor each, or for half of the groups
            allocation = allocator.allocate(batch, total=32) if scope == "batch" else allocator.allocate()
            while True:
                rows = allocation.prompt_ids_per_rollout
                luck = 1.0 * (rng.random(rows.size) < 0.3)
                rewards = np.select([kinds[rows] == 0, kinds[rows] == 1], [always, luck], 0.0)
                allocator.observe(
                    RolloutOutcomes.from_rewards(rows, rewards, round=allocation.round, reward_range=(0, 1))
                )
                if not (allocation.to_commit and isinstance(allocator, PilotAllocator)):
                    break
                allocation = allocator.commit()
        means.append([allocator.exposure()[kinds == kind].mean() for kind in range(3)])
    return [float(mean) for mean in np.mean(means, axis=0)]


@pytest.mark.parametrize("always", [0.5, 0.8])
@pytest.mark.parametrize(
    ("name", "scope"),
    [(name, scope) for name in METHODS for scope in ("batch", "window")] + [(n, "pool") for n in METHODS],
)
def test_rewards_that_never_differ_are_worth_no_more_than_failures(name: str, scope: str, always: float) -> None:
    """By their sums, always half right is best of all: MoPPS's window gave it 274 rollouts, the others 17 and 30."""
    if (name, scope) == ("pilot_commit", "pool"):
        return  # it has no pool
    flat, rare, never = exposures_in(scope, name, always)
    assert flat <= 1.2 * never
    if (name, scope) not in (("knapsack", "batch"), ("knapsack", "pool"), ("pilot_commit", "window")):
        assert rare > 1.2 * flat  # those give prompts of no value the mean, and pilots of two miss half of the rare


@pytest.mark.parametrize("belief", ["pooled", "features", "gp"])
@pytest.mark.parametrize("name", ["cero", "vip", "gvm"])
def test_so_they_are_whoever_expects(name: str, belief: str) -> None:
    """Also by features that tell the kinds apart, as they do here."""
    known = {} if belief == "pooled" else {"features": np.arange(30)[:, None] % 3 == np.arange(3)}
    flat, rare, never = exposures_in("window", name, 0.5, belief=belief, **known)
    assert flat <= 1.2 * never + 16  # two groups more, for by features the never right are known at once
    assert rare > 1.2 * flat
