"""A group that failures leave with one rollout has no contrast: no advantage, where verl would take the raw reward."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from verl.trainer.ppo.v1 import utils

from cero_verl.refusals import GROUPING


def keep_lone_rollouts_out() -> None:
    """Give rollouts that are alone in their group an advantage of zero, in this process, by the estimators known here.

    Without failures there is none, for no prompt is dealt a single rollout; and where there is none, verl's own
    function gets its own arguments. `grpo_passk` would stop at such a group, the others would push up whatever the
    rollout happened to say, by as much as it earned.
    """
    if not hasattr(utils.compute_advantage, "__wrapped__"):
        utils.compute_advantage = _without_lone(utils.compute_advantage)


def _without_lone(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def compute_advantage(data: Any, adv_estimator: Any, *args: Any, **kwargs: Any) -> Any:
        name = str(getattr(adv_estimator, "value", adv_estimator))
        lone = lone_rows(data.non_tensor_batch["uid"]) if name in GROUPING else np.zeros(0, dtype=np.bool_)
        if not lone.any():
            return original(data, adv_estimator, *args, **kwargs)
        rest = np.flatnonzero(~lone)
        for column in ("advantages", "returns"):
            data.batch[column] = torch.zeros_like(data.batch["token_level_rewards"])
        if rest.size:
            computed = original(data.select_idxs(rest), adv_estimator, *args, **kwargs)
            for column in ("advantages", "returns"):
                data.batch[column][torch.from_numpy(rest)] = computed.batch[column].to(data.batch[column].dtype)
        return data

    return compute_advantage


def lone_rows(uids: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Rows that have their group to themselves, bool `[N]`.

    >>> lone_rows(np.array(["a", "b", "a"], dtype=object))
    array([False,  True, False])
    """
    _, group, sizes = np.unique(np.asarray(uids).astype(str), return_inverse=True, return_counts=True)
    lone: np.ndarray[Any, np.dtype[np.bool_]] = sizes[group] == 1
    return lone
