"""CERO against the paper: Algorithm 1 written out plainly, its golden values, its theorem, its ablations.

More than 400 lines: the plain Algorithm 1 that all of these tests compare with stands beside them.
"""

import math
from typing import Any, Literal

import numpy as np
import pytest

from cero_api import BudgetError, CeroAllocator, CeroConfig, RolloutOutcomes
from cero_api.config import Selection
from cero_api.mathematics.oracle import optimal_exposure, regret_bound
from cero_api.mathematics.posterior import variance_proxy
from cero_api.mathematics.utility import saturation_rate, utility

PAPER = CeroConfig.preset("paper", num_prompts=8958, rounds=500, budget=256_000)


class Plain:
    """Algorithm 1 line by line, in units, one prompt at a time: the reference."""

    def __init__(self, config: CeroConfig) -> None:
        g = config.rollouts_per_unit
        self.M, self.K, self.B, self.C = (
            config.num_prompts,
            config.rounds,
            config.budget // g,
            config.round_capacity // g,
        )
        self.N_max, self.g, self.lam, self.rho = (
            config.limits()[1] // g,
            g,
            config.saturation,
            config.forgetting,
        )
        self.gamma, self.prior = 1 / math.sqrt(self.K), config.prior
        self.rank = {p: r for r, p in enumerate(np.random.default_rng(config.seed).permutation(self.M))}
        self.remaining, self.nu = self.B, config.initial_price
        self.a, self.b = [config.prior[0]] * self.M, [config.prior[1]] * self.M
        self.v = [4 * self.q(i) for i in range(self.M)]

    def q(self, i: int) -> float:
        a, b = self.a[i], self.b[i]
        return a * b / ((a + b) * (a + b + 1))

    def allocate(self) -> dict[int, int]:
        # Equal to 36 binary places is equal: ours, so that the last bit of a logarithm decides nothing.
        price = [round(v * 2**36) for v in self.v]
        positive = (i for i in range(self.M) if price[i] > round(self.nu * 2**36))
        order = sorted(positive, key=lambda i: (-price[i], self.rank[i]))
        self.virtual, executed = {}, {}
        room, left = self.C, self.remaining
        for i in order:
            if room:
                self.virtual[i] = min(self.N_max, room)
                room -= self.virtual[i]
                if left:
                    executed[i] = min(self.virtual[i], left)
                    left -= executed[i]
        self.remaining = left
        return executed

    def observe(self, feedback: dict[int, tuple[float, float]]) -> None:
        R, Z = self.B / self.M, self.K * self.N_max
        mean = self.B / self.K
        for i in range(self.M):
            won, lost = feedback.get(i, (0.0, 0.0))
            self.a[i] = self.prior[0] + self.rho * (self.a[i] - self.prior[0]) + won
            self.b[i] = self.prior[1] + self.rho * (self.b[i] - self.prior[1]) + lost
            c, theta = 4 * self.lam * self.q(i) / R, self.lam / R * self.v[i]
            if theta >= c:
                support = 0.0
            elif theta <= c * math.exp(-c * Z):
                support = Z
            else:
                support = math.log(c / theta) / c
            self.v[i] = min(
                1, max(0, self.v[i] - self.gamma * (self.virtual.get(i, 0) - support / self.K) / self.N_max)
            )
        spread = max(mean, self.C - mean)
        self.nu = min(1, max(0, self.nu - self.gamma * (mean - sum(self.virtual.values())) / spread))


@pytest.mark.parametrize("forgetting", [1.0, 0.9])
@pytest.mark.parametrize(
    "shape",
    [
        {"num_prompts": 40, "rounds": 60, "budget": 2400, "rollouts_per_unit": 4},
        {"num_prompts": 25, "rounds": 30, "budget": 1500, "capacity": 83, "initial_price": 0.1},
        {"num_prompts": 30, "rounds": 100, "budget": 6000, "saturation": 0.3, "prior": (0.5, 0.5), "seed": 3},
    ],
)
def test_it_is_algorithm_1(shape: dict[str, Any], forgetting: float) -> None:
    config = CeroConfig(**shape, forgetting=forgetting)
    allocator, plain, rng = CeroAllocator(config), Plain(config), np.random.default_rng(1)
    rates = rng.beta(0.6, 0.6, config.num_prompts)
    for _ in range(config.rounds):
        allocation, expected = allocator.allocate(), plain.allocate()
        dealt = dict(zip(allocation.prompt_ids.tolist(), (allocation.counts // plain.g).tolist(), strict=True))
        assert dealt == expected
        won = rng.binomial(allocation.counts, rates[allocation.prompt_ids]).astype(float)
        lost = allocation.counts - won
        allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, lost, round=allocation.round))
        plain.observe(dict(zip(allocation.prompt_ids.tolist(), zip(won, lost, strict=True), strict=True)))
        assert allocator.metrics()["budget_remaining"] == plain.remaining * plain.g
    state = allocator.state_dict()
    assert state["budget_price"] == pytest.approx(plain.nu, abs=0.2)  # the last step is taken with the next round
    np.testing.assert_allclose(allocator.success_rate(), np.array(plain.a) / np.add(plain.a, plain.b))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("noisy", [False, True])
def test_the_papers_settings_give_the_papers_run(seed: int, noisy: bool) -> None:
    rng = np.random.default_rng(seed)
    rates = rng.beta(0.5, 0.5, PAPER.num_prompts)
    allocator, zero_rounds, surplus, spent = CeroAllocator(PAPER), 0, [], 0
    for k in range(PAPER.rounds):
        allocation = allocator.allocate()
        assert set(allocation.counts.tolist()) <= {8}  # each admitted prompt gets exactly 8 responses
        zero_rounds += allocation.total == 0
        spent += allocation.total
        surplus.append(spent - 512 * (k + 1))
        chance = rates[allocation.prompt_ids]
        won = rng.binomial(8, chance).astype(float) if noisy else np.rint(8 * chance)
        allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, 8 - won, round=allocation.round))
    # The paper reports 12, 14 and 13 zero rounds, a surplus that peaks at 1,920 rollouts, and nothing left.
    assert 10 <= zero_rounds <= 15
    assert max(surplus) == 1920
    assert surplus[-1] == 0
    assert allocator.metrics()["budget_remaining"] == 0
    assert allocator.allocate().total == 0
    shares = np.unique(allocator.exposure()) / (PAPER.budget / PAPER.num_prompts)
    np.testing.assert_allclose(shares, [0.84, 1.12, 1.40], atol=0.005)


@pytest.mark.parametrize(
    ("prompts", "rounds", "cap", "share", "prior", "informative"),
    [
        (6, 4096, 1, 0.7, (1.0, 1.0), True),
        (40, 3000, 2, 1.5, (0.5, 0.5), True),
        (200, 64, 8, 2.0, (1.0, 1.0), False),
    ],
)
def test_the_theorems_bound_holds_path_by_path(
    prompts: int, rounds: int, cap: int, share: float, prior: tuple[float, float], informative: bool
) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rates = rng.beta(0.4, 0.4, prompts)
        truth = rates * (1 - rates)
        config = CeroConfig(
            num_prompts=prompts,
            rounds=rounds,
            budget=int(share * prompts * rounds),
            max_rollouts_per_prompt=cap,
            prior=prior,
            capacity=min(prompts * cap, math.ceil(1.2 * share * prompts)),
            seed=seed,
        )
        allocator, evidence, error = CeroAllocator(config), np.zeros((2, prompts)), 0.0
        for _ in range(rounds):
            allocation = allocator.allocate()
            won = rng.binomial(allocation.counts, rates[allocation.prompt_ids])
            lost = allocation.counts - won
            allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, lost, round=allocation.round))
            evidence[:, allocation.prompt_ids] += won, lost
            error += np.abs(variance_proxy(prior[0] + evidence[0], prior[1] + evidence[1]) - truth).mean() / rounds
        rate = saturation_rate(truth, 1.0, config.budget / prompts)
        best = utility(rate, optimal_exposure(rate, config.budget, rounds * cap)).sum()
        regret = best - utility(rate, allocator.exposure()).sum()
        bound = regret_bound(
            prompts=prompts,
            rounds=rounds,
            budget=config.budget,
            capacity=config.round_capacity,
            cap=cap,
            proxy_error=error,
        )
        assert -1e-9 <= regret / prompts <= bound
        assert (bound < 1) == informative


def play(allocator: CeroAllocator, rounds: int, rates: np.ndarray, seed: int = 0, **request: Any) -> list[np.ndarray]:
    """Deal and reward rounds; the counts of each over the whole pool."""
    rng, dealt = np.random.default_rng(seed), []
    for _ in range(rounds):
        allocation = allocator.allocate(**request)
        won = rng.binomial(allocation.counts, rates[allocation.prompt_ids])
        allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won, round=allocation.round))
        counts = np.zeros(rates.size, dtype=int)
        counts[allocation.prompt_ids] = allocation.counts
        dealt.append(counts)
    return dealt


SMALL: dict[str, Any] = {"num_prompts": 50, "rounds": 40, "budget": 3210}
RATES = np.random.default_rng(7).beta(0.5, 0.5, 50)


@pytest.mark.parametrize("selection", ["dual", "marginal"])
def test_fixed_pacing_spends_the_mean_in_every_round(selection: Selection) -> None:
    allocator = CeroAllocator(CeroConfig(**SMALL, pacing="fixed", selection=selection))
    totals = [counts.sum() for counts in play(allocator, 40, RATES)]
    assert set(totals) == {80, 81}
    assert sum(totals) == 3210
    assert allocator.metrics()["budget_price"] == 0


def test_a_schedule_is_kept() -> None:
    schedule = (88,) * 10 + (0,) * 2 + (80,) * 28
    allocator = CeroAllocator(CeroConfig(**SMALL, pacing=schedule))
    assert [counts.sum() for counts in play(allocator, 42, RATES)] == [*schedule, 0, 0]


@pytest.mark.parametrize("rows", [None, np.arange(0, 50, 3)])
def test_pacing_changes_nothing_where_the_total_is_given(rows: np.ndarray | None) -> None:
    dealt = []
    for pacing in ("adaptive", "fixed", (80,) * 40):
        allocator, rng = CeroAllocator(CeroConfig(**SMALL, pacing=pacing)), np.random.default_rng(1)
        rounds = []
        for _ in range(40):
            allocation = allocator.allocate(rows, total=80)
            won = rng.binomial(allocation.counts, RATES[allocation.prompt_ids]).astype(float)
            allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won))
            rounds.append((allocation.prompt_ids.tolist(), allocation.counts.tolist()))
        dealt.append(rounds)
    assert dealt[0] == dealt[1] == dealt[2]


def test_marginal_selection_over_the_pool_is_the_papers_greedy() -> None:
    config = CeroConfig(**SMALL, pacing="fixed", selection="marginal")
    allocator, rank = CeroAllocator(config), np.argsort(np.random.default_rng(0).permutation(50))
    for _ in range(15):
        state = allocator.state_dict()
        q, z = variance_proxy(1 + state["successes"], 1 + state["failures"]), state["exposure"]
        rate = saturation_rate(q, 1.0, config.budget / 50)
        gain = utility(rate, z + 8) - utility(rate, z)
        chosen = play(allocator, 1, RATES, seed=state["round"])[0] > 0
        worst = max(np.flatnonzero(chosen), key=lambda row: (-gain[row].round(12), rank[row]))
        best = min(np.flatnonzero(~chosen), key=lambda row: (-gain[row].round(12), rank[row]))
        assert gain[worst] >= gain[best] - 1e-12


@pytest.mark.parametrize("selection", [None, "dual"])
def test_candidates_get_exact_totals_within_floor_and_cap(selection: Selection | None) -> None:
    allocator = CeroAllocator(CeroConfig(**SMALL | {"max_rollouts_per_prompt": 16}, selection=selection))
    rng = np.random.default_rng(0)
    for _ in range(40):
        rows = rng.choice(50, size=10, replace=False)
        allocation = allocator.allocate(rows, total=80)
        np.testing.assert_array_equal(allocation.prompt_ids, rows)
        assert allocation.total == 80
        assert ((allocation.counts >= 2) & (allocation.counts <= 16)).all()
        won = rng.binomial(allocation.counts, RATES[rows])
        allocator.observe(RolloutOutcomes(rows, won, allocation.counts - won))
    uncertain, certain = np.argsort(np.abs(RATES - 0.5))[[0, -1]]
    pair = allocator.allocate([certain, uncertain], total=10)
    assert pair.counts[1] > pair.counts[0]


def test_the_price_limits_candidates_when_no_total_is_given() -> None:
    allocator = CeroAllocator(CeroConfig(**SMALL | {"max_rollouts_per_prompt": 16}))
    totals = [counts.sum() for counts in play(allocator, 40, RATES, row_ids=np.arange(50)[:12])]
    assert min(totals) < max(totals) <= allocator.config.round_capacity
    assert min(totals) >= 24  # the floor stands whatever the price


def test_without_a_floor_candidates_get_none_or_a_group() -> None:
    allocator = CeroAllocator(CeroConfig(**SMALL, min_rollouts_per_prompt=0))
    for counts in play(allocator, 30, RATES, row_ids=np.arange(20), total=53):
        assert counts.sum() == 53
        assert not (counts == 1).any()
    assert (counts[:20] == 0).any()


def test_the_units_change_nothing_but_the_granularity() -> None:
    runs = [
        play(CeroAllocator(CeroConfig(num_prompts=50, rounds=40, budget=3200, rollouts_per_unit=g)), 40, RATES)
        for g in (1, 2, 4, 8)
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run, runs[0])


@pytest.mark.parametrize(
    ("rows", "total", "remedy"),
    [
        (None, 7, "multiple of rollouts_per_unit"),
        (None, 1000, "larger capacity"),
        (None, 10**6, "remain; ask for fewer"),
        (None, -4, "0 or more"),
        ([1, 2], 4, "at least 4"),
        ([1, 2], 20, "at most 8"),
        (list(range(50)), None, "candidates needs 200 to 400"),
    ],
)
def test_rounds_that_cannot_be_dealt_are_refused_and_change_nothing(
    rows: list[int] | None, total: int, remedy: str
) -> None:
    config = CeroConfig(num_prompts=50, rounds=40, budget=3200, rollouts_per_unit=4, max_rollouts_per_prompt=8)
    refused, other = CeroAllocator(config), CeroAllocator(config)
    for allocator in (refused, other):
        allocation = allocator.allocate()
        if allocator is refused:
            with pytest.raises(BudgetError, match=remedy):
                allocator.allocate(rows, total)
        won = np.rint(RATES[allocation.prompt_ids] * allocation.counts)
        allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won))
    np.testing.assert_array_equal(play(refused, 10, RATES), play(other, 10, RATES))


def test_both_scopes_share_one_training() -> None:
    allocator = CeroAllocator(CeroConfig(**SMALL))
    for k in range(30):
        allocation = allocator.allocate(*((np.arange(k, k + 10), 80) if k % 2 else ()))
        won = np.rint(RATES[allocation.prompt_ids] * allocation.counts)
        allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won))
        metrics = allocator.metrics()
        assert metrics["budget_spent"] + metrics["budget_remaining"] == 3210
        assert allocator.exposure().sum() == metrics["budget_spent"]


def forgetful(clock: Literal["round", "visit"], keep: float = 0.5) -> CeroAllocator:
    return CeroAllocator(CeroConfig(**SMALL, forgetting=keep, forgetting_clock=clock))


def evidence(allocator: CeroAllocator, row: int) -> tuple[float, float]:
    state = allocator.state_dict()
    return state["successes"][row], state["failures"][row]


def test_forgetting_by_round_ticks_for_everybody() -> None:
    allocator = forgetful("round")
    allocator.allocate([3, 4], total=16)
    allocator.observe(RolloutOutcomes([3, 4], [8, 4], [0, 4]))
    assert evidence(allocator, 3) == (8, 0)
    allocator.allocate([4, 5], total=16)
    assert evidence(allocator, 3) == (4, 0)
    allocator.observe(RolloutOutcomes([4], [0], [8]))
    assert evidence(allocator, 4) == (2, 10)


def test_forgetting_by_visit_ticks_once_for_the_visited() -> None:
    allocator = forgetful("visit")
    allocator.allocate([3, 4], total=16)
    allocator.observe(RolloutOutcomes([3, 4], [8, 4], [0, 4]))
    allocator.allocate([4, 5], total=16)
    allocator.observe(RolloutOutcomes([4], [0], [3]))
    allocator.observe(RolloutOutcomes([4], [0], [5]))  # the same visit
    assert evidence(allocator, 3) == (8, 0)
    assert evidence(allocator, 4) == (2, 10)


def test_late_evidence_weighs_what_it_would_have_weighed_in_time() -> None:
    late, timely = forgetful("round", 0.7), forgetful("round", 0.7)
    for allocator in (late, timely):
        allocator.allocate([3, 4], total=16)
    timely.observe(RolloutOutcomes([3, 4], [8, 4], [0, 4], round=0))
    for allocator in (late, timely):
        allocator.allocate([6, 8], total=16)
        allocator.allocate([7, 9], total=16)
    late.observe(RolloutOutcomes([3, 4], [8, 4], [0, 4], round=0))
    for row in (3, 4):
        assert evidence(late, row) == pytest.approx(evidence(timely, row))


def test_a_zero_round_moves_the_price_and_time() -> None:
    allocator = CeroAllocator(CeroConfig(**SMALL, initial_price=1.0))
    prices = []
    for _ in range(3):
        assert allocator.allocate().total == 0
        prices.append(allocator.metrics()["budget_price"])
    assert prices == sorted(prices, reverse=True)
    assert prices[-1] < prices[0]
    assert allocator.metrics()["round"] == 3


def test_async_rounds_close_with_the_evidence_at_hand() -> None:
    allocator = CeroAllocator(CeroConfig(**SMALL))
    first, second, third = allocator.allocate(), allocator.allocate(), allocator.allocate()
    assert allocator.metrics()["outstanding"] == first.total + second.total + third.total
    for allocation in (second, third, first):
        zeros = np.zeros(allocation.counts.size)
        allocator.observe(RolloutOutcomes(allocation.prompt_ids, zeros, allocation.counts, round=allocation.round))
    assert allocator.metrics()["outstanding"] == 0
    assert allocator.state_dict()["failures"].sum() == allocator.metrics()["budget_spent"]


def test_refunds_return_to_the_budget_and_are_spent_again() -> None:
    allocator = CeroAllocator(CeroConfig(num_prompts=50, rounds=40, budget=3200))
    lost, rng = 0, np.random.default_rng(0)
    for _ in range(60):
        allocation = allocator.allocate()
        if allocation.total == 0:
            continue
        failed = rng.binomial(allocation.counts, 0.05)
        allocator.refund(allocation.prompt_ids, failed, round=allocation.round)
        lost += failed.sum()
        done = allocation.counts - failed
        won = rng.binomial(done, RATES[allocation.prompt_ids])
        allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, done - won, round=allocation.round))
    metrics = allocator.metrics()
    assert metrics["budget_refunded"] == lost > 0
    assert metrics["budget_spent"] == 3200
    assert allocator.exposure().sum() == 3200


def test_it_favours_prompts_of_uncertain_outcome() -> None:
    rates = np.concatenate([np.zeros(200), np.ones(100), np.full(100, 0.5)])
    allocator = CeroAllocator(CeroConfig(num_prompts=400, rounds=200, budget=12_800))
    play(allocator, 200, rates)
    exposure = allocator.exposure()
    assert exposure[300:].mean() > 1.5 * exposure[:300].mean()


def test_the_metrics_are_the_contracts() -> None:
    metrics = CeroAllocator(CeroConfig(**SMALL)).metrics
    assert set(metrics()) >= {
        *("round", "budget", "budget_spent", "budget_refunded", "budget_remaining"),
        *("signal", "tokens", "decidable"),
        *("budget_price", "effective_group_rate", "mean_variance_proxy"),
    }
    assert metrics()["mean_variance_proxy"] == pytest.approx(1 / 6)


def test_the_citation_names_both_papers() -> None:
    citation = CeroAllocator(CeroConfig(**SMALL)).citation()
    assert "2606.05606" in citation
    assert "2610.09679" in citation
