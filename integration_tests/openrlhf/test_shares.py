"""Equal shares for all training processes, and what of a batch OpenRLHF's dynamic batches hold."""

from __future__ import annotations

import pytest
import torch
from openrlhf.trainer.ppo_utils.experience import balance_experiences

from cero_api.errors import ConfigurationError
from cero_openrlhf import shares
from cero_openrlhf.refusals import refuse_unsupported
from cero_openrlhf.shares import divisor, evened
from integration_tests.openrlhf import made


@pytest.mark.parametrize(("ranks", "micro", "expected"), [(1, 4, 1), (2, 4, 8), (8, 1, 8)])
def test_divisor(ranks: int, micro: int, expected: int) -> None:
    assert divisor(made.args(actor__num_gpus_per_node=ranks, rollout__micro_batch_size=micro)) == expected


def test_evened_takes_from_the_largest_groups() -> None:
    samples = [made.sample(made.ticket(uid, count)) for uid, count in [(0, 2), (1, 7), (2, 5)] for _ in range(count)]
    assert [sample.prompts[0].uid for sample in evened(samples, 8)] == [0] * 2 + [1] * 3 + [2] * 3
    assert len(evened(samples, 1)) == 14
    assert evened(samples, 16) == []


def test_what_dynamic_batches_hold_is_what_openrlhf_shares_out() -> None:
    args = made.args(actor__num_gpus_per_node=2, train__dynamic_batch_enable=True)
    for total in (4, 5):
        batch = made.experiences([total])
        for experience in batch:
            shape = experience.action_mask.shape
            experience.total_length = experience.response_length
            experience.sequences = experience.attention_mask = torch.ones(shape, dtype=torch.long)
        shared = sum(len(part.rewards) for part in balance_experiences(batch, args))
        assert (shared == total) == (total % divisor(args) == 0)


@pytest.mark.parametrize("any_number", [True, False])
def test_dynamic_batches_are_refused_only_where_openrlhf_leaves_rollouts_out(
    monkeypatch: pytest.MonkeyPatch, any_number: bool
) -> None:
    monkeypatch.setattr(shares, "_shares_any_number", lambda: any_number)
    refuse_unsupported(made.args(actor__num_gpus_per_node=2, train__dynamic_batch_enable=True))
    uneven = made.args(actor__num_gpus_per_node=3, train__dynamic_batch_enable=True)
    if any_number:
        refuse_unsupported(uneven)
        return
    with pytest.raises(ConfigurationError, match=r"16 rollouts .* evenly by 3 .*pip install 'openrlhf>=0\.11\.0'"):
        refuse_unsupported(uneven)
