"""Rewards back: verl's agent loop worker, reporting every rollout as soon as it is scored."""

from __future__ import annotations

import logging
import math
from typing import Any

from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ

from cero_ray import AllocatorClient

logger = logging.getLogger(__name__)

# verl exports the Ray actor; this is the class in it.
_Worker: Any = AgentLoopWorkerTQ.__ray_metadata__.modified_class


class ReportingAgentLoopWorker(_Worker):
    """Generates as verl does; tells the allocator of each reward, also of groups that a filter later drops.

    A report is awaited, so that a prompt is not called finished before its rewards have arrived; nothing else waits
    for it. A report that fails is logged and costs the evidence, never the rollout.
    """

    _allocator: AllocatorClient | None = None
    _success_key: str | None = None

    async def set_allocator(self, allocator: AllocatorClient, success_key: str | None) -> None:
        """Begin to report; called once, before the first prompt."""
        self._allocator, self._success_key = allocator, success_key

    async def _agent_loop_postprocess(self, output: Any, validate: bool, **kwargs: Any) -> None:
        await super()._agent_loop_postprocess(output, validate, **kwargs)
        if validate or self._allocator is None:
            return
        outputs = output if isinstance(output, list) else [output]
        reward = self._judged(outputs[-1]) if outputs else math.nan
        await self._tell("report", kwargs["uid"], kwargs["session_id"], reward)

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

    def _judged(self, output: Any) -> float:
        """The reward that tells success from failure, NaN if there is none."""
        if self._success_key is None:
            reward = output.reward_score
        else:
            info = output.extra_fields.get("reward_extra_info") or {}
            if self._success_key not in info:
                raise KeyError(
                    f"rollout_allocator.success_key={self._success_key} is not in the reward's extra info, which has "
                    f"{sorted(info)}; return it from the reward function"
                )
            reward = info[self._success_key]
        return math.nan if reward is None else float(reward)

    async def _tell(self, what: str, *arguments: Any) -> None:
        assert self._allocator is not None
        try:
            await getattr(self._allocator, what)(*arguments)
        except Exception:
            logger.exception("the allocator did not take %s%s; the rollout itself is unharmed", what, arguments)
