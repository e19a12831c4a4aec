"""Rewards back: verl's agent loop worker, reporting every rollout as soon as it is scored."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Sequence
from typing import Any

from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ

from cero_ray import AllocatorClient

logger = logging.getLogger(__name__)

# verl exports the Ray actor; this is the class in it.
_Worker: Any = AgentLoopWorkerTQ.__ray_metadata__.modified_class


class ReportingAgentLoopWorker(_Worker):
    """Generates as verl does; tells the allocator of each reward, also of groups that a filter later drops.

    A report is awaited, so that a prompt is not called finished before its rewards have arrived, but never longer than
    the allocator's patience; nothing else waits for it. A report that fails costs the evidence, never the rollout.
    """

    _allocator: AllocatorClient | None = None
    _success_key: str | None = None
    _complained = False  # that reports fail; the first is as good as all of them

    async def set_allocator(self, allocator: AllocatorClient, success_key: str | None) -> None:
        """Begin to report; called once, before the first prompt."""
        self._allocator, self._success_key = allocator, success_key

    async def _agent_loop_postprocess(self, output: Any, validate: bool, **kwargs: Any) -> None:
        await super()._agent_loop_postprocess(output, validate, **kwargs)
        if validate or self._allocator is None:
            return
        outputs = output if isinstance(output, list) else [output]
        reward = await self._judged(outputs[-1]) if outputs else math.nan
        await self._tell("report", kwargs["uid"], kwargs["session_id"], reward, generated(outputs))

    async def _run_prompt(
        self, prompt: dict[str, Any], sampling_params: dict[str, Any], trajectory: dict[str, Any], trace: bool = False
    ) -> None:
        uid, train = prompt["uid"], not trajectory["validate"]
        try:
            await super()._run_prompt(prompt, sampling_params, trajectory, trace)
        finally:
            # Every session has settled by now: what has not been reported has failed.
            if train and self._allocator is not None:
                await self._tell("close", uid)

    async def _judged(self, output: Any) -> float:
        """The reward that tells success from failure, NaN if there is none."""
        reward = output.reward_score
        if self._success_key is not None:
            info = output.extra_fields.get("reward_extra_info") or {}
            if self._success_key not in info:
                # Every rollout would be refunded, and the training would end in peace, having allocated nothing.
                await self._tell("stop", missing_key(self._success_key, info))
            reward = info.get(self._success_key)
        try:
            return math.nan if reward is None else float(reward)
        except (TypeError, ValueError):
            self._complain(f"the reward {reward!r:.80} is no number, and its rollout is left out")
            return math.nan

    async def _tell(self, what: str, *arguments: Any) -> None:
        assert self._allocator is not None
        try:
            await self._allocator.answered(getattr(self._allocator, what)(*arguments))
        except Exception as error:  # an actor that is gone, or an allocator of somebody's own that raised anything
            self._complain(f"the allocator did not take {what}{arguments}: {error!r}; the rollout itself is unharmed")

    def _complain(self, what: str) -> None:
        if not self._complained:
            logger.warning("%s (said once per worker)", what)
        self._complained = True


def generated(outputs: Sequence[Any]) -> int:
    """Tokens that the model generated in a rollout, which an agent may have split: its own turns, no tool's answers.

    Args:
        outputs: verl's, with a `response_mask` of 1 for those tokens each.
    """
    return sum(sum(output.response_mask) for output in outputs)


def missing_key(key: str, info: Collection[str]) -> str:
    """Why a training stops whose rewards have no such key.

    >>> missing_key("acc", {"score": 1.0, "accuracy": 1.0})
    'rollout_allocator.success_key=acc is not among what the reward function returns, which is accuracy, score; ...'
    """
    there = ", ".join(sorted(info)) or "the reward alone"
    return (
        f"rollout_allocator.success_key={key} is not among what the reward function returns, which is {there}; name "
        "one of them, or return it for every prompt"
    )
