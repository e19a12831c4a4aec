import math

import numpy as np
import pytest
import torch

from cero_api import group_advantages
from cero_api.errors import ConfigurationError
from cero_trl.advantages import grouped_advantages, prompt_weights

SIZES = [3, 1, 5, 2, 4]
SCALES = ["group", "batch", "none"]


def rewards(functions: int = 2, missing: bool = True) -> torch.Tensor:
    values = torch.randn(sum(SIZES), functions, generator=torch.Generator().manual_seed(1))
    if missing:
        values[1, 0] = values[5] = values[12, functions - 1] = torch.nan  # row 5: no function scored it
    values[9:11] = 0.1  # the group of two has no contrast
    return values


def advantages(values: torch.Tensor, weights: list[float], scale: str, aggregation: str) -> torch.Tensor:
    result, _ = grouped_advantages(
        values, torch.tensor(weights), torch.tensor(SIZES), scale_rewards=scale, aggregation=aggregation
    )
    return result


def standard_deviation(values: list[float]) -> float:
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))


def normalised(group: list[float], every: list[float], scale: str) -> list[float]:
    """One group by hand; NaN stands for a missing reward and gets 0."""
    known = [v for v in group if not math.isnan(v)]
    if not known:
        return [0.0] * len(group)
    mean = sum(known) / len(known)
    spread = {"group": standard_deviation(known), "batch": standard_deviation(every), "none": 0.0}[scale]
    divisor = 1.0 if scale == "none" else spread + 1e-4
    return [0.0 if math.isnan(v) else (v - mean) / divisor for v in group]


def groups(flat: list[float]) -> list[list[float]]:
    ends = np.cumsum(SIZES)
    return [flat[end - size : end] for end, size in zip(ends, SIZES, strict=True)]


@pytest.mark.parametrize("scale", SCALES)
def test_sum_then_normalize_by_hand(scale: str) -> None:
    values, weights = rewards(), [0.7, 2.0]
    total = [
        math.nan if all(map(math.isnan, row)) else sum(w * v for w, v in zip(weights, row, strict=True) if v == v)
        for row in values.tolist()
    ]
    known = [v for v in total if not math.isnan(v)]
    expected = [a for group in groups(total) for a in normalised(group, known, scale)]
    got = advantages(values, weights, scale, "sum_then_normalize").tolist()
    assert got == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_normalize_then_sum_by_hand() -> None:
    values, weights = rewards(), [0.7, 2.0]
    columns = [[a for group in groups(column) for a in normalised(group, [], "group")] for column in values.T.tolist()]
    total = [
        math.nan if values[i].isnan().all() else 0.7 * a + 2.0 * b
        for i, (a, b) in enumerate(zip(*columns, strict=True))
    ]
    known = [v for v in total if not math.isnan(v)]
    mean, divisor = sum(known) / len(known), standard_deviation(known) + 1e-4
    expected = [0.0 if math.isnan(v) else (v - mean) / divisor for v in total]
    got = advantages(values, weights, "group", "normalize_then_sum").tolist()
    assert got == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(("scale", "estimator"), [("group", "grpo"), ("none", "dr_grpo")])
def test_agrees_with_the_core(scale: str, estimator: str) -> None:
    values = rewards(functions=1, missing=False)
    ids = np.repeat(np.arange(len(SIZES)), SIZES)
    expected = group_advantages(values[:, 0].double().numpy(), ids, estimator=estimator)  # type: ignore[arg-type]
    got = advantages(values, [1.0], scale, "sum_then_normalize").numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", SCALES)
def test_which_groups_have_no_contrast(scale: str) -> None:
    _, is_std_zero = grouped_advantages(
        rewards(missing=False),
        torch.ones(2),
        torch.tensor(SIZES),
        scale_rewards=scale,
        aggregation="sum_then_normalize",
    )
    flat = [0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0]  # the group of one, and the two equal rewards
    assert is_std_zero.tolist() == ([False] * 15 if scale == "batch" else [bool(z) for z in flat])


def test_prompt_weights_turn_a_mean_over_rollouts_into_a_mean_over_prompts() -> None:
    values = torch.arange(15, dtype=torch.float64)
    weighted = (values * prompt_weights(torch.tensor(SIZES)).double()).mean()
    per_prompt = [sum(group) / len(group) for group in groups(values.tolist())]
    assert weighted.item() == pytest.approx(sum(per_prompt) / len(per_prompt), rel=1e-6)


def test_options_that_trl_does_not_have_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="scale_rewards='prompt'"):
        advantages(rewards(), [1.0, 1.0], "prompt", "sum_then_normalize")
    with pytest.raises(ConfigurationError, match="multi_objective_aggregation='max'"):
        advantages(rewards(), [1.0, 1.0], "group", "max")
