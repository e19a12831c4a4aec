"""One training's held-out accuracy over the rollouts it spent, as a JSON file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from cero_api.config import FrozenConfig
from cero_api.errors import TraceError

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class TrainingRecord(FrozenConfig):
    """What a comparison at equal rollouts needs of a training.

    Other fields of a file are passed over, so that whoever writes it may keep more there.

    Args:
        label: what is compared, such as the allocator's name; "uniform" is the baseline.
        seed: trainings of equal seed are paired: same prompts, same starting model.
        rollouts: spent in all at each evaluation, ascending; at least two, the starting model's the first.
        accuracy: held out, at each; any score of which more is better.
        effective_group_rate: share of groups with both a success and a failure.
        signal_per_rollout: mean over rollouts of the variance of their group's rewards, at most 1/4.
        optimizer_steps: of the training.
        allocator_seconds: in the allocator, over the whole training.
        seconds: wall time of the training, evaluations not included.

    Raises:
        ConfigurationError: evaluations that are too few, out of order, or not finite.

    >>> run = TrainingRecord(label="cero", seed=0, rollouts=[0, 640, 1280], accuracy=[0.1, 0.2, 0.4])
    >>> run.rollouts[-1]
    1280
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    label: str = Field(min_length=1)
    seed: int = 0
    rollouts: Sequence[Annotated[int, Field(ge=0, lt=2**53)]]
    accuracy: Sequence[Annotated[float, Field(allow_inf_nan=False)]]
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
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON, whole or not at all.

        Args:
            path: of the file; its folder is made if need be.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(self.model_dump_json(), encoding="utf-8")
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote, or what was written by hand.

        Args:
            path: of the file.

        Raises:
            TraceError: it cannot be read, or is no such record.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise TraceError(f"{path} cannot be read ({error}); check the path") from error
        except ValidationError as error:
            said = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise TraceError(
                f"{path} is no record of a training: {said}; "
                'write {"label": "cero", "seed": 0, "rollouts": [0, 640], "accuracy": [0.1, 0.2]}'
            ) from None


def read_trainings(paths: Iterable[str | os.PathLike[str]]) -> list[TrainingRecord]:
    """Records from files, and from every `*.json` of folders.

    Args:
        paths: of files and folders.

    Returns:
        In the order of the paths, a folder's by name.

    Raises:
        TraceError: a file that is no record, a folder without one, or two records of one label and seed.
    """
    found: dict[tuple[str, int], Path] = {}
    records = []
    for path in map(Path, paths):
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not files:
            raise TraceError(f"{path} holds no .json; give the folder of the records")
        for file in files:
            record = TrainingRecord.load(file)
            twin = found.setdefault((record.label, record.seed), file)
            if twin is not file:
                raise TraceError(f"{file} and {twin} are both {record.label}, seed {record.seed}; keep one")
            records.append(record)
    return records
