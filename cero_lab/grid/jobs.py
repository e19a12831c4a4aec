"""One training of a grid: its names, and what they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cero_lab.grid.regimes import Regime, regime_of
from cero_lab.grid.starts import MODELS, start_name
from cero_lab.grid.variants import VARIANTS
from cero_lab.settings import WarmstartSettings

Trainer = Literal["fast", "trl", "verl", "openrlhf"]


@dataclass(frozen=True)
class Job:
    """A training.

    Args:
        regime: name that `regime_of` knows.
        variant: name in `VARIANTS`.
        start: index of the start.
        seed: of the pool's draw, the batches, the samples and the driver's ties.
        trainer: "fast", or a real one: the judge of a chosen few.
    """

    regime: str
    variant: str
    start: int
    seed: int
    trainer: Trainer = "fast"

    @property
    def settings(self) -> Regime:
        """What is equal for every variant."""
        return regime_of(self.regime)

    @property
    def model(self) -> WarmstartSettings:
        """How the start is made."""
        return MODELS[self.settings.model].model_copy(update={"seed": self.start})

    @property
    def start_name(self) -> str:
        """What the record calls the start."""
        return start_name(self.settings.model, self.start)

    @property
    def meaning(self) -> str:
        """What the variant's name stands for today."""
        return repr(VARIANTS[self.variant])

    def path(self, folder: Path) -> Path:
        """Of its record; a regime's are in one folder, which `cero report` takes."""
        place = folder / self.regime if self.trainer == "fast" else folder / self.trainer / self.regime
        return place / f"{self.variant}.{self.start_name}.seed{self.seed}.json"
