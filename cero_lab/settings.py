"""Every number of the demo, in frozen models; what the command line may change is `DemoSettings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cero_api.advantages import PromptWeight

SETTINGS_FILE = "settings.json"  # of a run, in its folder

PoolName = Literal["hardest", "hard", "mixed", "easy", "lengths"]
Scope = Literal["batch", "window", "pool"]
Count = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0)]


class Frozen(BaseModel):
    """Immutable, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelSettings(Frozen):
    """Size of the embedded model: 0.65 million parameters.

    Attributes:
        width: Of the residual stream.
        mlp_width: Of the hidden layer of each block.
        layers: Blocks.
        heads: Attention heads.
    """

    width: Count = 128
    mlp_width: Count = 384
    layers: Count = 3
    heads: Count = 4


class WarmstartSettings(Frozen):
    """The supervised warm start.

    Attributes:
        model: What is trained.
        mastery: Share of positions where the most likely character must be right before it ends. A number of steps
            would end elsewhere on another processor, for the skill comes suddenly.
        max_steps: Optimizer steps after which it ends anyway.
        batch: Demonstrations per step.
        learning_rate: Constant after a short warmup, until the cooldown.
        cooldown: Steps that follow, in which the learning rate falls to zero.
        slips: Share of wrong characters in the demonstrations. The model learns to slip as often, which is what
            reinforcement can unlearn, and what spreads success rates over (0, 1).
        length_decay: How much rarer an answer one character longer is.
        longest: Characters of the longest answer shown; longer inputs stay out of reach.
        tasks: Whose puzzles are shown.
        seed: Of weights and data.
    """

    model: ModelSettings = ModelSettings()
    mastery: Annotated[float, Field(gt=0, le=1)] = 0.92
    max_steps: Count = 500
    batch: Count = 128
    learning_rate: Positive = 3e-3
    cooldown: Count = 40
    slips: Annotated[float, Field(ge=0, lt=1)] = 0.15
    length_decay: Positive = 0.5
    longest: Count = 9
    tasks: tuple[str, ...] = ("spell_backward", "caesar_cipher")
    seed: int = 0


class TrainSettings(Frozen):
    """One GRPO training; the same for every allocator.

    Attributes:
        prompts: Pool size (M).
        rounds: Optimizer steps, each on a new generation batch (K).
        prompts_per_round: Groups in a batch.
        group_size: Rollouts of a group, TRL's `num_generations`.
        optimizer: Name that transformers knows it by.
        learning_rate: Constant after a short warmup.
        warmup: Rounds of it.
        max_new_tokens: Longest completion.
        save_every: Rounds between checkpoints.
    """

    prompts: Count = 320
    rounds: Count = 300
    prompts_per_round: Count = 16
    group_size: Count = 8
    optimizer: Literal["adamw_torch", "sgd"] = "adamw_torch"
    learning_rate: Positive = 1e-4
    warmup: int = 10
    max_new_tokens: Count = 11
    save_every: Count = 50

    @property
    def budget(self) -> int:
        """Rollouts of the whole training."""
        return self.rounds * self.prompts_per_round * self.group_size


class EvalSettings(Frozen):
    """Held-out evaluation.

    Attributes:
        prompts: Held-out prompts, the same for every seed and allocator.
        samples: Completions of each; 0 takes the probability of the right answer instead, which is what infinitely
            many would tell, at a fraction of the time.
        every: Rounds between evaluations.
        seed: Of the choice of prompts and of the sampling.
    """

    prompts: Count = 256
    samples: Annotated[int, Field(ge=0)] = 4
    every: Count = 10
    seed: int = 20_260_605


class RunSettings(Frozen):
    """One training run: an allocator and a seed.

    Attributes:
        allocator: A registered name.
        seed: Of the pool's draw and of the training.
        stream: Another one is another training on the same pool.
        pool: Which mixture of puzzles.
        start: Checkpoint folder to start from.
        scope: Who picks the prompts; None is the allocator's usual one.
        allocator_config: Settings of the allocator, beside what follows from the training.
        prompt_weight: Of a prompt in the loss.
        train: The training.
        evaluation: The evaluations.
    """

    allocator: str
    seed: int
    pool: PoolName
    start: Path
    scope: Scope | None = None
    allocator_config: dict[str, Any] = {}
    prompt_weight: PromptWeight = "rollout"
    train: TrainSettings = TrainSettings()
    evaluation: EvalSettings = EvalSettings()
    stream: int = 0


class DemoSettings(Frozen):
    """A comparison: every allocator on every start and seed.

    Attributes:
        allocators: Registered names.
        starts: Warm starts of the embedded model, by the seed of each; with `model`, that model alone.
        seeds: Of pool and training.
        pool: Which mixture of puzzles.
        scope: Of all allocators but uniform, which takes what TRL's own sampler draws; None is each one's usual one.
        model: Checkpoint folder to start from; None is the embedded model after its warm start.
        warmstart: How the embedded model is made.
        train: The trainings.
        evaluation: The evaluations.
        out: Folder of runs and report.
        jobs: Trainings at the same time, each on one core.
    """

    allocators: Annotated[tuple[str, ...], Field(min_length=1)] = ("uniform", "cero")
    starts: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    pool: PoolName = "hard"
    scope: Scope | None = None
    model: Path | None = None
    warmstart: WarmstartSettings = WarmstartSettings()
    train: TrainSettings
    evaluation: EvalSettings
    out: Path = Path("runs/demo")
    jobs: Count = 2

    @property
    def visits(self) -> float:
        """Groups for each prompt of the pool, were they dealt evenly."""
        return self.train.rounds * self.train.prompts_per_round / self.train.prompts
