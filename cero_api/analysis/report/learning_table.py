"""What trainings learned, as texts: the lines of the tables, what explains them, and what they cannot say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cero_api.analysis.learning import Contrast, Interval, Match, TrainingResult

LEARNING_NOTES = (
    "To match: rollouts (or tokens) to the baseline's final accuracy, over what the baseline takes; below 1 is better. "
    "Where that is not reached, to the highest accuracy that is. Along the curve: geometric mean over nine accuracies, "
    "from a third of the gain to all of it; trust it before the end, the noisiest place.",
    "Trainings: how many, and in brackets of how many starts. Other brackets and ± are 95% intervals by Student's t "
    "over starts, each start's seeds averaged; over seeds if there is one start. Trainings of equal start and seed are "
    "paired. Of the oracle's: log ratio over the log ratio of the one that knows all success rates.",
    "Accuracies are means of three evaluations. Area: accuracy averaged over the training. Effective: groups with both "
    "a success and a failure. Signal: variance of the rewards in a rollout's group, mean over rollouts. Wall time: of "
    "a training, over the baseline's, median over pairs.",
)
# Columns that stand together on 80 columns of a terminal; the first is in all of them.
LEARNING_TABLES = {
    "Rollouts to match": ("regimes", "trainings", "rollouts to match", "along the curve"),
    "Tokens": ("tokens to match", "tokens, along", "less, equal tokens"),
    "Share of what the oracle saves": ("of the oracle's", "of it, along"),
    "Share of the tokens that the oracle saves": ("of its tokens", "of them, along"),
    "Accuracy": ("final accuracy", "less baseline's", "area, less", "collapsed"),
    "What went on": ("effective", "signal", "steps", "wall time", "in the allocator"),
}


def learning_cells(label: str, result: TrainingResult) -> dict[str, str]:
    """One line of the table, as texts by heading; what is not known is empty.

    Args:
        label: of the trainings.
        result: their numbers.

    >>> from cero_api.analysis.learning import TrainingRecord, compare_trainings
    >>> run = TrainingRecord(label="cero", rollouts=[0, 640], accuracy=[0.1, 0.3])
    >>> learning_cells("cero", compare_trainings([run])["cero"])["final accuracy"]
    '0.200'
    """
    return {
        "allocator": label,
        "trainings": _counted(result.trainings, result.starts),
        **ratio_cells(result.against),
        "final accuracy": stated(result.final),
        **difference_cells(result.against),
        "collapsed": str(len(result.collapsed) or ""),
        "effective": _text(result.effective, ".1%"),
        "signal": _text(result.signal, ".3f"),
        "steps": _text(result.steps, ",.0f"),
        "wall time": _text(result.pace, ".2f"),
        "in the allocator": _text(result.allocator_seconds, ".2f", " s"),
    }


def ratio_cells(found: Contrast | None) -> dict[str, str]:
    """Rollouts and tokens to match, and shares of the oracle's.

    Args:
        found: against the baseline; None for the baseline itself.
    """
    rollouts, tokens = (None, None) if found is None else (found.rollouts, found.tokens)
    return {
        "rollouts to match": matched(rollouts, along=False),
        "along the curve": matched(rollouts, along=True),
        "tokens to match": matched(tokens, along=False),
        "tokens, along": matched(tokens, along=True),
        "of the oracle's": bounded(rollouts.end_of_oracle if rollouts else None),
        "of it, along": bounded(rollouts.along_of_oracle if rollouts else None),
        "of its tokens": bounded(tokens.end_of_oracle if tokens else None),
        "of them, along": bounded(tokens.along_of_oracle if tokens else None),
    }


def difference_cells(found: Contrast | None) -> dict[str, str]:
    """Accuracy less the baseline's.

    Args:
        found: against the baseline; None for the baseline itself.
    """
    return {
        "less baseline's": stated(found.less if found else None, "+"),
        "less, equal tokens": stated(found.less_at_equal_tokens if found else None, "+"),
        "area, less": stated(found.area_less if found else None, "+"),
    }


def together_cells(label: str, found: Contrast) -> dict[str, str]:
    """One line of the table over several regimes.

    Args:
        label: of the trainings.
        found: their numbers.
    """
    return {
        "allocator": label,
        "regimes": str(found.regimes),
        "trainings": _counted(found.pairs, found.starts),
        **ratio_cells(found),
        **difference_cells(found),
    }


def filled(rows: Iterable[Mapping[str, str]], names: Sequence[str] | None = None) -> list[dict[str, str]]:
    """The rows with the columns that say something in any of them.

    Args:
        rows: texts by heading.
        names: of the columns to choose from, beside the first; None is all.

    >>> filled([{"a": "x", "b": "", "c": "1"}, {"a": "y", "b": "", "c": ""}])
    [{'a': 'x', 'c': '1'}, {'a': 'y', 'c': ''}]
    """
    rows = list(rows)
    first, *others = rows[0]
    wanted = [name for name in others if names is None or name in names]
    kept = [first, *(name for name in wanted if any(row[name] for row in rows))]
    return [{name: row[name] for name in kept} for row in rows]


def learning_tables(rows: Sequence[Mapping[str, str]]) -> dict[str, list[dict[str, str]]]:
    """One wide table as several that fit on 80 columns, by title; tables and lines that would say nothing are left out.

    Args:
        rows: of `learning_cells` or `together_cells`.
    """
    present = {title: [name for name in names if name in rows[0]] for title, names in LEARNING_TABLES.items()}
    tables = {title: filled(rows, names) for title, names in present.items()}
    return {
        title: [row for row in table if any(list(row.values())[1:])]  # the baseline is not compared with itself
        for title, table in tables.items()
        if len(table[0]) > 1
    }


def learning_heading(regime: str, results: Mapping[str, TrainingResult]) -> str:
    """A regime in one line.

    Args:
        regime: its name.
        results: by label.
    """
    some = max(results.values(), key=lambda result: result.rollouts)
    name = f"{regime}: " if regime else ""
    return f"{name}{some.rollouts:,} rollouts a training, from an accuracy of {some.start:.3f}"


def learning_warnings(results: Mapping[str, TrainingResult], baseline: str = "uniform") -> list[str]:
    """What the numbers of one regime cannot say, or would hide.

    Args:
        results: by label.
        baseline: that they are compared with.
    """
    against = {label: result.against for label, result in results.items() if result.against is not None}
    if not against:
        said = [f"No start and seed of {baseline} is shared with another: nothing is compared."]
    else:
        said = _contrast_warnings(against, baseline)
    most = max(result.rollouts for result in results.values())
    short = [f"{label} ({found.rollouts:,})" for label, found in results.items() if found.rollouts < most]
    said += _about("Compared over fewer rollouts, as far as its trainings and those beside them go", short)
    few = [label for label, result in results.items() if result.starts == 1 and result.trainings < 5]
    said += _about("Fewer than five seeds, which prove little", few, results)
    few = [label for label, result in results.items() if 1 < result.starts < 5]
    said += _about("Fewer than five starts, which prove little", few, results)
    fallen = [f"{label} ({_named(result.collapsed)})" for label, result in results.items() if result.collapsed]
    return said + _about("Collapsed, ending below where they began; all means include them", fallen)


def together_warnings(together: Mapping[str, Contrast], baseline: str = "uniform") -> list[str]:
    """The same of several regimes together.

    Args:
        together: by label.
        baseline: that they are compared with.
    """
    return _contrast_warnings(together, baseline)


def _contrast_warnings(against: Mapping[str, Contrast], baseline: str) -> list[str]:
    matches = {label: found.rollouts for label, found in against.items() if found.rollouts is not None}
    single = [label for label, found in against.items() if found.of_one_start]
    said = _about("One start in a regime: intervals are over its seeds, and speak of that start alone", single, against)
    unreached = {label: (found.unreached, found.starts) for label, found in matches.items()}
    text = f"The final accuracy of {baseline} is not reached, and the ratio is read at the highest that is"
    said += _about(text, _shares(unreached))
    at_least = {label: (found.at_least, found.starts) for label, found in matches.items()}
    text = f"Not a third of the gain of {baseline} is reached, and the ratio is a lower bound (≥)"
    said += _about(text, _shares(at_least))
    at_most = {label: (found.at_most, found.starts) for label, found in matches.items()}
    said += _about(f"{baseline} gains not a third as much, and the ratio is an upper bound (≤)", _shares(at_most))
    lost = [label for label in against if label not in matches or matches[label].unlearned]
    said += _about(f"Some start in which neither {baseline} nor the other ends above it, and without a ratio", lost)
    shareless = [label for label, found in matches.items() if against[label].has_oracle and not found.along_of_oracle]
    return said + _about("The oracle's own saving is not outside its interval: there is no share to state", shareless)


def _shares(counts: Mapping[str, tuple[int, int]]) -> list[str]:
    """Labels, and in how many starts of how many; in all if there is one."""
    return [
        label if all_of == 1 else f"{label} in {count} of {all_of} starts"
        for label, (count, all_of) in counts.items()
        if count > 0
    ]


def _about(text: str, labels: Sequence[str], everyone: Iterable[str] = ()) -> list[str]:
    """A sentence about some labels, which are not listed where they are all there are; nothing about nobody."""
    if not labels:
        return []
    return [f"{text}." if len(labels) == len(list(everyone)) else f"{text}: {', '.join(labels)}."]


def matched(match: Match | None, along: bool) -> str:
    """A ratio and its interval as text, with ≥ or ≤ where it is a bound; nothing for None.

    Args:
        match: rollouts or tokens to match.
        along: along the curve, or at its end.
    """
    if match is None:
        return ""
    sign = "≥ " if match.at_least else "≤ " if match.at_most else ""
    return sign + bounded(match.along if along else match.end)


def stated(interval: Interval | None, sign: str = "") -> str:
    """A mean and half of its interval, as text; nothing for None.

    Args:
        interval: the mean.
        sign: "+" to write the plus of a positive one.

    >>> stated(Interval(2.0, 1.5, 2.5)), stated(Interval(2.0, float("-inf"), float("inf")), "+")
    ('2.000 ± 0.500', '+2.000')
    """
    if interval is None:
        return ""
    mean = f"{interval.value:{sign}z.3f}"  # z: no minus before what rounds to zero
    return f"{mean} ± {interval.high - interval.value:.3f}" if interval.known else mean


def bounded(interval: Interval | None) -> str:
    """A number and its interval, as text; without the interval where nobody knows it, nothing for None.

    Args:
        interval: the number.

    >>> bounded(Interval(0.85, 0.81, 0.934)), bounded(Interval(0.85, 0.0, float("inf")))
    ('0.85 [0.81, 0.93]', '0.85')
    >>> bounded(Interval(-0.001, -0.02, 0.01))
    '0.00 [-0.02, 0.01]'
    """
    if interval is None:
        return ""
    return f"{interval.value:z.2f}" + (f" [{interval.low:z.2f}, {interval.high:z.2f}]" if interval.known else "")


def _text(value: float | None, form: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{form}}{unit}"


def _counted(trainings: int, starts: int) -> str:
    return f"{trainings} ({starts})" if starts > 1 else str(trainings)


def _named(pairs: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{start}, seed {seed}" if start else f"seed {seed}" for start, seed in pairs)
