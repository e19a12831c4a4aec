"""The answer: what to use, why, what that saved where it was measured, and what to write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from cero_api.analysis.advice.choosing import CLOSE, Candidate, Evidence, choose
from cero_api.analysis.advice.difficulty import Difficulty, difficulty
from cero_api.analysis.advice.known import Told
from cero_api.analysis.advice.lines import Composition, trainer_lines
from cero_api.analysis.advice.run import Run, run_of
from cero_api.analysis.advice.scopes import Scope, ScopeView, limit_fields, scope_views
from cero_api.analysis.advice.signals import Signals, signals
from cero_api.analysis.history import SuccessHistory
from cero_api.errors import ConfigurationError

Verdict = Literal["use", "try", "nothing"]

LEAST_SIGNAL = 1.05  # over uniform's, below which a replay has found nothing worth the change

CAVEATS = (
    "The savings were measured on an embedded learner (transformers of 0.1 to 3.4 million parameters, on puzzles), at "
    "a learning rate tuned for uniform. Nobody has measured them on your model; expect yours to differ.",
    "A replay tells who would have got the rollouts, not what would have been learned.",
)
_BEST_CASE = (
    "In those pools the features nearly settle what is within reach, so the figures are a best case: a source that "
    "says little saves little."
)


@dataclass(frozen=True)
class Advice:
    """What can be decided in a run, what fits it, and what is known of the savings.

    Args:
        run: its sizes.
        scopes: what each could decide.
        difficulty: of the recorded pool; None without a record.
        signals: of compositions by replay; None without a record.
        verdict: "use" where the composition saved, outside of its interval, in the regime nearest to the run; "try"
            where it did not, or where nobody knows the pool; "nothing" where nothing is to be gained.
        reasons: for the verdict, in sentences.
        composition: that fits; None if nothing is to be gained.
        evidence: what was published of it.
        lines: what to write, by trainer.
        notes: to be read with the numbers.
    """

    run: Run
    scopes: tuple[ScopeView, ...]
    difficulty: Difficulty | None
    signals: Signals | None
    verdict: Verdict
    reasons: tuple[str, ...]
    composition: Composition | None
    evidence: tuple[Evidence, ...]
    lines: Mapping[str, str]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        plain = {name: getattr(self, name) for name in ("verdict", "reasons", "lines", "notes")}
        run = asdict(self.run) | {name: getattr(self.run, name) for name in ("rounds", "budget", "visits")}
        return {
            "run": run,
            "scopes": [asdict(view) for view in self.scopes],
            "difficulty": None if self.difficulty is None else asdict(self.difficulty),
            "signals": None if self.signals is None else asdict(self.signals),
            **plain,
            "composition": None if self.composition is None else asdict(self.composition),
            "evidence": [
                {"regime": one.regime.model_dump(exclude={"savings"}), "saving": one.saving.model_dump()}
                for one in self.evidence
            ],
        }


def advise(
    history: SuccessHistory | None = None,
    *,
    prompts: int | None = None,
    epochs: float | None = None,
    group_size: int | None = None,
    batch: int | None = None,
    scope: Scope | None = None,
    floor: int | None = None,
    cap: int | None = None,
    told: Told | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    progress: Callable[[float], None] | None = None,
) -> Advice:
    """Whether to use an allocator in a run, which composition, and what such ones have saved.

    Args:
        history: pass rates, or a recorded run, from `read_history`; None is none.
        prompts: of the pool; with the three below as recorded, or one epoch of batches of 64 in groups of 8.
        epochs: passes over the pool.
        group_size: rollouts of a prompt, on average.
        batch: prompts of a step.
        scope: that it has to be; None is whichever fits.
        floor: least rollouts of a batch's prompts; None is the default.
        cap: most rollouts of a prompt; None is the default.
        told: what is known of prompts before their first visit; None is their length, and the record's own rates if it
            is of one visit each.
        seeds: of the replays.
        progress: called with the share that is done.

    Raises:
        ConfigurationError: sizes that cannot be, or that do not fit each other.

    >>> advise(prompts=640, epochs=1, group_size=8, batch=8, scope="batch").verdict
    'nothing'
    >>> "--cero.allocator cero --cero.scope window" in advise(prompts=640, batch=8).lines["openrlhf"]
    True
    """
    run = run_of(history, prompts=prompts, epochs=epochs, group_size=group_size, batch=batch)
    if told is None:
        told = Told(rates="pass_rate" if history is not None and not history.rounds else None)
    views = _views(run, told, floor, cap)
    possible = [view.scope for view in views if view.decides and (scope is None or view.scope == scope)]
    hard = difficulty(history, run.group_size) if history is not None and history.rated.any() else None
    chosen = next((name for name in ("window", "batch", "pool") if name in possible), None)
    if chosen is None:
        reasons = [reason for view in views if scope in (None, view.scope) for reason in view.reasons]
        return _answer(run, views, hard, None, "nothing", reasons or [_alike(run, scope)])
    fitting = _fitting(run, hard, chosen, told, history is None, limit_fields(chosen, floor, cap))
    width = fitting.composition.window
    if width is not None:
        views = _views(run, told, floor, cap, width)
    seen = None
    if hard is not None and history is not None:
        fields = {"batch": limit_fields("batch", floor, cap), "window": {} if width is None else {"window": width}}
        seen = signals(history, run, possible, told=told, fields=fields, seeds=seeds, progress=progress)
    verdict, reasons = _judged(hard, seen, fitting, told)
    if hard is not None and chosen == "window" and not told.source:
        reasons.append(
            "where a prompt is from is not said; if your data set has a column of it, ask again with that (--source)"
        )
    return _answer(run, views, hard, seen, verdict, reasons, fitting)


def _views(run: Run, told: Told, floor: int | None, cap: int | None, window: int | None = None) -> list[ScopeView]:
    if run.group_size < 2:
        raise ConfigurationError(
            "group_size=1: a group of one has no contrast, and so no advantage, however rollouts are shared out; give "
            "groups of 2 or more"
        )
    informed = told.rates is not None or told.source
    return scope_views(run, informed=informed, floor=floor, cap=cap, window=window)


def _fitting(
    run: Run, hard: Difficulty | None, scope: Scope, told: Told, unsaid: bool, fields: Mapping[str, Any]
) -> Candidate:
    """The composition, by what is known; where nobody said (`unsaid`), by what trainers look at by themselves."""
    usual = Composition(
        scope,
        rates=told.rates,
        samples=told.samples if told.rates is not None else None,
        source=told.source or unsaid,
        fields=fields,
    )
    if hard is not None and _mostly_solved(hard):
        return Candidate(usual)
    widest = run.prompts // -(-run.room // (fields.get("max_rollouts_per_prompt") or run.group_size))
    return choose(usual, run.visits, None if hard is None else hard.effective, run.group_size, widest)


def _alike(run: Run, scope: str | None) -> str:
    return (
        f"every prompt of the pool is visited {run.visits:.1f} times, and nothing is known of it before, so that "
        f"scope={scope or 'batch'} deals equal counts; give what is known of prompts, or train for more epochs"
    )


def _mostly_solved(hard: Difficulty) -> bool:
    """Whether the groups without contrast are of prompts that are always solved, as in no published regime."""
    return hard.always > hard.never and hard.always > 0.3


def _judged(hard: Difficulty | None, seen: Signals | None, fitting: Candidate, told: Told) -> tuple[Verdict, list[str]]:
    evidence, scope = fitting.evidence, fitting.composition.scope
    if seen is not None and seen.best.ratio.mean < LEAST_SIGNAL:
        return "nothing", [
            f"by replay no composition has {LEAST_SIGNAL - 1:.0%} more signal than uniform: your prompts differ too "
            "little in what they have to teach"
        ]
    if hard is None:
        return "try", [
            "what is saved depends on the pool's difficulty, which nobody knows here; to know it, give a record (pass "
            "rates, dumps, a trace)",
            *(["the trainings below were told where a prompt is from and how long it is"] if evidence else []),
        ]
    if not evidence:
        solved = f"{hard.always:.0%} of the prompts are always solved, and no published training had such a pool"
        where = solved if _mostly_solved(hard) else "no published training dealt so in such a pool without a loss"
        own = None if seen is None else seen.at(scope, told)
        if own is not None and own < LEAST_SIGNAL:
            return "nothing", [
                f"{where}, and by replay what is known of your prompts gives no more signal than uniform"
            ]
        return "try", [f"{where}: the replay is all that speaks for it"]
    pool = f"{hard.effective:.0%} of uniform's groups have contrast, nearest to the pool {evidence[0].regime.pool!r}"
    measures = [one for item in evidence for one in item.measures]
    if fitting.lost or all(one.ratio > CLOSE for one in measures):
        easy = "most groups teach something as they are, and" if hard.effective > 0.5 else "and"
        how = "lost" if fitting.lost else "saved nothing"
        return "nothing", [f"{pool}: {easy} there what could be dealt by what is known {how}"]
    if any(one.shown for one in measures):
        return "use", [f"{pool}, where scope={scope} saved, outside of its interval", _ranges(evidence)]
    return "try", [
        f"{pool}, where scope={scope} saved on average, and its interval holds uniform too",
        _ranges(evidence),
    ]


def _ranges(evidence: Sequence[Evidence]) -> str:
    """From the lowest end of the intervals to the highest."""
    said = []
    for what, saved in (
        ("of uniform's rollouts", [one.saving.rollouts for one in evidence]),
        ("of its tokens", [one.saving.tokens for one in evidence if one.saving.tokens is not None]),
    ):
        if saved:
            low, high = min(one.low or one.ratio for one in saved), max(one.high or one.ratio for one in saved)
            said.append(f"{low:.0%} to {high:.0%} {what}")
    return f"it needed {' and '.join(said)} there to the same accuracies"


def _answer(
    run: Run,
    views: Sequence[ScopeView],
    hard: Difficulty | None,
    seen: Signals | None,
    verdict: Verdict,
    reasons: Sequence[str],
    fitting: Candidate | None = None,
) -> Advice:
    evidence = () if fitting is None else fitting.evidence
    composition = None if fitting is None or verdict == "nothing" else fitting.composition
    notes = list(CAVEATS if seen is not None else CAVEATS[:1]) if evidence or seen is not None else []
    if any("features" in one.saving.name or "both" in one.saving.name for one in evidence):
        notes.append(_BEST_CASE)
    return Advice(
        run=run,
        scopes=tuple(views),
        difficulty=hard,
        signals=seen,
        verdict=verdict,
        reasons=tuple(dict.fromkeys(reasons)),
        composition=composition,
        evidence=evidence,
        lines={} if composition is None else trainer_lines(composition),
        notes=tuple(notes),
    )
