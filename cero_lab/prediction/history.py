"""A training by uniform groups: who was tried when and with what success, and the true rates of all meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.errors import TraceError

_FLAT = 17.0  # log-odds beyond which a rate is 0 or 1 for every purpose


class Visit(NamedTuple):
    """One round: int64 or float64 `[P]` each."""

    rows: IntArray
    counts: IntArray
    successes: FloatArray


@dataclass(frozen=True, eq=False)
class History:
    """One training.

    Args:
        name: of the pool and the training.
        log_odds: of every prompt's true success rate, float64 `[T, M]`, at `at`.
        at: rounds, int64 `[T]`, ascending.
        visits: what each round dealt and earned.
        features: what is seen of each prompt before it is tried, float64 `[M, d]`.
        offline: successes of another model in four samples of each prompt, int64 `[M]`.
    """

    name: str
    log_odds: FloatArray
    at: IntArray
    visits: tuple[Visit, ...]
    features: FloatArray
    offline: IntArray

    @property
    def num_prompts(self) -> int:
        """M."""
        return self.log_odds.shape[1]

    def rates(self, round: int) -> FloatArray:
        """True success rates in a round, float64 `[M]`: log-odds in straight lines between those that are known."""
        after = int(np.clip(np.searchsorted(self.at, round, side="right"), 1, self.at.size - 1))
        start, end = self.at[after - 1], self.at[after]
        share = np.clip((round - start) / (end - start), 0.0, 1.0)
        odds = (1 - share) * self.log_odds[after - 1] + share * self.log_odds[after]
        return np.asarray(1.0 / (1.0 + np.exp(-odds)))

    def save(self, path: Path) -> None:
        """Write it as one file of plain arrays, log-odds to three digits."""
        path.parent.mkdir(parents=True, exist_ok=True)
        rows, counts, won = (np.concatenate(parts) for parts in zip(*self.visits, strict=True))
        np.savez_compressed(
            path,
            log_odds=np.clip(self.log_odds, -_FLAT, _FLAT).astype(np.float16),
            at=self.at.astype(np.int32),
            sizes=np.array([visit.rows.size for visit in self.visits], dtype=np.int32),
            rows=rows.astype(np.int32),
            counts=counts.astype(np.int16),
            successes=won.astype(np.float32),
            features=self.features.astype(np.float32),
            offline=self.offline.astype(np.int8),
        )

    @classmethod
    def load(cls, path: Path) -> History:
        """Read what `save` wrote.

        Raises:
            TraceError: the file is not there, or is none of these.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                parts = {name: file[name] for name in file.files}
            ends = np.cumsum(parts["sizes"])[:-1]
            columns = (
                np.split(parts["rows"].astype(np.int64), ends),
                np.split(parts["counts"].astype(np.int64), ends),
                np.split(parts["successes"].astype(np.float64), ends),
            )
            return cls(
                name=path.stem,
                log_odds=parts["log_odds"].astype(np.float64),
                at=parts["at"].astype(np.int64),
                visits=tuple(Visit(*visit) for visit in zip(*columns, strict=True)),
                features=parts["features"].astype(np.float64),
                offline=parts["offline"].astype(np.int64),
            )
        except (OSError, KeyError, ValueError) as error:
            raise TraceError(f"{path} is no history with rates ({error}); make it with --make") from error


def synthetic(*, said: float, seed: int, prompts: int = 640, rounds: int = 80, batch: int = 8) -> History:
    r"""A pool whose log-odds drift by themselves, and two features of which the first says a given share.

    Log-odds start as $-1 + 2\,(s f + \sqrt{1 - s^2}\, e)$ and move by 0.02 a round on average, each prompt by its own
    normal amount around it; $f$ and $e$ are standard normal.

    Args:
        said: $s$, correlation of the first feature with the log-odds.
        seed: of the pool, its drift, the batches and the outcomes.
        prompts: M.
        rounds: K.
        batch: prompts of a round, eight rollouts each.
    """
    rng = np.random.default_rng((seed, 17))
    feature, rest, useless, own = rng.normal(size=(4, prompts))
    start = -1.0 + 2.0 * (said * feature + np.sqrt(1.0 - said**2) * rest)
    moved = 0.02 * rounds + 0.8 * own
    at = np.array([0, rounds])
    odds = np.stack([start, start + moved])
    still = History(
        f"synthetic-{said:g}", odds, at, (), np.column_stack([feature, useless]), np.zeros(prompts, np.int64)
    )
    visits, line = [], np.empty(0, dtype=np.int64)
    for k in range(rounds):
        if line.size < batch:
            line = rng.permutation(prompts)
        rows, line = line[:batch], line[batch:]
        counts = np.full(batch, 8)
        visits.append(Visit(rows, counts, rng.binomial(counts, still.rates(k)[rows]).astype(np.float64)))
    other = 1.0 / (1.0 + np.exp(-(start + rng.normal(0.0, 0.7, prompts))))
    return History(still.name, odds, at, tuple(visits), still.features, rng.binomial(4, other))


def histories(folder: Path) -> Iterator[tuple[str, list[History]]]:
    """What a folder holds, regime by regime: files `REGIME.START.seedN.npz`."""
    regimes: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.npz")):
        regimes.setdefault(path.name.partition(".")[0], []).append(path)
    for regime, paths in regimes.items():
        yield regime, [History.load(path) for path in paths]
