"""One training's held-out accuracy over the rollouts it spent, as a JSON file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from cero_api.errors import TraceError
from cero_api.frozen import FrozenConfig

T = TypeVar("T")
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
        return _parsed(Path(path), cls.model_validate_json)


def read_trainings(paths: Iterable[str | os.PathLike[str]]) -> list[TrainingRecord]:
    """Records from files, each of one training or a list of several, and from every `*.json` of folders.

    Args:
        paths: of files and folders.

    Returns:
        In the order of the paths, a folder's by name.

    Raises:
        TraceError: a file that holds no record, a folder without one, or two records of one label and seed.
    """
    found: dict[tuple[str, int], Path] = {}
    records = []
    for path in map(Path, paths):
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not files:
            raise TraceError(f"{path} holds no .json; give the folder of the records")
        for file in files:
            for record in _parsed(file, _one_or_several):
                twin = found.get((record.label, record.seed))
                if twin is not None:
                    raise TraceError(f"{record.label}, seed {record.seed}, is in {twin} and in {file}; keep one")
                found[record.label, record.seed] = file
                records.append(record)
    return records


def _one_or_several(data: bytes) -> list[TrainingRecord]:
    if data.lstrip().startswith(b"["):
        return TypeAdapter(list[TrainingRecord]).validate_json(data)
    return [TrainingRecord.model_validate_json(data)]


def _parsed(path: Path, parse: Callable[[bytes], T]) -> T:
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise TraceError(f"{path} cannot be read ({error}); check the path") from error
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        number = f"number {fault['loc'][0] + 1}: " if fault["loc"] and isinstance(fault["loc"][0], int) else ""
        raise TraceError(
            f"{path} is no record of a training: {number}{fault['msg'].removeprefix('Value error, ')}; "
            'write {"label": "cero", "seed": 0, "rollouts": [0, 640], "accuracy": [0.1, 0.2]}'
        ) from None
