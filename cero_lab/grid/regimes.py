"""Where variants are compared: a pool, the sizes of a training on it, and the model. Equal for every variant."""

from __future__ import annotations

from collections.abc import Mapping

from cero_api.errors import ConfigurationError
from cero_lab.settings import EvalSettings, Frozen, PoolName, TrainSettings

# 64 rollouts a step everywhere, and 80 steps: a prompt is visited as often as the pool is small. Learning rates are
# uniform's best among halves and doubles; docs/lab.md has the table, and `regime_of` the others.
BASE = TrainSettings(prompts=640, rounds=80, prompts_per_round=8, group_size=8, warmup=5, learning_rate=4e-4)


class Regime(Frozen):
    """What is equal for all variants.

    Args:
        pool: mixture of puzzles.
        train: sizes of a training.
        model: name of a kind of start.
        evaluation: exact, so that what differs between trainings is the training alone.
    """

    pool: PoolName
    train: TrainSettings
    model: str
    evaluation: EvalSettings

    @property
    def visits(self) -> float:
        """Groups for each prompt of the pool, were they dealt evenly."""
        return self.train.rounds * self.train.prompts_per_round / self.train.prompts

    @property
    def rollouts(self) -> int:
        """Of one round."""
        return self.train.prompts_per_round * self.train.group_size


def _regime(pool: PoolName = "hard", model: str = "small", held: int = 256, **sizes: object) -> Regime:
    evaluation = EvalSettings(prompts=held, samples=0, every=4)
    return Regime(pool=pool, train=BASE.model_copy(update=sizes), model=model, evaluation=evaluation)


ONE, TWO, SEVEN = 640, 320, 96  # prompts that are visited so often

REGIMES: Mapping[str, Regime] = {
    # A real run passes a large pool once to three times.
    "hard-one-visit": _regime(prompts=ONE),
    "hard-two-visits": _regime(prompts=TWO),
    "hard-seven-visits": _regime(prompts=SEVEN),
    # Over half of hard is out of reach at first, four fifths of hardest, a quarter of mixed, nothing of easy.
    "hardest-one-visit": _regime("hardest", prompts=ONE),
    "mixed-one-visit": _regime("mixed", prompts=ONE),
    "easy-one-visit": _regime("easy", prompts=ONE),
    "hardest-seven-visits": _regime("hardest", prompts=SEVEN),
    "mixed-seven-visits": _regime("mixed", prompts=SEVEN),
    "easy-seven-visits": _regime("easy", prompts=SEVEN),
    # Groups of sixteen: half as many prompts a round.
    "hard-one-visit-groups-16": _regime(prompts=ONE // 2, prompts_per_round=4, group_size=16),
    "hard-seven-visits-groups-16": _regime(prompts=SEVEN // 2, prompts_per_round=4, group_size=16),
    # Larger models; where half of the time would be evaluation, half as many prompts are held out.
    "hard-one-visit-demo": _regime(model="demo", prompts=ONE, learning_rate=2e-4),
    "hard-two-visits-demo": _regime(model="demo", prompts=TWO, learning_rate=2e-4),
    "hard-seven-visits-demo": _regime(model="demo", prompts=SEVEN, learning_rate=2e-4),
    "hard-one-visit-large": _regime(model="large", held=128, prompts=ONE, learning_rate=1e-4),
    "hard-seven-visits-large": _regime(model="large", held=128, prompts=SEVEN, learning_rate=1e-4),
    # Answers of four to twenty-one tokens, cheap and dear ones both within reach and beyond.
    "lengths-one-visit": _regime("lengths", "long", prompts=ONE, max_new_tokens=22, learning_rate=1e-4),
    "lengths-seven-visits": _regime("lengths", "long", prompts=SEVEN, max_new_tokens=22, learning_rate=1e-4),
}


def regime_of(name: str) -> Regime:
    """A regime by its name, or one at another learning rate: "hard-one-visit@0.5" is at half of it.

    Raises:
        ConfigurationError: no regime has this name.

    >>> regime_of("hard-one-visit@0.5").train.learning_rate
    0.0002
    """
    base, _, factor = name.partition("@")
    try:
        place, scale = REGIMES[base], float(factor or 1.0)
    except (KeyError, ValueError):
        raise ConfigurationError(
            f"no regime is called {name!r}; choose from {', '.join(REGIMES)}, or one of these at a multiple of its "
            "learning rate, as in hard-one-visit@0.5"
        ) from None
    rate = {"learning_rate": place.train.learning_rate * scale}
    return place.model_copy(update={"train": place.train.model_copy(update=rate)})


SETS: Mapping[str, tuple[str, ...]] = {
    "visits": ("hard-one-visit", "hard-two-visits", "hard-seven-visits"),
    "pools": tuple(name for name in REGIMES if name.split("-")[0] in ("hardest", "mixed", "easy")),
    "groups": tuple(name for name in REGIMES if name.endswith("groups-16")),
    "models": tuple(name for name in REGIMES if name.endswith(("-demo", "-large"))),
    "lengths": tuple(name for name in REGIMES if name.startswith("lengths")),
    "all": tuple(REGIMES),
}
