"""A number and how far chance may have moved it, by what is independent: the starts, or the seeds of the only start."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cero_api.analysis.contest import t95


@dataclass(frozen=True)
class Interval:
    """A number and its 95% interval, without end where one training cannot say.

    >>> Interval(0.8, 0.7, 0.9).known, Interval(0.8, 0.0, float("inf")).known
    (True, False)
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """The mean of independent values, by Student's t.

        >>> Interval.of([1.0, 2.0, 3.0])
        Interval(value=2.0, low=-0.484, high=4.484)
        """
        return Spread.of(dict(enumerate(values))).interval()

    @property
    def known(self) -> bool:
        """Whether the interval has an end on both sides."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Spread:
    r"""An estimate $\hat\theta$ and by how much each independent unit moved it.

    Args:
        value: $\hat\theta$.
        moves: by unit; their squares sum to the squared standard error.
        freedom: degrees of freedom; 0 if one unit is all there is.
    """

    value: float
    moves: Mapping[Hashable, float]
    freedom: float

    @classmethod
    def of(cls, values: Mapping[Hashable, float], value: float | None = None) -> Spread:
        r"""From one value a unit: $s^2 = \sum_u (x_u - \bar x)^2 / (n (n - 1))$.

        Args:
            values: by unit.
            value: the estimate; the mean of the values unless given.

        >>> Spread.of({"a": 1.0, "b": 3.0}).moves
        {'a': -0.707, 'b': 0.707}
        """
        mean, n = float(np.mean(list(values.values()))), len(values)
        root = math.sqrt(n * (n - 1)) or 1.0
        moves = {unit: (x - mean) / root for unit, x in values.items()}
        return cls(mean if value is None else value, moves, n - 1)

    @classmethod
    def jackknife(cls, value: float, without: Mapping[Hashable, float]) -> Spread:
        r"""Of a number that is no mean, by its pseudo-values $n \hat\theta - (n - 1) \hat\theta_{-u}$.

        Efron and Stein, The Jackknife Estimate of Variance, 1981.

        Args:
            value: of all units together.
            without: by unit, the same without it.
        """
        n = len(without)
        if n < 2 or not all(map(math.isfinite, without.values())):
            return cls(value, dict.fromkeys(without, 0.0), 0)
        return cls.of({unit: n * value - (n - 1) * x for unit, x in without.items()}, value)

    def interval(self) -> Interval:
        """By Student's t."""
        freedom = int(self.freedom + 1e-9)  # the table is of whole ones, and rounding down is wider
        half = t95(freedom) * math.hypot(*self.moves.values()) if freedom else math.inf
        return Interval(self.value, self.value - half, self.value + half)

    def ratio(self) -> Interval:
        """Of a logarithm: the interval of what it is the logarithm of."""
        log = self.interval()
        return Interval(math.exp(log.value), math.exp(log.low), _exp(log.high))


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


def together(spreads: Sequence[Spread]) -> Spread:
    r"""Mean of several estimates. What moves two of them, such as a start that both have, moves the mean by both.

    Estimates that share units are one block, with the freedom of the one that has least; blocks are independent, and
    their freedoms are joined as Welch and Satterthwaite do, $\nu = (\sum v)^2 / \sum (v^2 / \nu_b)$.

    Args:
        spreads: at least one.

    >>> a, b = Spread.of({1: 0.0, 2: 2.0}), Spread.of({1: 2.0, 2: 0.0})
    >>> together([a, b]).interval()  # what one start gives here, it takes there
    Interval(value=1.0, low=1.0, high=1.0)
    """
    blocks: list[Spread] = []
    for spread in spreads:
        moves = {unit: move / len(spreads) for unit, move in spread.moves.items()}
        freedom = spread.freedom
        for other in [other for other in blocks if other.moves.keys() & moves.keys()]:
            blocks.remove(other)
            freedom = min(freedom, other.freedom)
            moves = {unit: moves.get(unit, 0.0) + other.moves.get(unit, 0.0) for unit in {**other.moves, **moves}}
        blocks.append(Spread(0.0, moves, freedom))
    parts = [(sum(move**2 for move in block.moves.values()), block.freedom) for block in blocks]
    least = min(freedom for _, freedom in parts)
    below = sum(variance**2 / freedom for variance, freedom in parts if freedom)
    # One unit says nothing of its spread, nor does a mean with it.
    freedom = sum(variance for variance, _ in parts) ** 2 / below if least and below else least
    moves = {unit: move for block in blocks for unit, move in block.moves.items()}
    return Spread(float(np.mean([spread.value for spread in spreads])), moves, freedom)


def share(mine: Spread, whole: Spread) -> Interval | None:
    r"""What share of the whole one has: $\theta / \theta_0$, by Fieller, of estimates over the same units.

    All $\lambda$ with $(\theta - \lambda \theta_0)^2 \le t^2 \sum_u (m_u - \lambda m_{0u})^2$. Fieller, Some
    Problems in Interval Estimation, 1954.

    Args:
        mine: logarithm of a ratio.
        whole: the same of what has the most there is to have.

    Returns:
        None if the whole is not below 0 outside its interval: then there is nothing to have a share of.

    >>> share(Spread.of({1: -0.1, 2: -0.2, 3: -0.3}), Spread.of({1: -0.4, 2: -0.4, 3: -0.4}))
    Interval(value=0.5, low=-0.121, high=1.121)
    """
    if whole.value >= 0 or not math.isfinite(mine.value):
        return None
    freedom = min(mine.freedom, whole.freedom)
    if freedom < 1:
        return Interval(mine.value / whole.value, -math.inf, math.inf)
    t = t95(int(freedom + 1e-9)) ** 2
    moves = [(mine.moves[unit], whole.moves[unit]) for unit in mine.moves.keys() & whole.moves.keys()]
    a = whole.value**2 - t * sum(w * w for _, w in moves)
    b = mine.value * whole.value - t * sum(m * w for m, w in moves)
    c = mine.value**2 - t * sum(m * m for m, _ in moves)
    if a <= 0:
        return None
    root = math.sqrt(max(b * b - a * c, 0.0))
    return Interval(mine.value / whole.value, (b - root) / a, (b + root) / a)
