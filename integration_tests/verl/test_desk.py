"""The desk and its journal: same question, same answer; nothing twice, nothing lost."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cero_api import CeroAllocator, CeroConfig, RolloutOutcomes, available_allocators, make_allocator
from cero_api.adapting import RoundShape, allocator_fields
from cero_api.errors import CheckpointError, PromptError, TraceError
from cero_api.rewards import SuccessRule
from cero_api.trace import TraceReader, TraceRound
from cero_ray import Desk, DurableDesk
from cero_ray.durable import restored

# Some of these desks have one ticket to deal.
pytestmark = pytest.mark.filterwarnings("ignore:.*there is nothing to decide:cero_api.CeroWarning")

CONFIG = CeroConfig(num_prompts=8, rounds=10, budget=160, saturation=0.5)


def books(desk: Desk) -> dict[str, float]:
    return {name: desk.metrics()[name] for name in ("budget_spent", "budget_refunded", "outstanding", "round")}


def answer(desk: Desk | DurableDesk, tickets: list[str], counts: list[int], rows: list[int]) -> None:
    """Prompts 1, 3, 5, 7 are solved every other time, the others never."""
    for ticket, count, row in zip(tickets, counts, rows, strict=True):
        for session in range(count):
            desk.report(ticket, session, float(row % 2 and session % 2))


def rounds(desk: Desk | DurableDesk, first: int, last: int) -> list[list[int]]:
    dealt = []
    for step in range(first, last):
        rows = [(4 * step + i) % 8 for i in range(4)]
        tickets = [f"{step}-{row}" for row in rows]
        if isinstance(desk, Desk):
            counts = desk.deal(tickets, rows, mean=4, step=step)
        else:
            counts = desk.deal(tickets, rows, 4, step, True)
        answer(desk, tickets, counts, rows)
        dealt.append(counts)
    return dealt


def test_the_desk_deals_what_the_allocator_alone_would() -> None:
    desk, alone = Desk(CeroAllocator(CONFIG)), CeroAllocator(CONFIG)
    dealt = rounds(desk, 0, 6)
    for step, counts in enumerate(dealt):
        rows = [(4 * step + i) % 8 for i in range(4)]
        allocation = alone.allocate(rows, total=16)
        assert counts == allocation.counts.tolist()
        won = [sum(row % 2 and session % 2 for session in range(n)) for row, n in zip(rows, counts, strict=True)]
        alone.observe(RolloutOutcomes(rows, won, np.array(counts) - won, round=allocation.round))
    assert any(len(set(counts)) > 1 for counts in dealt)


def test_asking_and_reporting_twice_changes_nothing() -> None:
    desk = Desk(CeroAllocator(CONFIG))
    counts = desk.deal(["a", "b"], [1, 2], mean=4)
    before = books(desk)
    assert desk.deal(["b", "a"], [2, 1], mean=4) == counts[::-1]
    assert books(desk) == before
    for _ in range(2):
        desk.report("a", 0, 1.0)
        desk.refund("a", 0)
        desk.refund("b", 1)
        desk.report("b", 1, 1.0)
    assert books(desk) == before | {"budget_spent": 7, "budget_refunded": 1, "outstanding": 6}
    desk.close("a")
    desk.close("a")
    desk.report("a", 2, 1.0)
    assert books(desk)["outstanding"] == 3
    assert desk.deal(["a"], [1], mean=4) == counts[:1]
    with pytest.raises(PromptError, match="ticket a was dealt for row 1, not 2"):
        desk.deal(["a"], [2], mean=4)


def test_tokens_of_rewarded_rollouts_are_counted_through_restarts(tmp_path: Path) -> None:
    """By the books, the trace and a successor that has but the journal; and nobody counts them where nobody did."""
    trace = {"path": str(tmp_path / "trace.jsonl")}
    fields: dict[str, Any] = {"offer": "window", "window": 2, "cost": "tokens"}
    fresh = CeroConfig(num_prompts=8, rounds=10, budget=160, max_rollouts_per_prompt=4, **fields)
    desk = DurableDesk(tmp_path / "desk", CeroAllocator(fresh), trace=trace)
    rows, counts = desk.deal_pool(["a", "b"], [0, 1], 4, 0, True)
    assert counts == [4, 4]
    for session in range(4):
        desk.report("a", session, 1.0, 100.0 + session)
    desk.report("b", 0, 0.0, 7)
    desk.report("b", 1, math.nan, 1000)  # left out with its reward
    desk.report("b", 0, 0.0, 5000)  # counts once
    files = desk.checkpoint()
    del desk
    again = DurableDesk(tmp_path / "desk", CeroAllocator(fresh), trace=trace)
    assert again.checkpoint() == files
    again.close("b")
    assert again.metrics()["tokens"] == 406 + 7
    assert again.metrics()["round_tokens_per_rollout"] == (406 + 7) / 5
    [record] = list(TraceReader(tmp_path / "trace.jsonl"))
    assert record.tokens is not None
    assert dict(zip(rows, record.tokens.tolist(), strict=True)) == {rows[0]: 406, rows[1]: 7}
    lengths = again.desk.allocator.state_dict()["parts.lengths.rollouts"]
    assert lengths[rows].tolist() == [4, 1]
    again.deal_pool(["c"], [2], 4, 1, True)
    for session in range(4):
        again.report("c", session, 1.0)
    assert again.metrics()["tokens"] == 413
    assert list(TraceReader(tmp_path / "trace.jsonl"))[1].tokens is None


def test_tickets_of_before_there_were_tokens_are_read() -> None:
    desk = Desk(CeroAllocator(CONFIG))
    desk.deal(["a"], [1], mean=4)
    desk.report("a", 0, 1.0, 9.0)
    state = json.loads(json.dumps(desk.state_dict()))
    assert state["open"]["a"].pop() == [[0, 9.0]]
    again = Desk(desk.allocator)
    again.load_state_dict(state)
    again.report("a", 1, 1.0, 9.0)
    assert again.metrics()["tokens"] == 18


def test_a_new_ticket_beside_an_old_one_is_dealt_alone() -> None:
    desk = Desk(CeroAllocator(CONFIG))
    first = desk.deal(["a", "b"], [1, 2], mean=4)
    both = desk.deal(["b", "c"], [2, 3], mean=4)
    assert both == [first[1], 4]
    assert desk.allocator.exposure().tolist() == [0, first[0], first[1], 4, 0, 0, 0, 0]


def test_a_prompt_that_comes_twice_in_a_batch_is_dealt_in_two_rounds() -> None:
    desk = Desk(CeroAllocator(CONFIG))
    counts = desk.deal(["a", "b", "c"], [1, 2, 1], mean=4)
    assert sum(counts) == 12
    assert desk.allocator.metrics()["round"] == 2
    desk.report("a", 0, 1.0)
    desk.report("c", 0, 0.0)
    assert books(desk)["outstanding"] == 10


def test_generation_goes_on_when_the_budget_is_spent() -> None:
    desk = Desk(CeroAllocator(CeroConfig(num_prompts=8, rounds=1, budget=16)))
    desk.deal(["a", "b", "c", "d"], [0, 1, 2, 3], mean=4)
    assert desk.deal(["e", "f"], [4, 5], mean=4) == [4, 4]
    desk.report("e", 0, 1.0)
    desk.close("f")
    assert desk.metrics()["unbudgeted"] == 8
    assert books(desk)["budget_spent"] == 16


def test_no_report_ends_a_training(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(CeroAllocator(CONFIG), SuccessRule(reward_range=(0, 1)), option="trainer.")
    desk.deal(["a"], [1], mean=4)
    for session, reward in enumerate((1.5, -math.inf, 7.0)):
        desk.report("a", session, reward)
    desk.report("nobody", 0, 1.0)
    desk.report("a", 99, 1.0)
    desk.report("a", -1, 1.0)
    assert desk.deal(["b"], [2], mean=4) == [4]
    numbers = desk.metrics()
    assert (numbers["rewards_clipped"], numbers["rewards_missing"], numbers["reports_unknown"]) == (2, 1, 3)
    assert books(desk)["budget_refunded"] == 1
    assert desk.allocator.state_dict()["successes"][1] == 2
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3, "each kind is said once"
    assert "reward 1.5 of prompt 1 (row of the pool) is outside of trainer.reward_range=(0, 1)" in said[0]
    assert "a rollout of prompt 1 (row of the pool) came back without a reward (-inf)" in said[1]
    assert "a rollout of nobody, which was never dealt" in said[2]


def test_what_was_counted_is_counted_on_after_a_restart() -> None:
    desk = Desk(CeroAllocator(CONFIG), SuccessRule(reward_range=(0, 1)))
    desk.deal(["a"], [1], mean=4)
    desk.report("a", 0, 9.0)
    desk.report("a", 1, math.nan)
    again = Desk(CeroAllocator(CONFIG), SuccessRule(reward_range=(0, 1)))
    again.allocator.load_state_dict(desk.allocator.state_dict())
    state = json.loads(json.dumps(desk.state_dict()))
    again.load_state_dict(state)
    assert again.metrics()["rewards_clipped"] == again.metrics()["rewards_missing"] == 1
    del state["rewards"]  # as written before there were such counts
    again.load_state_dict(state)


def test_rewards_that_never_succeed_are_named_with_the_option(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(CeroAllocator(CONFIG), option="rollout_allocator.")
    for step in range(5):
        tickets = [f"{step}-{row}" for row in range(4)]
        counts = desk.deal(tickets, list(range(4)), mean=4)
        for ticket, count in zip(tickets, counts, strict=True):
            for session in range(count):
                desk.report(ticket, session, 0.1 * session - 0.2)
    desk.metrics()
    [said] = [record.getMessage() for record in caplog.records]
    assert "no reward reached rollout_allocator.success_threshold=1" in said
    assert "rewards go from -0.2 to" in said


ALLOCATORS = available_allocators(waves=1)


@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("name", ALLOCATORS)
def test_a_dispatch_of_any_size_is_dealt(name: str, pool: bool) -> None:
    """A refill can be all that is in flight: more than a batch, or than the pool, takes in one round."""
    shape = RoundShape(8, rounds=60, budget=2400, group_size=4, largest=16, scope="pool" if pool else "batch")
    desk = Desk(make_allocator(name, **allocator_fields(name, shape, {})))
    tickets = 0
    for size in (4, 5, 20, 1, 3, 40):
        names = [str(tickets + i) for i in range(size)]
        rows = [(tickets + i) % 8 for i in range(size)]
        tickets += size
        if pool:
            counts = desk.deal_pool(names, rows, mean=4)[1]
        else:
            counts = desk.deal(names, rows, mean=4)
            assert min(counts) >= 2
        assert sum(counts) == 4 * size
        for ticket, count in zip(names, counts, strict=True):
            for session in range(count):
                desk.report(ticket, session, float(session % 2))
    assert desk.metrics()["unbudgeted"] == 0
    assert desk.metrics()["budget_spent"] == 4 * tickets


def test_a_lost_reward_is_refunded() -> None:
    desk = Desk(CeroAllocator(CONFIG))
    desk.deal(["a"], [1], mean=4)
    desk.report("a", 0, math.nan)
    assert books(desk)["budget_refunded"] == 1


def test_graded_rewards_are_parts_of_a_success() -> None:
    desk = Desk(CeroAllocator(CONFIG), SuccessRule(reward_range=(-1, 1)))
    desk.deal(["a"], [1], mean=4)
    desk.report("a", 0, 0.5)
    desk.metrics()
    assert desk.allocator.state_dict()["successes"][1] == 0.75


def test_a_prompt_that_always_fails_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(CeroAllocator(CONFIG))
    for step in range(5):
        desk.deal([f"{step}-bad", f"{step}-good"], [3, 4], mean=4)
        desk.close(f"{step}-bad")
        desk.report(f"{step}-good", 0, 0.0)
        desk.close(f"{step}-good")
    assert caplog.text.count("without a single reward") == 1
    assert "prompt 3 (row of the pool) was dealt 3 times" in caplog.text
    assert desk.metrics()["prompts_failing"] == 1
    desk.deal(["mended"], [3], mean=4)
    desk.report("mended", 0, 1.0)
    desk.close("mended")
    assert desk.metrics()["prompts_failing"] == 0


def test_rounds_that_cannot_be_written_wait_and_are_written_later(caplog: pytest.LogCaptureFixture) -> None:
    full, written = True, []

    def write(record: TraceRound) -> None:
        if full:
            raise TraceError("no space left; free some")
        written.append(record.round)

    desk = Desk(CeroAllocator(CONFIG), on_round=write)
    rounds(desk, 0, 3)
    assert caplog.text.count("no space left") == 1
    again = Desk(CeroAllocator(CONFIG), on_round=write)
    again.allocator.load_state_dict(desk.allocator.state_dict())
    again.load_state_dict(json.loads(json.dumps(desk.state_dict())))
    full = False
    rounds(again, 3, 4)
    assert written == [0, 1, 2, 3]


def test_the_pool_gives_prompts_as_well_as_counts() -> None:
    desk = Desk(CeroAllocator(CeroConfig(num_prompts=8, rounds=10, budget=160, max_rollouts_per_prompt=4)))
    rows, counts = desk.deal_pool(["a", "b", "c", "d"], [0, 0, 0, 0], mean=4)
    assert counts == [4, 4, 4, 4]
    assert len(set(rows)) == 4
    assert desk.deal_pool(["d", "a"], [0, 0], mean=4) == ([rows[3], rows[0]], [4, 4])


@pytest.mark.parametrize("pool", [False, True])
def test_a_budget_in_tokens_is_kept_where_totals_may_vary(pool: bool) -> None:
    """And when it is spent all the same, generation goes on."""
    config = CeroConfig(num_prompts=8, rounds=20, budget=320, max_rollouts_per_prompt=4, token_budget=8000)
    desk = Desk(CeroAllocator(config))
    sizes = []
    for step in range(24):
        tickets, rows = [f"{step}-{i}" for i in range(4)], [(4 * step + i) % 8 for i in range(4)]
        if pool:
            counts = desk.deal_pool(tickets, rows, mean=4, step=step, exact=False)[1]
        else:
            counts = desk.deal(tickets, rows, mean=4, step=step, exact=False)
        assert sum(counts) > 0, "a trainer would wait for a batch"
        sizes.append(sum(counts))
        for ticket, count in zip(tickets, counts, strict=True):
            for session in range(count):
                desk.report(ticket, session, float(session % 2), tokens=50)
    numbers = desk.metrics()
    assert 8000 - 400 <= numbers["tokens"] <= 8000
    assert numbers["unbudgeted"] > 0
    assert max(sizes[2:18]) <= 10, "eight rollouts a step are what the tokens pay for"


def test_pool_rounds_that_nothing_is_worth_are_passed_over() -> None:
    config = CeroConfig(num_prompts=8, rounds=10, budget=160, max_rollouts_per_prompt=4, capacity=16, initial_price=1.0)
    desk = Desk(CeroAllocator(config))
    rows, counts = desk.deal_pool(["a", "b", "c", "d"], [0, 0, 0, 0], mean=4, exact=False)
    assert sum(counts) > 0
    assert desk.allocator.metrics()["round"] > 1
    assert all((row < 0) == (count == 0) for row, count in zip(rows, counts, strict=True))


def test_a_successor_continues_from_the_folder(tmp_path: Path) -> None:
    never_died = DurableDesk(tmp_path / "whole", CeroAllocator(CONFIG))
    expected = rounds(never_died, 0, 6)

    first = DurableDesk(tmp_path / "torn", CeroAllocator(CONFIG))
    dealt = rounds(first, 0, 3)
    counts = first.deal(["3-4", "3-5", "3-6", "3-7"], [4, 5, 6, 7], 4, 3, True)
    first.report("3-4", 0, 0.0)
    (journal,) = (tmp_path / "torn").glob("*.jsonl")
    with journal.open("a") as file:
        file.write('["report", "3-4", 1')  # killed in the middle of a line
    del first

    second = DurableDesk(tmp_path / "torn", CeroAllocator(CONFIG))
    assert second.deal(["3-4", "3-5", "3-6", "3-7"], [4, 5, 6, 7], 4, 3, True) == counts
    answer(second, ["3-4", "3-5", "3-6", "3-7"], counts, [4, 5, 6, 7])
    assert [*dealt, counts, *rounds(second, 4, 6)] == expected
    ours, theirs = second.desk.allocator.state_dict(), never_died.desk.allocator.state_dict()
    assert second.metrics() == never_died.metrics()
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_snapshots_replace_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cero_ray.durable._SNAPSHOT_EVERY", 10)
    whole = DurableDesk(tmp_path / "whole", CeroAllocator(CONFIG))
    assert rounds(whole, 0, 4) == rounds(Desk(CeroAllocator(CONFIG)), 0, 4)
    assert len(list((tmp_path / "whole").glob("desk-*"))) == 3
    (journal,) = (tmp_path / "whole").glob("*.jsonl")
    assert len(journal.read_text().splitlines()) < 10
    again = DurableDesk(tmp_path / "whole", CeroAllocator(CONFIG))
    ours, theirs = again.desk.allocator.state_dict(), whole.desk.allocator.state_dict()
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_a_checkpoint_in_mid_round_is_continued(tmp_path: Path) -> None:
    trace = {"path": tmp_path / "trace.jsonl"}
    whole = DurableDesk(tmp_path / "whole", CeroAllocator(CONFIG), trace=trace)
    rounds(whole, 0, 2)
    counts = whole.deal(["2-0", "2-1", "2-2", "2-3"], [0, 1, 2, 3], 4, 2, True)
    answer(whole, ["2-0"], counts[:1], [0])
    whole.report("2-1", 0, 0.0)
    files = whole.checkpoint()
    answer(whole, ["2-0", "2-1", "2-2", "2-3"], counts, [0, 1, 2, 3])
    expected, written = rounds(whole, 3, 6), (tmp_path / "trace.jsonl").read_bytes()
    assert len(list(TraceReader(tmp_path / "trace.jsonl"))) == 6

    allocator, tickets = restored(files)
    resumed = DurableDesk(tmp_path / "resumed", allocator, tickets=tickets, trace=trace)
    assert len(list(TraceReader(tmp_path / "trace.jsonl"))) == 2
    assert resumed.deal(["2-3", "2-0"], [3, 0], 4, 2, True) == [counts[3], counts[0]]
    # What was in flight is generated again, and reported again.
    answer(resumed, ["2-0", "2-1", "2-2", "2-3"], counts, [0, 1, 2, 3])
    assert rounds(resumed, 3, 6) == expected
    assert (tmp_path / "trace.jsonl").read_bytes() == written


def test_a_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    files = DurableDesk(tmp_path, CeroAllocator(CONFIG)).checkpoint()
    with pytest.raises(CheckpointError, match=r"cero_tickets.json is missing"):
        restored({"cero_allocator.npz": files["cero_allocator.npz"]})
    with pytest.raises(CheckpointError, match="cannot be read"):
        restored(files | {"cero_tickets.json": b"{"})
    with pytest.raises(CheckpointError, match="not a desk's tickets"):
        restored(files | {"cero_tickets.json": json.dumps({"open": {}}).encode()})
    with pytest.raises(CheckpointError, match="not a desk's tickets"):
        restored(files | {"cero_tickets.json": b'{"open": []}'})
    with pytest.raises(CheckpointError, match="torn or foreign"):
        restored(files | {"cero_allocator.npz": b"PK"})
