"""An exception at any line of a call (Ctrl-C, an alarm): it is done whole or not at all; so are copies and forks."""

import copy
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import cero_api
from cero_api import (
    CeroError,
    CheckpointError,
    RolloutAllocator,
    RolloutOutcomes,
    UniformAllocator,
    available_allocators,
    load_allocator,
    make_allocator,
    save_allocator,
)
from cero_api.analysis.history import read_history
from cero_api.trace import TraceWriter

OURS = str(Path(cero_api.__file__).parent)
SIZE: dict[str, Any] = {"num_prompts": 20, "rounds": 40, "budget": 1920, "seed": 2}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in available_allocators(waves=1)},
    "cero, forgetful": ("cero", {"forgetting": 0.9}),
    "cero, forgetful at visits": ("cero", {"forgetting": 0.9, "forgetting_clock": "visit"}),
    "cero, dual": ("cero", {"selection": "dual"}),
    "cero, marginal": ("cero", {"selection": "marginal"}),
    "cero, pooled": ("cero", {"belief": "pooled"}),
    "vip, pooled, from a window": ("vip", {"belief": "pooled", "offer": "window", "window": 2}),
}


class Interrupt(BaseException):
    """What a signal's handler raises."""


def stop() -> None:
    raise Interrupt


def interrupted(call: Callable[[], object], line: int, handler: Callable[[], object] = stop) -> bool:
    """Run a call and a handler at the n-th line of ours that it comes to; whether that raised."""
    left = [line]

    def at_line(frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            left[0] -= 1
            if left[0] < 0:
                sys.settrace(None)
                handler()
        return at_line

    def at_call(frame: FrameType, event: str, argument: object) -> Any:
        return at_line if frame.f_code.co_filename.startswith(OURS) else None

    before = sys.gettrace()
    sys.settrace(at_call)
    try:
        call()
    except Interrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def outcomes(allocation: cero_api.Allocation) -> RolloutOutcomes:
    ids, counts = allocation.prompt_ids, allocation.counts
    won = np.minimum((ids + allocation.round) % 5, counts)
    return RolloutOutcomes(ids, won, counts - won, round=allocation.round)


def played(variant: str) -> tuple[RolloutAllocator, cero_api.Allocation]:
    """A training under way, and the round of it whose rewards are still to come."""
    name, options = VARIANTS[variant]
    allocator = make_allocator(name, **SIZE, **options)
    for k in range(4):
        rows = None if k % 2 else np.arange(3 * k, 3 * k + 6)
        allocator.observe(outcomes(allocator.allocate(rows, total=None if k % 2 else 36)))
    return allocator, allocator.allocate(range(6), total=36)


def follow(allocator: RolloutAllocator) -> list[Any]:
    """What it deals from here on: nothing that is kept beside the state may have suffered."""
    dealt = []
    for k in range(3):
        allocation = allocator.allocate(None if k % 2 else range(k, k + 7), total=None if k % 2 else 40)
        allocator.observe(outcomes(allocation))
        dealt.append([allocation.prompt_ids.tolist(), allocation.counts.tolist(), allocator.metrics()])
    return dealt


CALLS: dict[str, Callable[[RolloutAllocator, cero_api.Allocation], object]] = {
    "allocate": lambda allocator, _: allocator.allocate(),
    "allocate candidates": lambda allocator, _: allocator.allocate(range(4, 12), total=48),
    "observe": lambda allocator, allocation: allocator.observe(outcomes(allocation)),
    "refund": lambda allocator, allocation: allocator.refund([1, 2], [1, 2], round=allocation.round),
    "load_state_dict": lambda allocator, _: allocator.load_state_dict(make_allocator_like(allocator).state_dict()),
    "state_dict": lambda allocator, _: allocator.state_dict(),
    "deepcopy": lambda allocator, _: copy.deepcopy(allocator),
}


def make_allocator_like(allocator: RolloutAllocator) -> RolloutAllocator:
    kind: Any = type(allocator)
    other: RolloutAllocator = kind(allocator.config)
    other.observe(outcomes(other.allocate()))
    return other


WRITING = ("allocate", "allocate candidates", "observe", "refund")


@pytest.mark.parametrize(
    ("variant", "call"),
    [(variant, call) for variant in VARIANTS for call in CALLS if call in WRITING or variant in ("cero", "knapsack")],
)
def test_a_call_that_was_interrupted_happened_whole_or_not_at_all(variant: str, call: str) -> None:
    undisturbed, allocation = played(variant)
    before = undisturbed.state_dict()
    unchanged = follow(copy.deepcopy(undisturbed))
    CALLS[call](undisturbed, allocation)
    after, changed = undisturbed.state_dict(), follow(undisturbed)
    start, allocation = played(variant)
    # Where there are more than fifty lines, every second or third of them.
    count = sum(1 for _ in lines(lambda: CALLS[call](copy.deepcopy(start), allocation)))
    for line in range(len(variant) % (1 + count // 50), count + 2, 1 + count // 50):
        allocator = copy.deepcopy(start)
        stopped = interrupted(lambda allocator=allocator: CALLS[call](allocator, allocation), line)  # type: ignore[misc]
        state = allocator.state_dict()
        assert same(state, before) or same(state, after), f"line {line}"
        assert stopped or same(state, after)
        assert follow(allocator) == (changed if same(state, after) else unchanged), f"line {line}"


def test_an_interrupt_while_the_changes_of_another_are_finished_is_no_matter() -> None:
    """Ctrl-C, and again while the call after it mends what the first one left."""
    for first in range(30):
        for second in range(12):
            allocator, allocation = played("cero, dual")
            before = allocator.state_dict()
            twin = copy.deepcopy(allocator)
            twin.observe(outcomes(allocation))
            interrupted(lambda: allocator.observe(outcomes(allocation)), 60 + first)  # noqa: B023 - run at once
            interrupted(allocator.metrics, second)
            state = allocator.state_dict()
            assert same(state, before) or same(state, twin.state_dict())


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no alarms")
def test_alarms_at_random_moments_leave_the_books_whole(tmp_path: Path) -> None:
    """What a user does: a loop, stopped by a signal, saved, and gone on with."""

    allocator = make_allocator("cero", num_prompts=2000, rounds=4000, budget=4000 * 64, forgetting=0.99)
    previous = signal.signal(signal.SIGALRM, lambda *_: stop())
    rng, stops = np.random.default_rng(0), 0
    try:
        for _ in range(200):
            try:
                signal.setitimer(signal.ITIMER_REAL, float(rng.uniform(1e-4, 2e-3)))
                while True:
                    allocator.observe(outcomes(allocator.allocate()))
            except Interrupt:
                stops += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            metrics = allocator.metrics()
            assert allocator.exposure().sum() == metrics["budget_spent"]
            again = load_allocator(save_allocator(allocator, tmp_path / "allocator.npz"))
            assert same(again.state_dict(), allocator.state_dict())
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert stops == 200


def test_a_call_inside_a_call_is_refused_and_the_outer_one_is_not_done() -> None:
    """A handler that deals or books while the same thread is dealing; one that reads or saves is welcome."""
    allocator, allocation = played("cero")
    twin, read = copy.deepcopy(allocator), list[dict[str, float]]()
    twin.observe(outcomes(allocation))

    def at_line(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_name == "_need" and not read:
            sys.settrace(None)
            read.append(allocator.metrics())
            allocator.observe(outcomes(allocation))
        return at_line

    sys.settrace(at_line)
    try:
        with pytest.raises(CeroError, match=r"allocate was interrupted.*one after the other"):
            allocator.allocate()
    finally:
        sys.settrace(None)
    assert same(allocator.state_dict(), twin.state_dict())
    assert follow(allocator) == follow(twin)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("call", ["allocate candidates", "observe"])
def test_a_handler_may_deal_at_any_line_of_a_call(variant: str, call: str) -> None:
    """Its round is dealt; the call it came into is done before it or after it, or refused and not done at all."""

    start, allocation = played(variant)
    alone, first, last, never = (copy.deepcopy(start) for _ in range(4))
    deal(alone)
    deal(first)
    CALLS[call](first, allocation)
    CALLS[call](last, allocation)
    deal(last)
    CALLS[call](never, allocation)
    count = sum(1 for _ in lines(lambda: CALLS[call](copy.deepcopy(start), allocation)))
    for line in range(0, count, 1 + count // 50):
        allocator, possible = copy.deepcopy(start), [first, last]
        try:
            interrupted(partial(CALLS[call], allocator, allocation), line, partial(deal, allocator))
        except CeroError:
            possible = [alone]
        state = allocator.state_dict()
        if same(state, never.state_dict()):
            assert line > count // 2  # it has fewer lines than it and the copying
            break
        assert any(same(state, one.state_dict()) for one in possible), f"line {line}"


def deal(allocator: RolloutAllocator) -> None:
    allocator.allocate([15, 17, 19], total=18)


class Careless(UniformAllocator):
    """Writes into its state, and gets it wrong."""

    def refund(self, prompt_ids: Any, counts: Any, round: int | None = None) -> None:
        self._state.exposure[prompt_ids] -= 1


def test_a_broken_state_does_not_replace_a_good_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UniformAllocator, "refund", Careless.refund)
    allocator = make_allocator("uniform", **SIZE)
    allocator.allocate([1, 2])
    path = save_allocator(allocator, tmp_path / "allocator.npz")
    good = path.read_bytes()
    allocator.refund([1], [8])
    with pytest.raises(CheckpointError, match=r"is left as it was: .*exposures sum to 15, the ledger has spent 16"):
        save_allocator(allocator, path)
    assert path.read_bytes() == good
    assert [file.name for file in tmp_path.iterdir()] == ["allocator.npz"]


def test_copies_beside_a_working_thread_are_whole() -> None:
    allocator = make_allocator("cero", num_prompts=50_000, rounds=4000, budget=4000 * 64, forgetting=0.99)
    done = threading.Event()

    def train() -> None:
        while not done.is_set():
            allocator.observe(outcomes(allocator.allocate()))

    worker = threading.Thread(target=train)
    worker.start()
    try:
        for _ in range(10):
            for copied in (copy.copy(allocator), copy.deepcopy(allocator), pickle.loads(pickle.dumps(allocator))):
                assert copied.exposure().sum() == copied.metrics()["budget_spent"]
                state = copied.state_dict()
                make_allocator("cero", allocator.config).load_state_dict(state)
                copied.observe(outcomes(copied.allocate()))
                assert not same(copied.state_dict(), state)
    finally:
        done.set()
        worker.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")  # which is what is tried here
def test_a_child_forked_while_a_thread_was_in_a_call_goes_on() -> None:
    allocator = make_allocator("cero", num_prompts=50_000, rounds=4000, budget=4000 * 64, forgetting=0.99)
    done = threading.Event()

    def train() -> None:
        while not done.is_set():
            allocator.observe(outcomes(allocator.allocate()))

    worker = threading.Thread(target=train)
    worker.start()
    try:
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                good = False
                try:
                    signal.alarm(20)  # ends a child that hangs
                    spent = allocator.metrics()["budget_spent"]
                    good = allocator.exposure().sum() == spent
                    make_allocator("cero", allocator.config).load_state_dict(allocator.state_dict())
                    good = good and allocator.allocate([1, 2], total=16).total == 16
                finally:
                    os._exit(0 if good else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            time.sleep(0.002)
    finally:
        done.set()
        worker.join()


def lines(call: Callable[[], object]) -> Iterator[None]:
    """One for every line of ours that a call comes to."""
    seen = 0

    def at_line(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal seen
        seen += event == "line"
        return at_line

    before = sys.gettrace()
    sys.settrace(lambda frame, *_: at_line if frame.f_code.co_filename.startswith(OURS) else None)
    try:
        call()
    finally:
        sys.settrace(before)
    yield from [None] * seen


class Late(TimeoutError):
    """What somebody's alarm raises: an Exception, and an OSError at that, as of a damaged file."""


def on_alarm(number: int, frame: FrameType | None) -> None:
    raise Late


def alarms(call: Callable[[], object]) -> int:
    """How many alarms, at lines of ours from the first to the last, came out as they were."""
    line = times = 0
    while True:
        try:
            interrupted(call, line, lambda: on_alarm(signal.SIGINT, sys._getframe()))
        except Late:
            line, times = line + 1 + line // 8, times + 1
        except (CeroError, OSError) as error:
            raise AssertionError(f"the alarm at line {line} came out as {error!r}") from error
        else:
            return times


# Between the opening of a file and the `with`, and where a generator is closed, an alarm leaves what Python warns of.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_an_alarm_is_not_taken_for_damage_of_a_file(tmp_path: Path) -> None:
    """What its handler raises comes out as it was, from whichever line of a reader."""
    allocator, _ = played("cero")
    path, trace = save_allocator(allocator, tmp_path / "allocator.npz"), tmp_path / "trace.jsonl"
    with TraceWriter(trace) as writer:
        writer.write(0, [0, 1], [8, 8], [3, 0])
    (tmp_path / "a.csv").write_text("id,pass_rate\nx,3/8\ny,\n")
    (tmp_path / "a.jsonl").write_text('{"id": "x", "pass_rate": 0.5}\n{"id": "y", "pass_rate": null}\n')
    (tmp_path / "1.jsonl").write_text('{"input": "x", "score": 1.0, "step": 1}\n')
    calls: list[Callable[[], object]] = [
        lambda: load_allocator(path),
        lambda: save_allocator(allocator, tmp_path / "another.npz"),
        *(partial(read_history, tmp_path / name) for name in ("trace.jsonl", "a.csv", "a.jsonl", "1.jsonl")),
        lambda: RolloutOutcomes.from_rewards([1, 2], [1.0, 0.0]),
    ]
    assert all(alarms(call) > 5 for call in calls)


def test_what_tells_of_progress_is_not_taken_for_damage_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,pass_rate\nx,3/8\n")

    def progress(share: float) -> None:
        raise ZeroDivisionError("of somebody's own")

    with pytest.raises(ZeroDivisionError, match="own"):
        read_history(tmp_path / "a.csv", progress=progress)
