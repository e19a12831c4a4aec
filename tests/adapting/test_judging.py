"""Whatever a reward function returns has a share of a success, or none; it never raises, and is counted."""

import json
import logging
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api.adapting import Judge, refuse_other_rule, said_rule
from cero_api.errors import CheckpointError
from cero_api.rewards import SuccessRule

RANGE = SuccessRule(reward_range=(0, 1))
anything = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=2), st.decimals(-2, 2), st.just([])
)


def test_a_checkpoint_of_other_successes_is_refused_by_what_differs() -> None:
    saved = said_rule(SuccessRule(), success_key="acc")
    refuse_other_rule(saved, said_rule(SuccessRule(success_threshold=1.0), success_key="acc"))
    refuse_other_rule({}, said_rule(RANGE))  # of a version that did not write it down
    assert json.loads(json.dumps(said_rule(RANGE))) == said_rule(RANGE)
    with pytest.raises(CheckpointError, match=r"reward_range=None \(now \[0\.0, 1\.0\]\)"):
        refuse_other_rule(saved, said_rule(RANGE, success_key="acc"))
    with pytest.raises(CheckpointError, match="by success_key=acc \\(now None\\), and"):
        refuse_other_rule(saved, said_rule(SuccessRule(), success_key=None))


@given(
    rewards=st.lists(anything, max_size=8),
    rule=st.sampled_from([RANGE, SuccessRule(), SuccessRule(success_threshold=0)]),
)
def test_it_never_raises_and_counts_what_it_could_not_use(rewards: list[Any], rule: SuccessRule) -> None:
    judge = Judge(rule)
    shares = judge.shares(rewards)
    assert shares.shape == (len(rewards),)
    assert np.isnan(shares).sum() == judge.missing
    assert ((shares >= 0) & (shares <= 1) | np.isnan(shares)).all()
    for reward, share in zip(rewards, shares, strict=True):
        if isinstance(reward, float) and math.isfinite(reward) and rule is RANGE:
            assert share == pytest.approx(min(max(reward, 0), 1), abs=2e-6)


def test_rewards_of_several_kinds_side_by_side() -> None:
    judge = Judge(RANGE)
    mixed: list[Any] = [True, None, 0.5, Decimal("0.25"), "", np.float32(1)]
    assert judge.shares(mixed).tolist()[2:4] == [0.5, 0.25]
    assert judge.numbers() == {"rewards_missing": 2.0, "rewards_clipped": 0.0}


def test_the_first_of_each_kind_is_named_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    judge = Judge(RANGE, "reward_range")
    with caplog.at_level(logging.WARNING):
        judge.shares([0.5, 7.0, -7.0], ["a", "b", "c"])
        judge.shares([8.0, math.nan], ["d", "e" * 200])
        judge.shares([math.inf, 9.0])
    first, second = [record.getMessage() for record in caplog.records]
    assert first.startswith("reward 7 of prompt b is outside of reward_range=(0, 1) and counts as its nearest end")
    assert second.startswith(f"a rollout of prompt {'e' * 80} came back without a reward (nan)")
    assert judge.numbers() == {"rewards_missing": 2.0, "rewards_clipped": 4.0}


@pytest.mark.parametrize("batch", [1, 8, 100, 1000])  # as adapters judge them: one by one, or a round at once
def test_rewards_that_stay_away_are_told_again_but_not_each(batch: int, caplog: pytest.LogCaptureFixture) -> None:
    judge = Judge(SuccessRule())

    def told(rewards: list[float]) -> int:
        caplog.clear()
        for begin in range(0, len(rewards), batch):
            judge.shares(rewards[begin : begin + batch])
        return sum("without a single usable reward" in record.getMessage() for record in caplog.records)

    nothing = [math.nan] * 3000
    assert told([1.0] * 1000) == 0
    assert told(nothing) == (1 if batch == 1000 else 2)  # after 100 and 1,000, or where a batch passes these
    assert told([0.0] * 1000 + [math.nan] * 90) == 0  # a failure is a reward
    assert told([1.0] * 1000) == 0
    assert told(nothing) > 0  # once more down
    assert judge.missing == 6090


def test_one_process_of_several_speaks(caplog: pytest.LogCaptureFixture) -> None:
    judge = Judge(RANGE, quiet=True)
    judge.shares([7.0, math.nan])
    assert caplog.records == []
    assert judge.numbers() == {"rewards_missing": 1.0, "rewards_clipped": 1.0}


def test_coarse_rewards_reach_a_threshold_that_rounds_to_them() -> None:
    judge = Judge(SuccessRule(success_threshold=0.9))
    coarse = np.array([0.9, 0.89], dtype=np.float16)
    assert judge.shares(coarse).tolist() == [1, 0]
    assert judge.shares(coarse.astype(np.float64)).tolist() == [0, 0]
