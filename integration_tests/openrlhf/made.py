"""OpenRLHF's arguments and rollouts, made by hand for tests that train nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from openrlhf.trainer.ppo_utils.experience import Experience

from cero_openrlhf.tickets import Ticket


def args(**changes: Any) -> Any:
    """Nested arguments, as far as the adapter and the tests read them; names with `__` for dots."""
    settings: dict[str, Any] = {
        "actor.num_nodes": 1,
        "actor.num_gpus_per_node": 1,
        "algo.advantage.estimator": "rloo",
        "algo.advantage.gamma": 1.0,
        "algo.advantage.lambd": 0.95,
        "algo.advantage.no_std_norm": False,
        "algo.dynamic_filtering_enable": False,
        "cero.allocator": "cero",
        "cero.scope": "batch",
        "data.max_len": 16,
        "data.prompt_dataset": "prompts.jsonl",
        "ds.ring_attn_size": 1,
        "ds.tensor_parallel_size": 1,
        "reward.clip_range": (-10, 10),
        "reward.overlong_buffer_len": None,
        "reward.overlong_penalty_factor": 1.0,
        "reward.remote_url": ["reward.py"],
        "reward.stop_properly_penalty_coef": None,
        "rollout.batch_size": 4,
        "rollout.max_new_tokens": 6,
        "rollout.micro_batch_size": 4,
        "rollout.n_samples_per_prompt": 4,
        "train.agent_func_path": None,
        "train.async_enable": False,
        "train.dynamic_batch_enable": False,
        "train.num_episodes": 1,
        "vllm.num_engines": 1,
    }
    settings.update({name.replace("__", "."): value for name, value in changes.items()})
    root = SimpleNamespace()
    for name, value in settings.items():
        *parents, last = name.split(".")
        node = root
        for parent in parents:
            if not hasattr(node, parent):
                setattr(node, parent, SimpleNamespace())
            node = getattr(node, parent)
        setattr(node, last, value)
    return root


def reading(prompts: Path) -> dict[str, Any]:
    """Changes to `args` with which OpenRLHF reads this file."""
    return {
        "data__prompt_dataset": str(prompts),
        "data__prompt_probs": None,
        "data__prompt_split": "train",
        "data__max_samples": 100,
        "data__apply_chat_template": False,
        "data__input_key": "input",
        "data__input_template": None,
        "data__label_key": "label",
        "train__seed": 1,
    }


def ticket(uid: int, rollouts: int, row: int = 0, chunk: int = 0) -> Ticket:
    return Ticket(f"{uid}=", uid=uid, row=row, rollouts=rollouts, chunk=chunk)


def sample(of: Ticket, reward: float = 0.0) -> Experience:
    """One rollout as the generator returns it."""
    return Experience(prompts=[of], rewards=torch.tensor([reward]), info={"reward": torch.tensor([reward])})


def experiences(
    counts: list[int], *, seed: int = 0, micro: int = 3, width: int = 6, shuffled: bool = True
) -> list[Experience]:
    """Micro-batches of rollouts with random rewards, lengths, KL and values, as they reach the advantages.

    Args:
        counts: rollouts of each group.
        shuffled: whether the rows are in another order than their index says, as dynamic batching has it.
    """
    generator = torch.Generator().manual_seed(seed)
    tickets = [ticket(uid, count, row=uid) for uid, count in enumerate(counts) for _ in range(count)]
    total = len(tickets)
    order = torch.randperm(total, generator=generator).tolist() if shuffled else list(range(total))
    rewards = torch.rand(total, generator=generator).round(decimals=1)
    lengths = torch.randint(1, width + 1, (total,), generator=generator)
    made = []
    for start in range(0, total, micro):
        rows = order[start : start + micro]
        mask = torch.arange(width)[None] < lengths[rows][:, None]
        shape = (len(rows), width)
        made.append(
            Experience(
                index=rows,
                prompts=[tickets[row] for row in rows],
                rewards=rewards[rows].clone(),
                action_mask=mask,
                kl=torch.rand(shape, generator=generator) * mask,
                values=torch.rand(shape, generator=generator) * mask,
                response_length=lengths[rows].float(),
                truncated=lengths[rows] == width,
                info={"reward": rewards[rows].clone()},
            )
        )
    return made
