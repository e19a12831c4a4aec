"""SIGKILL at random moments and inside every step of a write: nothing torn, nothing lost, nothing twice."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from cero_api import CeroAllocator, load_allocator, make_allocator
from cero_ray import Desk, DurableDesk
from tests.faults import lives

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="lives are forked, which this system cannot")

KILLS = int(os.environ.get("CERO_KILLS", "12"))

WRITING_A_CHECKPOINT = [
    *(f"numpy.lib.format.write_array {n}" for n in (0, 3, 7)),
    *("os.fsync 0", "os.fsync 1", "os.replace 0", "os.replace 5", "os.fsync 7"),
]
WRITING_A_SNAPSHOT = [
    *("os.fsync 0", "os.fsync 2", "os.replace 0", "os.replace 1", "Path.unlink 0", "Path.unlink 2"),
    *("os.fsync 4", "os.fsync 6", "os.replace 2", "os.replace 3", "Path.unlink 3", "Path.unlink 5"),
    *("durable._do 40", "durable._request 0", "durable._request 20"),
]


class Nursery:
    """Starts lives without importing the library for each."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def live(self, life: str, folder: Path, seconds: float = 600.0, place: str = "") -> int:
        """Let one live until it ends, or is killed after so many seconds; return its exit code."""
        self._stdin.write(json.dumps([life, str(folder), place]) + "\n")
        self._stdin.flush()
        pid = int(self._stdout.readline())
        if seconds < 600.0:
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return int(self._stdout.readline())

    @property
    def _stdin(self) -> IO[str]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _stdout(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with subprocess.Popen(
        [sys.executable, lives.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        yield Nursery(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def undisturbed() -> tuple[list[Any], list[dict[str, Any]]]:
    """What each round dealt and the state after it, of a training that nobody killed."""
    allocator, dealt, states = make_allocator("cero", **lives.SIZE), [], []
    states.append(allocator.state_dict())
    for _ in range(lives.ROUNDS):
        dealt.append(lives.round_of(allocator))
        states.append(allocator.state_dict())
    return dealt, states


def check_training(folder: Path, undisturbed: tuple[list[Any], list[dict[str, Any]]]) -> int:
    """The checkpoint is a whole round of the undisturbed run, and so is every round that was dealt; its number."""
    dealt, states = undisturbed
    log = folder / "log.jsonl"
    for line in log.read_text().split("\n")[:-1] if log.exists() else []:
        record = json.loads(line)
        assert record == dealt[record[0]]
    path = folder / "allocator.npz"
    if not path.exists():
        return 0
    state = load_allocator(path).state_dict()
    expected = states[state["round"]]
    assert all(np.array_equal(state[name], expected[name]) for name in expected)
    return int(state["round"])


def test_a_training_killed_at_random_moments_deals_what_it_would_have_dealt(
    nursery: Nursery, undisturbed: tuple[list[Any], list[dict[str, Any]]], tmp_path: Path
) -> None:
    rng, reached, kills = np.random.default_rng(7), 0, 0
    while kills < KILLS:
        code = nursery.live("train", tmp_path, seconds=float(rng.uniform(0.0, 0.15)))
        kills += code == -signal.SIGKILL
        now = check_training(tmp_path, undisturbed)
        assert now >= reached
        reached = now
        if code == 0:
            for path in tmp_path.iterdir():
                path.unlink()
            reached = 0
        assert code in (0, -signal.SIGKILL)
    assert nursery.live("train", tmp_path) == 0
    assert check_training(tmp_path, undisturbed) == lives.ROUNDS


@pytest.mark.parametrize("place", WRITING_A_CHECKPOINT)
def test_a_training_killed_inside_a_write_keeps_a_whole_checkpoint(
    place: str, nursery: Nursery, undisturbed: tuple[list[Any], list[dict[str, Any]]], tmp_path: Path
) -> None:
    rounds = []
    for _ in range(2):
        assert nursery.live("train", tmp_path, place=place) == -signal.SIGKILL
        rounds.append(check_training(tmp_path, undisturbed))
    assert rounds == sorted(rounds)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Desk]:
    """Folder and desk of a service that nobody killed."""
    folder = tmp_path_factory.mktemp("served")
    durable = DurableDesk(folder / "desk", CeroAllocator(lives.DESK), trace={"path": folder / "trace.jsonl"})
    lives.play(durable, folder)
    return folder, durable.desk


def check_service(folder: Path, served: tuple[Path, Desk]) -> None:
    """Whatever was dealt is what the undisturbed desk dealt, once."""
    dealt = (served[0] / "log.jsonl").read_text().splitlines()
    log = folder / "log.jsonl"
    for line in log.read_text().split("\n")[:-1] if log.exists() else []:
        assert line in dealt


def finish_service(nursery: Nursery, folder: Path, served: tuple[Path, Desk]) -> None:
    assert nursery.live("serve", folder) == 0
    check_service(folder, served)
    last = DurableDesk(folder / "desk", CeroAllocator(lives.DESK), trace={"path": folder / "trace.jsonl"})
    mine = last.metrics()
    # Summed in the order in which groups end, which the kills change.
    assert mine.pop("signal") == pytest.approx(served[1].metrics()["signal"])
    assert mine.items() <= served[1].metrics().items()  # which also books the last rewards
    ours, theirs = last.desk.allocator.state_dict(), served[1].allocator.state_dict()
    ends = "ledger.signal_sum"  # summed in the order in which groups end
    assert ours.pop(ends) == pytest.approx(theirs.pop(ends), rel=1e-12)
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    assert (folder / "trace.jsonl").read_bytes() == (served[0] / "trace.jsonl").read_bytes()


def test_a_desk_killed_at_random_moments_counts_everything_once(
    nursery: Nursery, served: tuple[Path, Desk], tmp_path: Path
) -> None:
    rng = np.random.default_rng(11)
    for _ in range(KILLS):
        assert nursery.live("serve", tmp_path, seconds=float(rng.uniform(0.0, 0.2))) in (0, -signal.SIGKILL)
        check_service(tmp_path, served)
    finish_service(nursery, tmp_path, served)


@pytest.mark.parametrize("place", WRITING_A_SNAPSHOT)
def test_a_desk_killed_inside_a_snapshot_is_continued(
    place: str, nursery: Nursery, served: tuple[Path, Desk], tmp_path: Path
) -> None:
    codes = set()
    for _ in range(2):  # the second life also reads back what the first one left
        codes.add(nursery.live("serve", tmp_path, place=place))
        check_service(tmp_path, served)
    assert -signal.SIGKILL in codes <= {0, -signal.SIGKILL}
    finish_service(nursery, tmp_path, served)
