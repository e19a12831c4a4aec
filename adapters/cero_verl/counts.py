"""Counts into generation: verl's agent loop manager, which asks the allocator before it dispatches prompts."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
import uuid
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import ray
import transfer_queue
from verl.protocol import DataProto
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ
from verl.utils import tensordict_utils
from verl.utils.dataset.rl_dataset import collate_fn

from cero_api.errors import CheckpointError, ConfigurationError
from cero_ray import AllocatorClient, start_allocator
from cero_verl.columns import refuse_own_counts
from cero_verl.config import FLAG, only_validates
from cero_verl.feedback import ReportingAgentLoopWorker
from cero_verl.groups import keep_lone_rollouts_out
from cero_verl.guard import check_verl
from cero_verl.metrics import log_with_this_step
from cero_verl.older import save_with_the_trainer
from cero_verl.preparing import take_prepared
from cero_verl.prompts import column
from cero_verl.saved import Progress, save_state

logger = logging.getLogger(__name__)


class AllocatedAgentLoopManager(AgentLoopManagerTQ):
    """verl's manager, with rollouts per prompt decided by an allocator.

    Every dispatch of training prompts (a batch, a refill, a warm-up, what was in flight when a checkpoint was saved)
    goes through `generate_sequences`. Decisions are kept by the prompt's uid: asked again, the answer is the same.

    Args:
        *args: as for verl's manager.
        **kwargs: as for verl's manager.

    Raises:
        ConfigurationError: an option that would go wrong; the message says what to change.
        PromptError: the dataset does not tell its prompts apart.
        CheckpointError: the checkpoint that verl resumes has no allocator state, or another run's.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        check_verl()
        self.agent_loop_workers_class = ray.remote(ReportingAgentLoopWorker)
        self._prepared = take_prepared(self.config)
        self.settings, self._prompts = self._prepared.settings, self._prepared.prompts
        self._beginning = self._prepared.beginning
        self.schedule = self._beginning.schedule
        self._begun = False
        self.allocator = self._start()
        self._seconds = 0.0
        keep_lone_rollouts_out()
        save_with_the_trainer()

    @classmethod
    def create(cls, *args: Any, **kwargs: Any) -> Any:
        """As verl's manager is created; where nothing is trained it is verl's own."""
        if not only_validates(kwargs["config"] if "config" in kwargs else args[0]):
            return super().create(*args, **kwargs)
        logger.warning("rollout allocator: this run validates and trains nothing (trainer.val_only), so it has no part")
        return AgentLoopManagerTQ.create(*args, **kwargs)

    def generate_sequences(self, prompts: Any) -> None:
        """Dispatch prompts; training prompts get their counts on the way.

        Raises:
            ConfigurationError: whoever asks is not verl's V1 trainer.
        """
        if isinstance(prompts, DataProto):
            raise ConfigurationError(
                f"a trainer of verl's before V1 asks for generation; it repeats every prompt by a fixed rollout.n, so "
                f"+{FLAG} would do nothing; run verl.trainer.main_ppo with trainer.use_v1=true"
            )
        if not _is_validation(prompts):
            started = time.perf_counter()
            prompts = self._with_counts(prompts)
            self._seconds += time.perf_counter() - started
            log_with_this_step(self.step_metrics)
        super().generate_sequences(prompts)

    def step_metrics(self) -> dict[str, float]:
        """The allocator's numbers for verl's log, and the seconds it took since they were last asked for."""
        started = time.perf_counter()
        numbers = self.allocator.metrics()
        self._seconds += time.perf_counter() - started
        numbers["seconds"], self._seconds = self._seconds, 0.0
        return {f"rollout_allocator/{name}": value for name, value in numbers.items()}

    def save(self, folder: str | Path, step: int) -> None:
        """Write the allocator's state into verl's checkpoint."""
        begun = self._beginning
        progress = Progress(
            step=step,
            pool=self._prompts.index.fingerprint,
            after=begun.after,
            asked=begun.asked,
            judged_by=self.settings.judged_by,
        )
        save_state(Path(folder), self.allocator.checkpoint(), progress)

    async def _init_agent_loop_workers(self) -> None:
        await super()._init_agent_loop_workers()
        key = self.settings.success_key
        for worker in self.agent_loop_workers:
            await worker.set_allocator.remote(self.allocator, key)

    def _start(self) -> AllocatorClient:
        """The allocator's actor, from the beginning or from the checkpoint that verl has just loaded."""
        name = f"cero_rollout_allocator_{uuid.uuid4().hex[:8]}"
        # For a successor of the actor on this machine, not for a later run: that has the checkpoint.
        journal = tempfile.mkdtemp(prefix="cero-allocator-")
        weakref.finalize(self, shutil.rmtree, journal, ignore_errors=True)
        logger.warning("%s; actor %s", self._prepared.start_line(), name)
        module = self.settings.module
        return start_allocator(
            name,
            journal,
            self._beginning.begin,
            rule=self.settings.rule,
            trace=self._prepared.trace,
            modules=[] if module is None else [module],
            patience=self.settings.patience,
            option=f"{FLAG}.",
        )

    def _with_counts(self, prompts: Any) -> Any:
        refuse_own_counts(prompts)
        step = int(_constant(prompts["global_steps"]))
        self._check_first(step)
        tickets = [str(uid) for uid in column(prompts, "uid")]
        exact, mean = self.settings.constant_total, self.schedule.rollouts
        rows = self._prompts.rows_of(prompts).tolist()
        if not self.settings.picks_prompts:
            counts = self.allocator.deal(tickets, rows, mean=mean, step=step, exact=exact)
        else:
            rows, counts = self.allocator.deal_pool(tickets, rows, mean=mean, step=step, exact=exact)
            prompts = self._replaced(tickets, rows, step)
        tensordict_utils.assign_non_tensor_stack(prompts, "__rollout_n__", counts)
        return prompts

    def _replaced(self, tickets: list[str], rows: list[int], step: int) -> Any:
        """The admitted prompts under the uids of those that the loader drew; it has but set the pace."""
        # A slot without rollouts keeps some prompt, for its row must have the shape of the others.
        chosen = collate_fn([self._prompts.example(max(row, 0)) for row in rows])
        chosen["uid"] = np.array(tickets, dtype=object)
        batch = tensordict_utils.get_tensordict(chosen)
        if self.config.trainer.v1.trainer_mode != "sync":
            # verl has put the loader's prompts there, to be read again on resuming.
            transfer_queue.kv_batch_put(keys=tickets, partition_id="train", fields=batch.clone())
        tensordict_utils.assign_non_tensor_data(batch, "global_steps", step)
        return batch

    def _check_first(self, step: int) -> None:
        """The state that was restored must be that of the step which verl resumed."""
        if not self._begun and step != self._beginning.next_step:
            raise CheckpointError(
                f"verl begins at step {step}, the allocator was restored for step {self._beginning.next_step}; leave "
                "the checkpoint folder alone while a run starts, and start again"
            )
        self._begun = True


def _is_validation(prompts: Any) -> bool:
    return "validate" in prompts and bool(_constant(prompts["validate"]))


def _constant(value: Any) -> Any:
    """What is the same for every row of a batch, whatever it is stored as."""
    value = getattr(value, "data", value)
    while isinstance(value, list):
        value = value[0]
    return value
