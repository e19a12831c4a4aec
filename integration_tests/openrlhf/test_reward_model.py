"""A reward model scores after generation: OpenRLHF's own experience making, with models that answer at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from openrlhf.trainer.ppo_utils import experience_maker
from openrlhf.trainer.ppo_utils.kl_controller import FixedKLController

from cero_api import make_allocator
from cero_api.rewards import SuccessRule
from cero_openrlhf.advantages import GroupedExperienceMaker
from cero_openrlhf.books import Books
from cero_openrlhf.config import OpenRLHFAllocatorConfig
from cero_openrlhf.tickets import Ticket
from integration_tests.openrlhf import made


class Models:
    """A group of model actors whose `forward` is a function of the sequences."""

    def __init__(self, forward: Any) -> None:
        self._forward = forward

    def async_run_method_batch(self, method_name: str, sequences: list[torch.Tensor], **_: Any) -> list[Any]:
        assert method_name == "forward"
        return [[self._forward(batch) for batch in sequences]]


def test_scores_reach_the_books_of_the_groups_they_belong_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experience_maker, "ray", SimpleNamespace(get=lambda ref: ref, put=lambda value: value))
    allocator = make_allocator("cero", num_prompts=4, rounds=4, budget=64, capacity=16)
    books = Books(allocator, rule=SuccessRule(success_threshold=0.5))
    books.begin()
    rows = [2, 0, 3, 1]
    dealt = books.deal(rows, 4)
    samples = []
    for row, (uid, count) in zip(rows, dealt, strict=True):
        for i in range(count):
            sample = made.sample(Ticket(f"{row}=", uid, row, count, 0))
            # The last token is the score: prompt `row` succeeds in its first `row` rollouts.
            sample.sequences = torch.tensor([[7, 8, int(i < row)]])
            sample.attention_mask = torch.ones(1, 3, dtype=torch.long)
            sample.action_mask = torch.tensor([[1, int(i > 0)]])  # a group's first is shorter
            sample.response_length = torch.tensor([2])
            sample.truncated = torch.tensor([False])
            sample.total_length = torch.tensor([3.0])
            sample.rewards, sample.info = None, {}
            samples.append(sample)
    args = made.args(
        algo__kl__use_loss=False, train__colocate_all=False, train__colocate_actor_ref=False,
        train__dynamic_batch_enable=False, rollout__micro_batch_size=3, reward__remote_url=None,
    )  # fmt: skip
    stock = experience_maker.RemoteExperienceMaker(
        Models(lambda batch: torch.zeros(len(batch), 2)),
        None,
        Models(lambda batch: batch[:, -1].float() - 0.5),
        None,
        FixedKLController(0.0),
        SimpleNamespace(args=args),
        SimpleNamespace(pad_token_id=0),
    )
    maker = GroupedExperienceMaker(stock, OpenRLHFAllocatorConfig(success_threshold=0.5), books)
    experiences = maker.make_experience_batch(samples)
    assert sum(len(experience.rewards) for experience in experiences) == 16
    numbers = books.metrics()
    assert numbers["outstanding"] == 0
    assert numbers["tokens"] == 16 * 2 - 4
    assert numbers["round_success_rate"] == (0 + 1 + 2 + 3) / 16
    assert numbers["round_effective_group_rate"] == 3 / 4
    expected = [(1 + row) / 6 for row in range(4)]
    assert books.allocator.success_rate().tolist() == pytest.approx(expected)
