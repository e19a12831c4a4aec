"""Where the allocators are compared: pools and sizes of training. Equal for every allocator."""

from __future__ import annotations

from dataclasses import dataclass

from cero_lab.settings import EvalSettings, ModelSettings, PoolName, TrainSettings, WarmstartSettings

# 64 rollouts a step everywhere. The paper serves a prompt with about seven groups in all, and so does BASE.
BASE = TrainSettings(
    prompts=96, rounds=80, prompts_per_round=8, group_size=8, warmup=5, learning_rate=4e-4, save_every=10**9
)
# Expected accuracy instead of samples: what differs between runs is then the training alone.
EVALUATION = EvalSettings(prompts=256, samples=0, every=4)


# The demo's learner with 0.1 million parameters: a training takes a third of the time, so there can be more seeds.
SMALL = WarmstartSettings(model=ModelSettings(width=64, mlp_width=192, layers=2, heads=4), learning_rate=5e-3)


@dataclass(frozen=True)
class Regime:
    """A pool, the sizes of a training on it, and the model."""

    pool: PoolName
    train: TrainSettings = BASE
    model: WarmstartSettings = SMALL

    @property
    def visits(self) -> float:
        """Groups per prompt of the pool, were they dealt evenly."""
        return self.train.rounds * self.train.prompts_per_round / self.train.prompts


def _with(**sizes: object) -> TrainSettings:
    return BASE.model_copy(update=sizes)


REGIMES: dict[str, Regime] = {
    "hardest": Regime("hardest"),
    "hard": Regime("hard"),
    "mixed": Regime("mixed"),
    "easy": Regime("easy"),
    "hard-few-visits": Regime("hard", _with(prompts=320)),
    "hard-many-visits": Regime("hard", _with(prompts=32)),
    "hard-small-groups": Regime("hard", _with(prompts_per_round=16, group_size=4, prompts=192)),
    "hard-large-groups": Regime("hard", _with(prompts_per_round=4, group_size=16, prompts=48)),
    "hard-small-steps": Regime("hard", _with(prompts_per_round=2, rounds=320, learning_rate=2e-4)),
    "hard-sgd": Regime("hard", _with(optimizer="sgd", learning_rate=0.1)),
    "hard-demo-model": Regime("hard", _with(learning_rate=2e-4), WarmstartSettings()),
}
