"""How a generation falls into training batches, and what is cut so that nobody waits for ever."""

from __future__ import annotations

import itertools
import pickle
import random
import subprocess
import sys
from typing import Any

import pytest
from ray import cloudpickle

from cero_openrlhf.counts import assigned, batches, in_batches
from cero_openrlhf.tickets import Batch, Ticket
from integration_tests.openrlhf import made


def uids(samples: list[Any]) -> list[int]:
    return [sample.prompts[0].uid for sample in samples]


def test_ticket_is_its_text_and_survives_pickling() -> None:
    ticket = Ticket("2+3=", uid=3, row=5, rollouts=7, chunk=1)
    assert ticket.count("+") == 1
    for copy in (pickle.loads(pickle.dumps(ticket)), cloudpickle.loads(cloudpickle.dumps([ticket]))[0]):
        assert (copy, copy.uid, copy.row, copy.rollouts, copy.chunk) == ("2+3=", 3, 5, 7, 1)


def test_engines_and_queues_load_nothing_to_unpickle_them() -> None:
    code = "import sys, cero_openrlhf.tickets; print({'torch', 'ray', 'numpy', 'pydantic'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


def test_batch_is_a_list_and_carries_numbers_through_pickling() -> None:
    copy = pickle.loads(pickle.dumps(Batch([1, 2], {"round": 3.0})))
    assert (copy, copy.metrics) == ([1, 2], {"round": 3.0})


@pytest.mark.parametrize(
    ("prompts", "size", "waiting", "expected"),
    [(4, 4, 0, [4]), (7, 4, 0, [4, 3]), (7, 4, 1, [3, 4]), (2, 4, 1, [2]), (12, 4, 0, [4, 4, 4]), (6, 4, 2, [2, 4])],
)
def test_batches(prompts: int, size: int, waiting: int, expected: list[int]) -> None:
    assert [place.stop - place.start for place in batches(prompts, size, waiting)] == expected


@pytest.mark.parametrize("seed", range(20))
def test_complete_batches_stay_whole_whatever_finishes_first(seed: int) -> None:
    chunks = [[2, 6, 4, 4], [8, 2, 3, 3], [4, 4, 4, 4]]
    numbers = itertools.count()
    groups = [
        [made.sample(made.ticket(uid, count, chunk=chunk))] * count
        for chunk, counts in enumerate(chunks)
        for count, uid in zip(counts, numbers, strict=False)
    ]
    random.Random(seed).shuffle(groups)
    ordered = in_batches([sample for group in groups for sample in group], size=16, waiting=0)
    for chunk in range(3):
        assert {sample.prompts[0].chunk for sample in ordered[16 * chunk : 16 * chunk + 16]} == {chunk}


@pytest.mark.parametrize("seed", range(20))
def test_what_filtering_leaves_is_cut_between_groups(seed: int) -> None:
    rng = random.Random(seed)
    counts = [rng.randint(2, 8) for _ in range(11)]
    samples = [
        made.sample(made.ticket(uid, count, chunk=uid // 4)) for uid, count in enumerate(counts) for _ in range(count)
    ]
    waiting = rng.choice([0, 4, 8])
    ordered = uids(in_batches(samples, size=16, waiting=waiting))
    cuts = [0, *range(16 - waiting, len(ordered), 16), len(ordered)]
    parts = [set(ordered[start:stop]) for start, stop in itertools.pairwise(cuts)]
    assert sum(map(len, parts)) == len(set.union(*parts))  # no group in two batches
    assert len(samples) - len(ordered) < 8 * len(cuts)  # at most the end of one group per cut is lost


def test_assigned_balances_uneven_groups() -> None:
    counts = [8, 2, 2, 2, 2]
    engine = assigned(counts, [0, 0])
    loads = [sum(count for count, e in zip(counts, engine, strict=True) if e == i) for i in range(2)]
    assert loads == [8, 8]
    assert assigned([2, 2], [10, 0]) == [1, 1]  # the busy engine gets nothing
