"""`cero advise`: should I use it for my run, and what will it save?"""

from __future__ import annotations

import json as jsons
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cero_api.analysis.text import plain_text
from cero_api.cli.contest import exit_codes, progress_bar, say
from cero_api.cli.options import (
    AsJson,
    CountColumn,
    Format,
    PromptColumn,
    RateColumn,
    RecordFormat,
    RoundColumn,
    SuccessColumn,
    Threshold,
)
from cero_api.cli.tables import Row, print_table

if TYPE_CHECKING:
    from cero_api.analysis.advice import Advice, Regime, Told
    from cero_api.analysis.history import SuccessHistory
    from cero_api.analysis.history.names import Role


class Scope(StrEnum):
    """Who may be chosen."""

    batch = "batch"
    window = "window"
    pool = "pool"


_VERDICTS = {
    "use": "Use it: {text}",
    "try": "Try it: {text}",
    "nothing": "Nothing to gain here. Stay with uniform.",
}


def advise(
    record: Annotated[
        Path | None,
        typer.Argument(
            help="What you have: pass rates in CSV, JSON or Parquet; verl's rollout dumps; TRL's completions; a trace. "
            "Without one, --prompts.",
            show_default=False,
        ),
    ] = None,
    prompts: Annotated[int | None, typer.Option(min=1, help="Of the pool; as recorded unless given.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the pool; as recorded, or 1.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Prompts of a step; as recorded, or 64.")] = None,
    group_size: Annotated[int | None, typer.Option(min=1, help="Rollouts of a prompt; as recorded, or 8.")] = None,
    scope: Annotated[
        Scope | None, typer.Option(help="That it has to be: batch keeps your loader's prompts. Whichever fits.")
    ] = None,
    floor: Annotated[int | None, typer.Option(min=0, help="Least rollouts of a prompt in a batch; 2.")] = None,
    cap: Annotated[int | None, typer.Option(min=1, help="Most rollouts of a prompt; twice the group.")] = None,
    source: Annotated[
        bool, typer.Option("--source", help="A column says where a prompt is from; found in a table with pass rates.")
    ] = False,
    rates: Annotated[str | None, typer.Option(help="Column of pass rates of any model that your data set has.")] = None,
    format: Format = RecordFormat.auto,
    success_threshold: Threshold = 1.0,
    prompt_column: PromptColumn = None,
    rate_column: RateColumn = None,
    success_column: SuccessColumn = None,
    count_column: CountColumn = None,
    round_column: RoundColumn = None,
    json: AsJson = False,
) -> None:
    """Say whether to use an allocator for a run, which one, what such ones have saved, and what to write.

    From whatever there is: pass rates, dumps or a trace of a uniform run; or the sizes of the run alone, as in
    cero advise --prompts 17000 --epochs 2 --batch 128 --group-size 8
    """
    from cero_api.analysis.advice import Told
    from cero_api.analysis.advice import advise as run

    given: dict[Role, str | None] = {
        "prompt": prompt_column, "rate": rate_column, "success": success_column, "count": count_column,
        "round": round_column,
    }  # fmt: skip
    with exit_codes(), progress_bar() as bar:
        history, told = None, Told()
        if record is not None:
            reading = bar.add_task(f"reading {plain_text(record.name)}", total=1.0)
            history, told = _read(
                record, format, success_threshold, given, lambda share: bar.update(reading, completed=share)
            )
            bar.remove_task(reading)
        told = told._replace(rates=rates or told.rates, columns=told.columns or (("source",) if source else ()))
        replaying = bar.add_task("replaying", total=1.0, visible=history is not None)
        advice = run(
            history,
            prompts=prompts,
            epochs=epochs,
            group_size=group_size,
            batch=batch,
            scope=None if scope is None else scope.value,
            floor=floor,
            cap=cap,
            told=told,
            progress=lambda share: bar.update(replaying, completed=share),
        )
    if json:
        print(jsons.dumps(advice.to_dict(), indent=2))
    else:
        _show(advice, record, () if history is None else history.notes)


def _read(
    record: Path,
    format: RecordFormat,
    threshold: float,
    given: dict[Role, str | None],
    progress: Callable[[float], None],
) -> tuple[SuccessHistory, Told]:
    from cero_api.analysis.advice import Told, told_by_table
    from cero_api.analysis.history import read_history

    history = read_history(
        record,
        format=format.value,
        success_threshold=threshold,
        prompt_column=given["prompt"],
        rate_column=given["rate"],
        success_column=given["success"],
        count_column=given["count"],
        round_column=given["round"],
        progress=progress,
    )
    if history.rounds or format not in (RecordFormat.auto, RecordFormat.table):
        return history, Told()
    told = told_by_table(record, history.keys, given)
    return history, told if told.rates is not None else told._replace(rates="pass_rate")


def _show(advice: Advice, record: Path | None, notes: tuple[str, ...]) -> None:
    from cero_api.analysis.advice import TITLES

    console = Console()
    run = advice.run

    def size(name: str, text: str) -> str:
        return f"{text} (assumed)" if name in run.assumed else text

    sizes = [
        f"{run.prompts:,} prompts",
        size("epochs", f"{run.epochs:.3g} epoch{'' if run.epochs == 1 else 's'}"),
        size("batch", f"{run.batch:,} prompt{'' if run.batch == 1 else 's'} a step"),
        size("group_size", f"groups of {run.group_size}"),
    ]
    say(console, f"Your run: {', '.join(sizes)}: {run.rounds:,} steps, {run.budget:,} rollouts.")
    say(console, f"{run.visits:.1f} visits a prompt.\n", style="bold")

    say(console, "What could be decided, as a share of a step's rollouts", style="italic")
    print_table(console, _scope_rows(advice))
    for view in advice.scopes:
        for reason in view.reasons if advice.reasons[0] not in view.reasons else ():
            say(console, f"• {view.scope}: {reason}.", style="dim")
    console.print()
    _show_record(console, advice, record, notes)

    text = "" if advice.composition is None else advice.composition.text
    say(console, _VERDICTS[advice.verdict].format(text=text), style="bold")
    for reason in advice.reasons:
        say(console, f"• {reason[0].upper()}{reason[1:]}.")
    console.print()
    if advice.evidence:
        say(console, "To uniform's accuracy, over what uniform needed, in the published trainings", style="italic")
        print_table(console, _evidence_rows(advice))
        console.print()
    for trainer, line in advice.lines.items():
        say(console, f"{TITLES[trainer]}:", style="bold")
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    if advice.lines:
        console.print()
    for note in (*_about_lines(advice), *advice.notes):
        say(console, note, style="dim")


def _scope_rows(advice: Advice) -> list[Row]:
    return [
        {
            "scope": view.scope,
            "chosen among": f"{view.prompts:,} prompt{'' if view.prompts == 1 else 's'}",
            "rollouts each": f"{view.floor} to {view.cap}" if view.scope == "batch" else f"0 or {view.cap}",
            "first epoch": f"{view.first:.0%}",
            "later": "" if view.later is None else f"{view.later:.0%}",
        }
        for view in advice.scopes
    ]


def _show_record(console: Console, advice: Advice, record: Path | None, notes: tuple[str, ...]) -> None:
    hard, seen = advice.difficulty, advice.signals
    if hard is None or record is None:
        return
    counted = "" if hard.rollouts is None else f", {hard.rollouts:.1f} rollouts a visit"
    say(console, f"Your pool, by {record.name} ({hard.prompts:,} prompts{counted})", style="italic")
    print_table(
        console,
        [
            {
                "never solved": f"{hard.never:.0%}",
                "always": f"{hard.always:.0%}",
                "sometimes": f"{hard.mixed:.0%}",
                "success rate": f"{hard.success_rate:.0%}",
                "uniform's groups with contrast": f"{hard.effective:.0%}",
            }
        ],
    )
    for note in notes:
        say(console, f"• {note}", style="dim")
    console.print()
    if seen is None:
        return
    say(
        console,
        f"Signal by replay: variance of a rollout's reward, over uniform's {seen.uniform:.3f} "
        f"({seen.prompts:,} prompts, {seen.rounds:,} steps)",
        style="italic",
    )
    print_table(
        console,
        [{"scope": one.scope, "known": one.known, "signal": f"{one.ratio.mean:.2f} x"} for one in seen.of],
    )
    console.print()


def _evidence_rows(advice: Advice) -> list[Row]:
    def named(regime: Regime) -> str:
        return f"{regime.pool}, {regime.visits:.0f}, {regime.group_size}, {regime.parameters:g}M"

    return [
        {
            "regime": named(one.regime),
            "contrast": f"{one.regime.effective:.0%}",
            "rollouts": one.saving.rollouts.text,
            "tokens": "" if one.saving.tokens is None else one.saving.tokens.text,
            "starts": str(one.saving.starts),
        }
        for one in advice.evidence
    ]


def _about_lines(advice: Advice) -> list[str]:
    from cero_api.analysis.advice.lines import TAKE_ARRAYS, TAKE_RATES, TITLES

    composition, said = advice.composition, []
    if advice.evidence:
        names = ", ".join(dict.fromkeys(one.saving.name for one in advice.evidence))
        window = advice.evidence[0].saving.window
        width = "" if window is None else f", up to {window} prompts offered for each that fits"
        said.append(
            f"Measured as {names}{width}. Regime: pool, visits, group, parameters. Contrast: the share of uniform's "
            "groups that had it. Brackets: 95% intervals over starts. docs/early.md has all of them."
        )
    if composition is not None and composition.rates is not None:
        arrays = [title for trainer, title in TITLES.items() if trainer in TAKE_ARRAYS]
        said.append(f"For {' and '.join(arrays)}, table is any that has these columns, a row for each prompt in order.")
        unable = [title for trainer, title in TITLES.items() if trainer not in TAKE_RATES]
        said.append(f"No offline pass rates for {' and '.join(unable)}: left out there.")
    return said
