"""All that a real verl training needs, made on the spot: a tiny Llama, its tokenizer, prompts, the command line."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pytest
import ray
from hydra import compose, initialize_config_module

from integration_tests.tiny_model import make_model, make_tokenizer
from integration_tests.zygote.workers import fork_workers

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz+= \n"
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
HERE = Path(__file__).parent
# Prompts never, sometimes and always solved.
RATES = (0.0, 0.5, 1.0, 0.2)

ENVIRONMENT = {
    "VERL_PLATFORM": "cpu",
    "VERL_ENGINE_DEVICE": "cuda",  # the name under which verl registers its FSDP engine
    "VERL_USE_EXTERNAL_MODULES": "integration_tests.verl.cpu",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_DEDUP_LOGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_OFFLINE": "1",
    # Ray's workers, too, run what stands here and not what is installed.
    "PYTHONPATH": os.pathsep.join(str(path) for path in (HERE.parents[1], HERE.parents[1] / "adapters")),
}

# What the workers of a training import, but for Ray, verl and the adapter; most of it is torch's and transformers'.
IMPORTED = (
    *("aiohttp", "datasets", "fastapi", "hydra", "jsonschema", "peft", "requests", "tensordict", "uvicorn", "zmq"),
    *("torch._dynamo", "torch.distributed.checkpoint", "torch.distributed.fsdp", "torchdata.stateful_dataloader"),
    "transformers.models.llama.modeling_llama",
)


def save_model(folder: Path, seed: int = 0) -> Path:
    tokenizer = make_tokenizer(ALPHABET)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    make_model(ALPHABET, seed, positions=256).save_pretrained(folder)
    return folder


def save_prompts(path: Path, count: int = 16, indices: Sequence[int] | None = None, copies: int = 1) -> Path:
    rows = copies * [
        {
            "data_source": "tiny",
            "prompt": [{"role": "user", "content": f"{i}+{i % 3}="}],
            "ability": "math",
            "reward_model": {"style": "rule", "ground_truth": str(RATES[i % len(RATES)])},
            "extra_info": {"index": i if indices is None else indices[i], "split": "train"},
        }
        for i in range(count)
    ]
    datasets.Dataset.from_list(rows).to_parquet(str(path))
    return path


@dataclass
class Tiny:
    """One training's folder and command line."""

    folder: Path
    steps: int = 3
    batch: int = 4
    n: int = 4
    prompts: int = 16
    mode: str = "sync"
    extra: list[str] = field(default_factory=list)

    def overrides(self) -> list[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        model = self.folder / "model"
        if not model.exists():
            save_model(model)
        train = self.folder / "train.parquet"
        if not train.exists():
            save_prompts(train, self.prompts)
        return [
            f"data.train_files={train}",
            f"data.val_files={train}",
            f"data.train_batch_size={self.batch}",
            "data.max_prompt_length=16",
            "data.max_response_length=6",
            "data.dataloader_num_workers=0",
            "data.seed=1",
            "algorithm.adv_estimator=grpo",
            f"actor_rollout_ref.model.path={model}",
            "actor_rollout_ref.model.use_remove_padding=False",
            "actor_rollout_ref.model.enable_gradient_checkpointing=False",
            "+actor_rollout_ref.model.override_config.attn_implementation=eager",
            "actor_rollout_ref.actor.strategy=fsdp2",
            "actor_rollout_ref.actor.fsdp_config.dtype=float32",
            "actor_rollout_ref.actor.fsdp_config.model_dtype=float32",
            "+actor_rollout_ref.actor.fsdp_config.mixed_precision.param_dtype=fp32",
            "actor_rollout_ref.actor.use_torch_compile=False",
            "actor_rollout_ref.actor.fsdp_config.use_torch_compile=False",
            "actor_rollout_ref.actor.optim.lr=1e-2",
            f"actor_rollout_ref.actor.ppo_mini_batch_size={self.batch}",
            "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4",
            "actor_rollout_ref.rollout.name=tiny",
            "actor_rollout_ref.rollout.dtype=float32",
            "actor_rollout_ref.rollout.tensor_model_parallel_size=1",
            f"actor_rollout_ref.rollout.n={self.n}",
            "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=4",
            "actor_rollout_ref.rollout.free_cache_engine=False",
            "actor_rollout_ref.rollout.agent.num_workers=1",
            "reward.num_workers=1",
            f"reward.custom_reward_function.path={HERE / 'rewards.py'}",
            "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
            "trainer.logger=[file]",
            "trainer.n_gpus_per_node=1",
            "trainer.nnodes=1",
            "trainer.device=cpu",
            "trainer.val_before_train=False",
            f"trainer.total_training_steps={self.steps}",
            "trainer.total_epochs=100",
            f"trainer.default_local_dir={self.folder / 'checkpoints'}",
            f"trainer.v1.trainer_mode={self.mode}",
            *self.extra,
            *self._scope(),
        ]

    def _scope(self) -> list[str]:
        """Most of what is tested here is easiest to see where a loader's batch is shared out."""
        chosen = any(word.startswith("+rollout_allocator=") for word in self.extra)
        said = any("rollout_allocator.scope" in word for word in self.extra)
        return ["rollout_allocator.scope=batch"] if chosen and not said else []

    def config(self) -> Any:
        with initialize_config_module("verl.trainer.config", version_base=None):
            return compose("ppo_trainer", overrides=self.overrides())


UNDISTURBED_STEPS, UNDISTURBED_SAVED = 6, 4


def undisturbed_flags(folder: Path) -> list[str]:
    """Of the training that others are held against."""
    return [
        "+rollout_allocator=cero",
        "rollout_allocator.saturation=0.5",
        f"rollout_allocator.trace={folder}/trace.jsonl",
        f"trainer.save_freq={UNDISTURBED_SAVED}",
        "actor_rollout_ref.actor.checkpoint.save_contents=[model,optimizer,extra]",
    ]


def mode_flags(mode: str, folder: Path, batch: int) -> list[str]:
    """What an asynchronous mode needs beside its name."""
    if mode == "colocate_async":
        return ["trainer.v1.colocate_async.num_warmup_batches=1"]
    weights = folder / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    return [
        "trainer.v1.separate_async.num_warmup_batches=1",
        "trainer.v1.separate_async.parameter_sync_step=2",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={batch // 2}",
        "actor_rollout_ref.rollout.nnodes=1",
        "actor_rollout_ref.rollout.n_gpus_per_node=1",
        "actor_rollout_ref.rollout.checkpoint_engine.backend=file",
        f"+actor_rollout_ref.rollout.checkpoint_engine.engine_kwargs.file.folder={weights}",
    ]


@dataclass
class Row:
    """One rollout in the trainer's own data, as its advantage was computed."""

    uid: str
    index: int
    reward: float
    advantage: float
    tokens: int  # of the response


@dataclass
class Run:
    """What a training left behind."""

    config: Any
    runner: Any
    steps: list[list[Row]]  # of every update, without padding
    padding: list[int]  # rows of padding in every update
    log: list[dict[str, Any]]  # verl's own records, from its file logger

    def counts(self) -> list[dict[int, int]]:
        """Rollouts of each prompt, by its index, in every update."""
        return [dict(Counter(row.index for row in rows)) for rows in self.steps]


def train(
    tiny: Tiny,
    *,
    hook: Callable[[Any], None] = lambda trainer: None,
    finished: Callable[[Any], None] | None = None,
) -> Run:
    """verl's own task runner in this process, observed where it has computed the advantages.

    Args:
        tiny: the training.
        hook: called with the trainer after every update's advantages.
        finished: called with the task runner while its actors still live.
    """
    import transfer_queue as tq
    from verl.trainer.main_ppo import TaskRunnerV1
    from verl.trainer.ppo.v1 import replay_buffer, trainer_base

    config = tiny.config()
    steps: list[list[Row]] = []
    padding: list[int] = []
    original = trainer_base.PPOTrainer._compute_advantage

    def observed(self: Any, batch: Any, metrics: Any) -> Any:
        result = original(self, batch, metrics)
        data = tq.kv_batch_get(
            keys=batch.keys,
            partition_id=batch.partition_id,
            select_fields=["uid", "index", "rm_scores", "advantages", "response_mask"],
        )
        padded = [bool(tag.get("is_padding")) for tag in batch.tags]
        columns = [list(data[name]) for name in ("uid", "index", "rm_scores", "advantages", "response_mask")]
        rows = [
            Row(str(uid), int(index), float(scores.sum()), float(advantages[0]), int(mask.sum()))
            for uid, index, scores, advantages, mask in zip(*columns, strict=True)
        ]
        steps.append([row for row, pad in zip(rows, padded, strict=True) if not pad])
        padding.append(sum(padded))
        hook(self)
        return result

    log = tiny.folder / "log.jsonl"
    log.unlink(missing_ok=True)
    runner = TaskRunnerV1.__ray_metadata__.modified_class()
    poll = replay_buffer.ReplayBuffer.__init__.__defaults__
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VERL_FILE_LOGGER_PATH", str(log))
        patch.setattr(trainer_base.PPOTrainer, "_compute_advantage", observed)
        # verl looks for finished prompts every two seconds, which is most of a tiny step.
        patch.setattr(replay_buffer.ReplayBuffer.__init__, "__defaults__", (0.05, *poll[1:]))
        with cluster():
            runner.run(config)
            if finished is not None:
                finished(runner)
    records = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return Run(config, runner, steps, padding, records)


@contextlib.contextmanager
def cluster() -> Iterator[None]:
    """A Ray on the loopback, its GPUs by name only; one for each training, as verl's command line has it."""
    fork_workers(*IMPORTED)
    ray.init(
        num_cpus=16,
        num_gpus=4,
        include_dashboard=False,
        object_store_memory=200 * 2**20,
        _node_ip_address="127.0.0.1",
        log_to_driver=bool(os.environ.get("TINY_LOGS")),
        runtime_env={"env_vars": {"TRANSFER_QUEUE_ENABLE": "1"}},
    )
    try:
        yield
    finally:
        ray.shutdown()
