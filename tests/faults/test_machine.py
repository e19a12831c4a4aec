"""Any order of calls, on every allocator: the books balance, nothing is counted twice, a checkpoint is the run."""

import contextlib
import copy
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from cero_api import (
    Allocation,
    BatchConfig,
    BudgetError,
    CeroConfig,
    InvalidOutcomeError,
    RolloutAllocator,
    RolloutOutcomes,
    UniformConfig,
    available_allocators,
    load_allocator,
    make_allocator,
    save_allocator,
)

POOL = 10
SIZE: dict[str, Any] = {"num_prompts": POOL, "rounds": 40, "budget": 960, "seed": 3}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in available_allocators(waves=1)},
    "cero, units of 4": ("cero", {"rollouts_per_unit": 4}),
    "cero, floor of 0": ("cero", {"min_rollouts_per_prompt": 0}),
    "cero, floor of 1": ("cero", {"min_rollouts_per_prompt": 1}),
    "cero, cap of 8": ("cero", {"max_rollouts_per_prompt": 8}),
    "random_matched, floor of 1": ("random_matched", {"min_rollouts_per_prompt": 1}),
    "cero, marginal": ("cero", {"selection": "marginal"}),
    "cero, dual": ("cero", {"selection": "dual"}),
    "cero, fixed": ("cero", {"pacing": "fixed"}),
    "cero, scheduled": ("cero", {"pacing": (0, 48, 24, 24) * 10, "capacity": 48}),
    "cero, forgetful": ("cero", {"forgetting": 0.9}),
    "cero, forgetful at visits": ("cero", {"forgetting": 0.9, "forgetting_clock": "visit"}),
    "knapsack, floor of 0": ("knapsack", {"min_rollouts_per_prompt": 0}),
    "knapsack, floor of 1": ("knapsack", {"min_rollouts_per_prompt": 1}),
    "hora, 7 or 8": ("hora", {"min_rollouts_per_prompt": 7, "max_rollouts_per_prompt": 8}),
    "gvm, floor of 1": ("gvm", {"min_rollouts_per_prompt": 1}),
    "vip, rloo": ("vip", {"estimator": "rloo"}),
}
# Random rounds leave nothing to decide now and then, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:.*there is nothing to decide:cero_api.CeroWarning")
every_variant = pytest.mark.parametrize("variant", VARIANTS)

# Steps of the long run; CONTRIBUTING.md says how to ask for a million.
STEPS = int(os.environ.get("CERO_STEPS", "2000"))
LIFE = 150  # steps of one allocator in the long run

Group = tuple[int, int]  # round, prompt


class Books:
    """What an allocator's numbers must be, kept by the simplest means; every action takes its choices from a seed.

    A twin gets the same calls and is never saved nor loaded, so that a checkpoint which is not the whole state shows.
    """

    def __init__(self, variant: str, folder: Path) -> None:
        name, options = VARIANTS[variant]
        self.allocator = make_allocator(name, **SIZE, **options)
        self.twin = make_allocator(name, **SIZE, **options)
        self.folder = folder
        self.round = self.refunded = 0
        self.dealt = np.zeros(POOL, dtype=np.int64)
        self.out: dict[Group, int] = {}
        # Round, prompt, won, lost, squares, visits by then.
        self.reports: list[tuple[int, int, float, float, float, int]] = []
        self.earned: dict[Group, list[float]] = {}  # share of a success of every rollout
        self.visits: dict[int, int] = defaultdict(int)
        self.saved: Path | None = None
        self.then: Books | None = None  # what the books were when they were saved

    def allocate(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows = None if rng.random() < 0.4 else rng.permutation(POOL)[: rng.integers(0, 9)]
        total = None if rng.random() < 0.5 else int(rng.integers(0, rng.choice([5, 20, 60])))
        if total is not None and rng.random() < 0.5:
            total = total // 4 * 4
        left, unchanged = SIZE["budget"] - int(self.dealt.sum()), self.allocator.state_dict()
        try:
            allocation = self.allocator.allocate(rows, total)
        except BudgetError:
            assert rows is not None or total is not None
            assert same(self.allocator.state_dict(), unchanged)
            with pytest.raises(BudgetError):
                self.twin.allocate(rows, total)
            return
        self.twin.allocate(rows, total)
        self._check_allocation(allocation, rows, total, left)
        self.dealt[allocation.prompt_ids] += allocation.counts
        for prompt, count in zip(allocation.prompt_ids.tolist(), allocation.counts.tolist(), strict=True):
            if count:
                self.out[self.round, prompt] = count
        self.round += 1

    def observe(self, seed: int) -> None:
        """Rewards of any round that is still open, a part of them or all, whole or graded."""
        rng = np.random.default_rng(seed)
        round, prompts, counts = self._some(rng)
        of_rollout, kind = np.repeat(prompts, counts), rng.random()
        if kind < 0.6:
            shares = (rng.random(of_rollout.size) < rng.random()).astype(float)
        elif kind < 0.8:
            shares = rng.random(of_rollout.size)
        else:  # such as never differ
            shares = np.repeat(rng.integers(0, 11, prompts.size) / 10, counts)
        outcomes = RolloutOutcomes.from_rewards(of_rollout, shares, round=round, reward_range=(0, 1))
        for place, prompt in enumerate(outcomes.prompt_ids.tolist()):
            before = self.earned.setdefault((round, prompt), [])
            self.visits[prompt] += not before
            before += shares[of_rollout == prompt].tolist()
            sums = (outcomes.successes[place], outcomes.failures[place], outcomes.squares[place])
            self.reports.append((round, prompt, *sums, self.visits[prompt]))
        self._take(round, prompts, counts)
        self._both(lambda allocator: allocator.observe(outcomes))

    def refund(self, seed: int) -> None:
        round, prompts, counts = self._some(np.random.default_rng(seed))
        self._take(round, prompts, counts)
        self.dealt[prompts] -= counts
        self.refunded += int(counts.sum())
        self._both(lambda allocator: allocator.refund(prompts, counts, round=round))

    def report_too_much(self, seed: int) -> None:
        """Outcomes or refunds for the second time, of another round, or of nobody: refused, and nothing changes."""
        if self.round == 0:
            return
        rng = np.random.default_rng(seed)
        round, prompt = int(rng.integers(0, self.round + 1)), int(rng.integers(0, POOL))
        excess = self.out.get((round, prompt), 0) + int(rng.integers(1, 3))
        before = self.allocator.state_dict()
        with pytest.raises(InvalidOutcomeError):
            self.allocator.observe(RolloutOutcomes([prompt], [excess], [0], round=round))
        with pytest.raises(InvalidOutcomeError):
            self.allocator.refund([prompt], [excess], round=round)
        assert same(self.allocator.state_dict(), before)

    def save(self, seed: int) -> None:
        self.saved = save_allocator(self.allocator, self.folder / "allocator.npz")
        self.then = self._copy()
        loaded = load_allocator(self.saved)
        assert loaded.config == self.allocator.config
        assert same(loaded.state_dict(), self.allocator.state_dict())
        self.allocator = loaded

    def load(self, seed: int) -> None:
        """Back to the last checkpoint, as a training that was killed."""
        if self.then is None or self.saved is None:
            return
        vars(self).update(vars(self.then._copy()) | {"then": self.then, "saved": self.saved})
        self.allocator = load_allocator(self.saved)

    def check(self) -> None:
        """All that must hold after any call."""
        state, metrics, config = self.allocator.state_dict(), self.allocator.metrics(), self.allocator.config
        assert same(state, self.twin.state_dict())
        assert metrics["round"] == self.round
        assert metrics["budget_spent"] == self.dealt.sum()
        assert metrics["budget_spent"] + metrics["budget_remaining"] == metrics["budget"] == SIZE["budget"]
        assert metrics["budget_remaining"] >= 0
        assert metrics["budget_refunded"] == self.refunded
        assert metrics["outstanding"] == sum(self.out.values())
        closed = [earned for group, earned in self.earned.items() if group not in self.out]
        effective = sum(max(shares) - min(shares) > 1e-5 for shares in closed)
        assert metrics["effective_group_rate"] == effective / max(len(closed), 1)
        assert (self.allocator.exposure() == self.dealt).all()
        won, lost, squares = self._evidence()
        assert close(state["successes"], won)
        assert close(state["failures"], lost)
        assert close(won - squares, state["graded"] if state["graded"].size else np.zeros(POOL))
        a, b = config.prior
        assert close(self.allocator.success_rate(), (a + won) / (a + b + won + lost))

    def _check_allocation(self, allocation: Allocation, rows: np.ndarray | None, total: int | None, left: int) -> None:
        ids, counts, config = allocation.prompt_ids, allocation.counts, self.allocator.config
        assert allocation.round == self.round
        assert np.unique(ids).size == ids.size
        assert allocation.total <= left
        assert total in (None, allocation.total)
        if rows is None:
            assert (counts > 0).all()
        else:
            np.testing.assert_array_equal(ids, rows)
        if isinstance(config, UniformConfig):
            if rows is not None and total is not None:
                assert np.ptp(counts) <= 1 if counts.size else not total
            else:
                assert counts.max(initial=0) <= config.rollouts_per_prompt
            return
        floor, cap = config.limits(None if rows is None else rows.size, total)
        assert (counts <= cap).all()
        if isinstance(config, CeroConfig):
            assert allocation.total <= config.round_capacity
            assert not (counts % config.rollouts_per_unit).any()
            floor = floor if allocation.total else 0
        # The floor gives way only where the budget ends, and never where a total was asked for.
        if total is not None or allocation.total < left:
            assert (counts >= floor).all()
            single = (counts == 1).any() and rows is not None and not isinstance(config, BatchConfig)
            assert not single or floor == 1 or cap < 3 or allocation.total == 1  # where there is no other way

    def _copy(self) -> "Books":
        """Without the allocator, which is on disk."""
        books = copy.copy(self)
        for name in ("dealt", "out", "reports", "visits"):
            setattr(books, name, getattr(self, name).copy())
        books.earned = {group: shares.copy() for group, shares in self.earned.items()}
        books.twin = copy.deepcopy(self.twin)
        return books

    def _some(self, rng: np.random.Generator) -> tuple[int, np.ndarray, np.ndarray]:
        """Some groups of one open round, and some rollouts of each."""
        if not self.out:
            return max(self.round - 1, 0), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        rounds = sorted({round for round, _ in self.out})
        round = int(rng.choice(rounds))
        prompts = np.array([prompt for r, prompt in sorted(self.out) if r == round])
        prompts = rng.permutation(prompts)[: rng.integers(1, prompts.size + 1)]
        most = np.array([self.out[round, prompt] for prompt in prompts.tolist()])
        return round, prompts, most if rng.random() < 0.5 else rng.integers(0, most + 1)

    def _take(self, round: int, prompts: np.ndarray, counts: np.ndarray) -> None:
        for prompt, count in zip(prompts.tolist(), counts.tolist(), strict=True):
            if count:
                self.out[round, prompt] -= count
                if not self.out[round, prompt]:
                    del self.out[round, prompt]

    def _both(self, call: Callable[[RolloutAllocator], None]) -> None:
        call(self.allocator)
        call(self.twin)

    def _evidence(self) -> np.ndarray:
        """Every report since the beginning, weighed by what has happened since: won, lost and squares, `[3, POOL]`."""
        config, evidence = self.allocator.config, np.zeros((3, POOL))
        if not self.reports:
            return evidence
        rounds, prompts, *sums, visits = (np.array(column) for column in zip(*self.reports, strict=True))
        keep = getattr(config, "forgetting", 1.0)
        if getattr(config, "forgetting_clock", "visit") == "visit":
            age = np.array([self.visits[prompt] for prompt in prompts.tolist()]) - visits
        else:
            age = self.round - 1 - rounds
        for row, column in zip(evidence, sums, strict=True):
            np.add.at(row, prompts, column * keep**age)
        return evidence


ACTIONS: tuple[Callable[[Books, int], None], ...] = (
    *(Books.allocate, Books.allocate, Books.observe, Books.observe, Books.observe),
    *(Books.refund, Books.report_too_much, Books.save, Books.load),
)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def close(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal up to rounding; numpy.testing has the better message and takes most of the time of a long run."""
    return bool((np.abs(one - other) < 1e-9).all())


class Machine(RuleBasedStateMachine):
    """Hypothesis looks for the shortest sequence of calls after which the books are wrong."""

    seeds = st.integers(0, 2**32 - 1)

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.books = Books(variant, Path(self.stack.enter_context(tempfile.TemporaryDirectory())))

    def teardown(self) -> None:
        self.stack.close()

    @rule(seed=seeds)
    def allocate(self, seed: int) -> None:
        self._do(Books.allocate, seed)

    @rule(seed=seeds)
    def observe(self, seed: int) -> None:
        self._do(Books.observe, seed)

    @rule(seed=seeds)
    def refund(self, seed: int) -> None:
        self._do(Books.refund, seed)

    @rule(seed=seeds)
    def report_too_much(self, seed: int) -> None:
        self._do(Books.report_too_much, seed)

    @rule()
    def save(self) -> None:
        self._do(Books.save, 0)

    @rule()
    def load(self) -> None:
        self._do(Books.load, 0)

    def _do(self, action: Callable[[Books, int], None], seed: int) -> None:
        action(self.books, seed)
        self.books.check()


@every_variant
def test_no_sequence_of_calls_unbalances_the_books(variant: str) -> None:
    machine: Any = lambda: Machine(variant)  # noqa: E731 - a function is typed, and the parameter wants a class
    run_state_machine_as_test(machine, settings=settings(max_examples=6, stateful_step_count=40))


def test_many_random_lives_keep_their_books(tmp_path: Path) -> None:
    rng, names = np.random.default_rng(STEPS), list(VARIANTS)
    for step in range(STEPS):
        if step % LIFE == 0:
            variant = names[step // LIFE % len(names)]
            books = Books(variant, tmp_path)
        action, seed = ACTIONS[rng.integers(len(ACTIONS))], int(rng.integers(2**32))
        try:
            action(books, seed)
            books.check()
        except BaseException as error:
            error.add_note(f"{variant}, step {step}: {action.__name__}({seed})")
            raise
