"""One training's held-out accuracy over the rollouts and tokens it spent, as a JSON file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from cero_api.errors import TraceError
from cero_api.files import regular_file, write_whole
from cero_api.frozen import FrozenConfig

T = TypeVar("T")
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Spent = Annotated[int, Field(ge=0, lt=2**53)]
Score = Annotated[float, Field(allow_inf_nan=False)]


def _listed(values: Any) -> Any:
    """Arrays and tensors as lists, other sequences as they are."""
    return values.tolist() if hasattr(values, "tolist") else values


class TrainingRecord(FrozenConfig):
    r"""What a comparison at equal rollouts needs of a training.

    Other fields of a file are passed over, so that whoever writes it may keep more there.

    Args:
        label: what is compared, such as the allocator's name; "uniform" is the baseline.
        seed: trainings of equal start and seed are paired: same prompts, same order.
        start: name of the model that the training began from. Starts differ in what can be saved from them, so an
            interval over several speaks of models like these, and an interval over one of that model alone.
        regime: name of what else is equal, such as pool and sizes; trainings are compared within one.
        rollouts: spent in all at each evaluation, ascending, int `[E]`; at least two, the starting model's the first.
        accuracy: held out, at each, float `[E]`; any score of which more is better.
        tokens: generated in all at each evaluation, int `[E]`.
        effective_group_rate: share of groups whose rewards differ.
        signal_per_rollout: mean over rollouts of the unbiased variance of their group's rewards; at most
            $n / (4 (n - 1))$ for groups of $n$: a half in groups of two, and nearer to a quarter the larger they are.
        optimizer_steps: of the training.
        allocator_seconds: in the allocator, over the whole training.
        seconds: wall time of the training, evaluations not included.

    Raises:
        ConfigurationError: evaluations that are too few, out of order, or not finite.

    >>> run = TrainingRecord(label="cero", seed=0, start="warm-0", rollouts=[0, 640, 1280], accuracy=[0.1, 0.2, 0.4])
    >>> run.rollouts[-1]
    1280
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    label: str = Field(min_length=1)
    seed: int = 0
    start: str = ""
    regime: str = ""
    rollouts: Annotated[Sequence[Spent], BeforeValidator(_listed)]
    accuracy: Annotated[Sequence[Score], BeforeValidator(_listed)]
    tokens: Annotated[Sequence[Spent], BeforeValidator(_listed)] | None = None
    effective_group_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    signal_per_rollout: Annotated[float, Field(ge=0, le=0.5)] | None = None
    optimizer_steps: Annotated[int, Field(ge=0)] | None = None
    allocator_seconds: Seconds | None = None
    seconds: Seconds | None = None

    @model_validator(mode="after")
    def _a_curve(self) -> Self:
        if len(self.rollouts) != len(self.accuracy) or len(self.rollouts) < 2:
            raise ValueError(
                f"{len(self.rollouts)} values of rollouts and {len(self.accuracy)} of accuracy; "
                "give two or more of each, one per evaluation"
            )
        if any(later <= earlier for earlier, later in zip(self.rollouts, self.rollouts[1:], strict=False)):
            raise ValueError("rollouts do not ascend; give what had been spent in all by each evaluation")
        if self.tokens is not None:
            if len(self.tokens) != len(self.rollouts):
                raise ValueError(
                    f"{len(self.rollouts)} values of rollouts and {len(self.tokens)} of tokens; "
                    "give one per evaluation, or none at all"
                )
            if any(later < earlier for earlier, later in zip(self.tokens, self.tokens[1:], strict=False)):
                raise ValueError("tokens descend; give what had been generated in all by each evaluation")
        return self

    @property
    def pair(self) -> tuple[str, int]:
        """What it shares with the trainings that it is compared with: start and seed."""
        return self.start, self.seed

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON, whole or not at all.

        Args:
            path: of the file; its folder is made if need be.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, self.model_dump_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote, or what was written by hand.

        Args:
            path: of the file.

        Raises:
            TraceError: it cannot be read, or is no such record.
        """
        return parsed(Path(path), lambda _, data: cls.model_validate_json(data))


def parsed(path: Path, parse: Callable[[Path, bytes], T]) -> T:
    """What a file holds, or a refusal that names the file, the record in it, and the reason."""
    try:
        with regular_file(path) as file:
            return parse(path, file.read())
    except OSError as error:
        raise TraceError(f"{path} cannot be read ({error}); check the path") from error
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        number = f"number {fault['loc'][0] + 1}: " if fault["loc"] and isinstance(fault["loc"][0], int) else ""
        raise TraceError(
            f"{path} is no record of a training: {number}{fault['msg'].removeprefix('Value error, ')}; "
            'write {"label": "cero", "seed": 0, "rollouts": [0, 640], "accuracy": [0.1, 0.2]}'
        ) from None
