"""Who gets a round's rollouts: prompts in order, or candidates unit by unit. Sizes here are in units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from cero_api._types import FloatArray, IntArray, RankArray

# Added to what is compared, it leaves 36 binary places. The last bits of exp and log differ between processors and
# numpy versions, and must not decide who comes first: what differs by less than 1e-11 is a tie, and ties have an order.
_GRID = 1.5 * 2.0**16

# Halvings of the price interval before the remaining units are ranked one by one; any number is exact.
_BISECTIONS = 24

# Halvings of the scale of a proportion; rounding makes the sum exact after any number.
_HALVINGS = 60


class TieOrder:
    """A fixed random order of the prompts that decides between equals.

    Prompt `i` comes before `j` where its place in `numpy.random.default_rng(seed).permutation(num_prompts)` is
    earlier.

    Args:
        num_prompts: in the pool.
        seed: of the permutation.

    >>> ties = TieOrder(4, seed=0)
    >>> ties.order, ties.rank
    (array([2, 0, 1, 3], dtype=int32), array([1, 2, 0, 3], dtype=int32))
    """

    def __init__(self, num_prompts: int, seed: int) -> None:
        self.order = np.random.default_rng(seed).permutation(num_prompts).astype(np.int32)  # 4 bytes a prompt each
        self.rank = np.empty_like(self.order)
        self.rank[self.order] = np.arange(num_prompts, dtype=np.int32)
        self._gridded = np.empty(0)

    def leading(self, values: FloatArray, count: int, above: float = -np.inf) -> IntArray:
        """The prompts of largest value, largest first, equals (to 36 binary places) by their place in the order.

        Two passes over `values`; a sort of the pool is never needed for the few that a round admits.

        Args:
            values: float64 `[M]`.
            count: how many at most, positive.
            above: only values strictly above this.

        Returns:
            int64 `[<= count]`, row ids.

        >>> TieOrder(4, seed=0).leading(np.array([0.5, 0.5, 0.1, 0.9]), count=2)
        array([3, 0])
        """
        count = min(count, values.size)
        if self._gridded.size != values.size:
            self._gridded = np.empty(values.size)
        values, above = np.add(values, _GRID, out=self._gridded), above + _GRID
        reached, rows = _candidates(values, count)
        bound = max(reached, above)
        rows = rows[values[rows] > bound]
        if rows.size >= count:
            ahead = values[rows]
            kth = np.partition(ahead, rows.size - count)[rows.size - count]
            tied = rows[ahead == kth]
            rows = rows[ahead > kth]
            tied = tied[np.argsort(self.rank[tied])]
            rows = np.concatenate([rows, tied[: count - rows.size]])
        elif bound > above:
            # At least `count` values reach the bound and fewer exceed it: it is the kth largest itself.
            rows = np.concatenate([rows, self._first_equal(values, bound, count - rows.size)])
        leading: IntArray = rows[np.lexsort((self.rank[rows], -values[rows]))]
        return leading

    def _first_equal(self, values: FloatArray, value: float, count: int) -> IntArray:
        """The first `count` rows in the order that hold exactly `value`."""
        found: list[IntArray] = []
        missing, start, width = count, 0, 4 * count
        while missing > 0 and start < values.size:
            rows = self.order[start : start + width]
            rows = rows[values[rows] == value][:missing]
            found.append(rows.astype(np.int64))
            missing, start, width = missing - rows.size, start + width, 2 * width
        return np.concatenate(found)


def _candidates(values: FloatArray, count: int) -> tuple[float, IntArray]:
    """A value that at least `count` entries reach, and the rows that may exceed it, every one that does among them.

    The value is the kth largest of the maxima of 4 * count or so blocks; what exceeds it lies in fewer than `count` of
    them.
    """
    width = values.size // (4 * count)
    if width < 16:
        return float(np.partition(values, values.size - count)[values.size - count]), np.arange(values.size)
    blocks = values.size // width
    maxima = values[: blocks * width].reshape(blocks, width).max(axis=1)
    bound = float(np.partition(maxima, blocks - count)[blocks - count])
    hot = np.flatnonzero(maxima > bound)
    rows = (hot[:, None] * width + np.arange(width)).ravel()
    return bound, np.concatenate([rows, np.arange(blocks * width, values.size)])


def groups_in_order(prompts: int, need: int, cap: int, smallest: int) -> IntArray:
    """Sizes of the groups of prompts that come in order: `cap` each until `need` is filled, the last one partial.

    A last group below `smallest` is brought up to it by the group before.
    Deviation from Algorithm 1, which may deal a partial group of one: it has no contrast and teaches nothing.

    Args:
        prompts: how many stand in line.
        need: units to deal.
        cap: most units of one prompt.
        smallest: least units of a group that can teach, or that a prompt may get.

    Returns:
        int64 `[<= prompts]`, positive.

    >>> groups_in_order(prompts=9, need=17, cap=8, smallest=2)
    array([8, 7, 2])
    """
    full, partial = divmod(min(need, prompts * cap), max(cap, 1))
    sizes = np.full(full + (partial > 0), cap, dtype=np.int64)
    if partial:
        sizes[-1] = partial
        lack = smallest - partial
        if lack > 0 and full and cap - lack >= smallest:
            sizes[-2:] = cap - lack, smallest
    return sizes


def fill_in_order(line: IntArray, eager: int, need: int, floor: int, cap: int, smallest: int) -> IntArray:
    """Deal units to candidates in order: the floor to each, then up to the cap for the first `eager` of the line.

    Args:
        line: int `[P]`, places of the candidates, best first.
        eager: how many of the line want more than the floor.
        need: units to deal, as far as caps allow.
        floor: least units of each; if `need` does not cover it, the first get theirs, the next what is left if that
            can teach, and the others 0.
        cap: most units of each.
        smallest: least units of a group that can teach.

    Returns:
        int64 `[P]`, in the candidates' own order.

    >>> fill_in_order(np.array([2, 0, 1]), eager=2, need=14, floor=2, cap=8, smallest=2)
    array([4, 2, 8])
    """
    counts = np.zeros(line.size, dtype=np.int64)
    if need < floor * line.size:
        served, left = divmod(need, floor)
        counts[line[:served]] = floor
        sizes = groups_in_order(served, left, cap - floor, 1)
        counts[line[: sizes.size]] += sizes
        left -= int(sizes.sum())
        counts[line[served]] = left if left >= smallest else 0
        return counts
    counts += floor
    sizes = groups_in_order(eager, need - floor * line.size, cap - floor, max(1, smallest - floor))
    counts[line[: sizes.size]] += sizes
    return counts


def fill_by_gain(
    rate: FloatArray,
    exposure: FloatArray,
    rank: RankArray,
    price: float,
    need: int,
    floor: int,
    cap: int,
    smallest: int,
) -> IntArray:
    r"""Deal units one by one to the candidate of largest gain $U(z+1) - U(z)$, within floor and cap.

    The gains of one candidate decrease, so the greedy rule is exact: it maximises $\sum_i U_i(z_i + n_i)$. It is
    computed by bisection on the gain of the last unit, with the units between the two ends ranked one by one.

    Args:
        rate: saturation rates $c$, float64 `[P]`.
        exposure: $z$, float64 `[P]`, units.
        rank: int `[P]`, smaller goes first among equal gains.
        price: gains at or below it are left out, 0 leaves out none.
        need: units to deal; exactly these if `price` is 0 and floors and caps allow it.
        floor: least units of each candidate; if `need` does not cover it, the best ones get theirs, and the rest 0.
        cap: most units of each candidate.
        smallest: least units of a group that can teach; without a floor 0 is the only smaller count dealt.

    Returns:
        int64 `[P]`.

    >>> rate = np.array([0.1, 0.1, 0.01])
    >>> fill_by_gain(rate, np.array([0.0, 4, 0]), np.arange(3), 0.0, need=12, floor=2, cap=8, smallest=2)
    array([7, 3, 2])
    """
    if rate.size == 0:
        return np.zeros(0, dtype=np.int64)
    # In logarithms: the gain itself underflows where a prompt is far past saturation. Less `rate` per unit more.
    log_gain = np.log(-np.expm1(-rate)) - rate * exposure + _GRID - _GRID
    if need < floor * rate.size:
        return fill_in_order(np.lexsort((rank, -log_gain)), 0, need, floor, cap, smallest)
    log_first = log_gain - rate * floor

    def above(threshold: float) -> FloatArray:
        return np.clip(np.ceil((log_first - threshold) / rate), 0, cap - floor)

    spare = need - floor * rate.size
    low = np.log(price) if price > 0 else float((log_first - rate * (cap - floor)).min()) - 1.0
    most = above(low)
    if most.sum() <= spare:
        extra = most.astype(np.int64)
    else:
        high = float(log_first.max())
        least = np.zeros(rate.size)  # no gain is above the largest
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            units = above(middle)
            if units.sum() > spare:
                low, most = middle, units
            else:
                high, least = middle, units
            if (most - least).sum() <= rate.size:
                break
        extra = _best_units(log_first, rate, rank, least.astype(np.int64), most.astype(np.int64), spare)
    # A floor of one asks for groups of one.
    return _without_singles(extra + floor, log_first - rate * extra, rank, cap, 1 if floor else smallest)


def _best_units(
    log_first: FloatArray, rate: FloatArray, rank: RankArray, least: IntArray, most: IntArray, spare: int
) -> IntArray:
    """`least`, and of the units between `least` and `most` the best, so that the sum is `spare`."""
    between = most - least
    owner = np.repeat(np.arange(rate.size), between)
    # Which unit of its owner each one is: 0, 1, ... within every run.
    unit = least[owner] + np.arange(owner.size) - np.repeat(np.cumsum(between) - between, between)
    gain = log_first[owner] - rate[owner] * unit + _GRID
    chosen = np.lexsort((unit, rank[owner], -gain))[: spare - int(least.sum())]
    return least + np.bincount(owner[chosen], minlength=rate.size)


def _without_singles(counts: IntArray, next_gain: FloatArray, rank: RankArray, cap: int, smallest: int) -> IntArray:
    """Counts of the same sum without a one, as far as the caps allow: a group of one has no contrast.

    The better half of the ones gets a second unit from the other half; an odd one out goes to the best candidate
    that has room, or takes from one that can spare it.
    """
    singles = np.flatnonzero(counts == 1)
    if smallest < 2 or singles.size == 0 or cap < 2:
        return counts
    singles = singles[np.lexsort((rank[singles], -next_gain[singles]))]
    half = singles.size // 2
    counts[singles[:half]], counts[singles[singles.size - half :]] = 2, 0
    if singles.size % 2:
        odd = singles[half]
        room = np.flatnonzero((counts >= 2) & (counts < cap))
        spare = np.flatnonzero(counts > 2)
        if room.size:
            counts[odd] = 0
            counts[room[np.lexsort((rank[room], -next_gain[room]))[0]]] += 1
        elif spare.size:
            counts[odd] = 2
            counts[spare[np.lexsort((rank[spare], next_gain[spare]))[0]]] -= 1
    return counts


def fill_by_table(gains: Callable[[int], FloatArray], longest: int, rank: RankArray, spare: int) -> IntArray:
    """Deal units one by one to the largest gain, where nobody's gains increase: exact for any concave value.

    The units dealt are the `spare` largest entries of the table, which one partition finds; a row's are its first
    ones, because its gains do not increase. So a table that nobody empties need not be wider, and few are.

    Any increasing function of the gains will do; logarithms keep small ones apart.

    Args:
        gains: makes the table of a given width L: float64 `[P, L]`, gains of the first, second, ... unit of each
            candidate, compared to 36 binary places.
        longest: most units of a candidate.
        rank: int `[P]`, smaller goes first among equal gains.
        spare: units to deal, at most P * longest.

    Returns:
        int64 `[P]`, at most `longest`.

    >>> table = np.array([[5.0, 1.0], [4.0, 3.0], [4.0, 0.0]])
    >>> fill_by_table(lambda width: table[:, :width], 2, np.array([0, 2, 1]), spare=2)
    array([1, 0, 1])
    """
    if spare <= 0 or rank.size == 0:
        return np.zeros(rank.size, dtype=np.int64)
    width = 4 * -(-spare // rank.size)
    while width < longest:
        counts = _largest_entries(gains(width), rank, spare)
        if counts.max() < width:
            return counts
        width *= 2
    return _largest_entries(gains(longest), rank, spare)


def _largest_entries(table: FloatArray, rank: RankArray, spare: int) -> IntArray:
    """How many of the `spare` largest entries of the table are in each row."""
    spare, table = min(spare, table.size), table + _GRID
    last = np.partition(table, table.size - spare, axis=None)[table.size - spare]
    counts: IntArray = np.count_nonzero(table > last, axis=1)
    tied: IntArray = np.count_nonzero(table == last, axis=1)
    line = np.argsort(rank)
    # Among equals in order: everything of the first, then of the second, until nothing is left.
    before = np.cumsum(tied[line]) - tied[line]
    counts[line] += np.clip(spare - int(counts.sum()) - before, 0, tied[line])
    return counts


def in_proportion(weight: FloatArray, need: int, floor: int, cap: ArrayLike, rank: RankArray) -> IntArray:
    """Counts in proportion to weights, within floor and cap, that sum to `need`; the largest remainders round up.

    Args:
        weight: float64 `[P]`, positive.
        need: units, from P * floor to the sum of the caps.
        floor: least of each.
        cap: most of each, int `[P]` or one for all.
        rank: int `[P]`, smaller goes first among equal remainders.

    Returns:
        int64 `[P]`.

    >>> in_proportion(np.array([4.0, 2.0, 1.0]), 14, 0, [9, 4, 9], np.arange(3))
    array([8, 4, 2])
    """
    most = np.broadcast_to(np.asarray(cap, dtype=np.int64), weight.shape)
    low, high = 0.0, float(most.max(initial=0)) / float(weight.min(initial=np.inf))
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if np.clip(middle * weight, floor, most).sum() > need:
            high = middle
        else:
            low = middle
    exact = np.clip(low * weight, floor, most)
    counts: IntArray = np.floor(exact).astype(np.int64)
    remainder = np.where(counts < most, exact - counts, -1.0)
    return counts + fill_by_table(lambda width: remainder[:, None], 1, rank, need - int(counts.sum()))
