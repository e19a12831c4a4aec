"""The sizes of a training that somebody thinks of: given, read from a record, or assumed, and said which."""

from __future__ import annotations

from dataclasses import dataclass

from cero_api.adapting.defaults import RoundShape
from cero_api.analysis.history import SuccessHistory
from cero_api.config import Scope
from cero_api.errors import ConfigurationError

ASSUMED = {"epochs": 1.0, "group_size": 8, "batch": 64}


@dataclass(frozen=True)
class Run:
    """A training with a uniform trainer's sizes.

    Args:
        prompts: of the pool, M.
        epochs: passes over it.
        group_size: rollouts of a prompt, on average.
        batch: prompts of a step.
        assumed: names of those that nobody gave and no record tells.

    Raises:
        ConfigurationError: a size is none, or the batch has more prompts than the pool.

    >>> run = Run(prompts=17_000, epochs=2, group_size=8, batch=128)
    >>> run.rounds, run.budget, round(run.visits, 2)
    (264, 270336, 1.99)
    """

    prompts: int
    epochs: float
    group_size: int
    batch: int
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("prompts", "epochs", "group_size", "batch"):
            if not 0 < getattr(self, name) < 2**31:
                raise ConfigurationError(f"{name}={getattr(self, name)} is not above 0; give what the training has")
        if self.batch > self.prompts:
            raise ConfigurationError(
                f"batch={self.batch} prompts do not fit a pool of {self.prompts}; lower the batch, or correct the pool"
            )

    @property
    def rounds(self) -> int:
        """Steps, an incomplete last batch of an epoch dropped as loaders do; at least one."""
        return max(int(self.epochs * (self.prompts // self.batch)), 1)

    @property
    def room(self) -> int:
        """Rollouts of a step."""
        return self.batch * self.group_size

    @property
    def budget(self) -> int:
        """Rollouts in all."""
        return self.rounds * self.room

    @property
    def visits(self) -> float:
        """Groups of a prompt, were they dealt evenly."""
        return self.rounds * self.batch / self.prompts

    def shape(self, scope: Scope) -> RoundShape:
        """From which an allocator's settings follow, as in every adapter."""
        return RoundShape(
            num_prompts=self.prompts,
            rounds=self.rounds,
            budget=self.budget,
            group_size=self.group_size,
            largest=self.room,
            scope=scope,
        )


def run_of(
    history: SuccessHistory | None,
    *,
    prompts: int | None = None,
    epochs: float | None = None,
    group_size: int | None = None,
    batch: int | None = None,
) -> Run:
    """What was given, else what a record tells, else what is assumed.

    Args:
        history: the record; None is none.
        prompts: see `Run`; as are the others.
        epochs: passes.
        group_size: rollouts.
        batch: prompts.

    Raises:
        ConfigurationError: neither a record nor the number of prompts, or sizes that cannot be.

    >>> run_of(None, prompts=1000, epochs=3).assumed
    ('group_size', 'batch')
    """
    if history is None and prompts is None:
        raise ConfigurationError(
            "nothing is known of the run; give a record (pass rates, dumps, a trace), or prompts=... (--prompts)"
        )
    found: dict[str, float] = {}
    if history is not None:
        found["prompts"] = history.num_prompts
        if history.rounds:
            offered = max(round(history.candidates.size / history.rounds), 1)
            found |= {"batch": offered, "epochs": history.candidates.size / history.num_prompts}
            if history.rollouts.size:
                found["group_size"] = max(round(int(history.rollouts.sum()) / history.candidates.size), 1)
    given = {"prompts": prompts, "epochs": epochs, "group_size": group_size, "batch": batch}
    found |= {name: value for name, value in given.items() if value is not None}
    assumed = {name: value for name, value in ASSUMED.items() if name not in found}
    if "batch" in assumed:
        assumed["batch"] = min(assumed["batch"], found["prompts"])
    sizes = found | assumed
    return Run(
        prompts=int(sizes["prompts"]),
        epochs=float(sizes["epochs"]),
        group_size=int(sizes["group_size"]),
        batch=int(sizes["batch"]),
        assumed=tuple(assumed),
    )
