"""Threads that share an allocator: every call is done as a whole, and a checkpoint is of one moment."""

import copy
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cero_api import (
    CeroAllocator,
    CeroConfig,
    RolloutOutcomes,
    available_allocators,
    load_allocator,
    make_allocator,
    save_allocator,
)

POOL, THREADS, ROUNDS = 50, 4, 60


@pytest.fixture(autouse=True)
def _hasty() -> Iterator[None]:
    """Threads take turns as often as the interpreter can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def at_once(works: list[Callable[[], None]]) -> None:
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("name", available_allocators(waves=1))
def test_threads_lose_nothing(name: str, tmp_path: Path) -> None:
    allocator = make_allocator(name, num_prompts=POOL, rounds=300, budget=300 * 32)
    given = [np.zeros(POOL, dtype=np.int64) for _ in range(THREADS)]
    won = [np.zeros(POOL) for _ in range(THREADS)]
    rounds: list[int] = []

    def train(thread: int) -> None:
        rng = np.random.default_rng(thread)
        for _ in range(ROUNDS):
            allocation = allocator.allocate(rng.permutation(POOL)[:4])
            rounds.append(allocation.round)
            ids, counts, half = allocation.prompt_ids, allocation.counts, allocation.counts // 2
            allocator.observe(RolloutOutcomes(ids, half, counts - half - counts // 4, round=allocation.round))
            allocator.refund(ids, counts // 4, round=allocation.round)
            given[thread][ids] += counts - counts // 4
            won[thread][ids] += half

    def watch() -> None:
        for _ in range(ROUNDS):
            numbers = allocator.metrics()
            assert numbers["budget_spent"] + numbers["budget_remaining"] == numbers["budget"]
            saved = load_allocator(save_allocator(allocator, tmp_path / "allocator.npz"))
            assert saved.exposure().sum() == saved.metrics()["budget_spent"]

    works: list[Callable[[], None]] = [lambda thread=thread: train(thread) for thread in range(THREADS)]  # type: ignore[misc]
    at_once([*works, watch])
    assert sorted(rounds) == list(range(THREADS * ROUNDS))
    np.testing.assert_array_equal(allocator.exposure(), sum(given))
    if name != "mopps":  # which forgets
        np.testing.assert_array_equal(allocator.state_dict()["successes"], sum(won))
    assert allocator.metrics()["outstanding"] == 0


def test_a_state_is_checked_while_nobody_deals() -> None:
    """It is held against the present one, in which a round must not come to be meanwhile."""
    allocator = CeroAllocator(CeroConfig(num_prompts=POOL, rounds=10, budget=320))
    state, checked = allocator.state_dict(), threading.Event()

    def check() -> None:
        allocator.check_state(state)
        checked.set()

    thread = threading.Thread(target=check)
    with vars(allocator)["_lock"]:
        thread.start()
        assert not checked.wait(0.3)
    thread.join()
    assert checked.is_set()


@pytest.mark.parametrize("name", available_allocators(waves=1))
def test_copies_do_not_share_the_lock(name: str) -> None:
    allocator = make_allocator(name, num_prompts=POOL, rounds=10, budget=320)
    allocator.allocate()
    for copied in (copy.copy(allocator), copy.deepcopy(allocator), pickle.loads(pickle.dumps(allocator))):
        with vars(allocator)["_lock"]:
            works: list[Callable[[], None]] = [lambda copied=copied: copied.allocate([1, 2]) and None]  # type: ignore[misc]
            at_once(works)
