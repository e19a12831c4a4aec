"""What the files tell of a training before a model is loaded: the dataset's size, and the checkpoint's settings."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cero_api import content_key, make_allocator
from cero_api.adapting import (
    by_features,
    differences,
    prompt_features,
    refuse_other_rule,
    run_identity,
    said_rule,
    warn_of_idleness,
)
from cero_api.allocators import allocator_name, config_type
from cero_api.config import AllocatorConfig
from cero_api.errors import CeroError, CheckpointError, ConfigurationError, TraceError
from cero_api.files import write_whole
from cero_api.protocol import RolloutAllocator
from cero_api.trace import TraceReader
from cero_openrlhf.config import PREFIX, OpenRLHFAllocatorConfig, Schedule, allocator_config, schedule_of
from cero_openrlhf.prompts import content
from cero_openrlhf.shares import divisor, processes

logger = logging.getLogger(__name__)

SETTINGS_FILE = "cero_openrlhf.json"
DATASET = "cero_dataset"  # among OpenRLHF's arguments: what the launcher knows the train dataset by
OTHER_DATASET = (
    "another train dataset or template, or the same in another order, and the allocator knows prompts by their row; "
    "resume with those of that run"
)


def check_files(args: Any, settings: OpenRLHFAllocatorConfig, fields: Mapping[str, Any]) -> str | None:
    """Refuse what the dataset and the checkpoint that is resumed can tell, and say what can never be decided.

    Args:
        args: OpenRLHF's, nested.
        settings: the adapter's.
        fields: of the allocator, that were given.

    Returns:
        what the train dataset is known by at the next start; None where it could not be looked at.

    Raises:
        ConfigurationError: the allocator's settings do not fit the dataset, or those of the checkpoint; OpenRLHF's do
            not fit the dataset.
        PromptError: the dataset's rows cannot be told apart.
    """
    rows = dataset_rows(args)
    if rows is None:
        return None
    told = [content(row) for row in rows]
    prompts = {key: row[0] for key, row in zip(told, rows, strict=True)}
    dataset = content_key(*told, content([bool(args.data.apply_chat_template), _template(args)]))
    schedule = schedule_of(args, len(rows), len(prompts))
    _refuse_too_few(args, settings, fields, schedule, len(rows))
    saved = _saved(args, settings)
    if saved is not None:
        before, judged_by, known_by = saved
        if known_by not in (None, dataset):
            raise ConfigurationError(
                f"the checkpoint in {args.ckpt.path} was written with {OTHER_DATASET}, or pass --{PREFIX}.fresh_start "
                "to go on with a new allocator"
            )
        # A chat template may say the same of two rows, which are one prompt then; of the same rows it said it before.
        same = schedule if known_by is None else replace(schedule, num_prompts=before.num_prompts)
        _refuse_other(args, settings, allocator_config(settings, fields, same), before, judged_by)
    # As it will be in OpenRLHF's trainer, but for the chat template.
    config = allocator_config(settings, fields, schedule)
    known = {"features": prompt_features(list(prompts.values()), {})} if by_features(config) else {}
    allocator = make_allocator(settings.allocator, config, **known)
    _refuse_other_trace(settings, allocator)
    warn_of_idleness(allocator, schedule.shape(settings), option=_option)
    return dataset


def _option(setting: str) -> str:
    """How OpenRLHF's users write an option of this library."""
    return f"--{PREFIX}." + setting.replace("=", " ")


def dataset_rows(args: Any) -> list[Any] | None:
    """What tells a row of the train dataset from the others: prompt and label as they are in the file, and the image.

    Returns:
        None where OpenRLHF's own reader cannot read it here; it will say so itself.
    """
    from openrlhf.datasets.utils import blending_datasets

    quiet = SimpleNamespace(print=lambda *_: None, is_rank_0=lambda: False, args=args)
    try:
        data = blending_datasets(
            args.data.prompt_dataset,
            args.data.prompt_probs,
            quiet,
            args.train.seed,
            max_count=args.data.max_samples,
            dataset_split=args.data.prompt_split,
        )
        data = data.select(range(min(args.data.max_samples, len(data))))
        names = list(data.column_names)
    except Exception as error:  # of any library that reads datasets; the training's own reading will raise it
        logger.warning(
            "the train dataset could not be looked at before the start (%r); --data.prompt_dataset, "
            "--data.prompt_split and --data.prompt_probs say what is read",
            error,
        )
        return None
    for option, name in (("input_key", args.data.input_key), ("label_key", args.data.label_key)):
        if name is not None and name not in names:
            raise ConfigurationError(
                f"--data.{option} {name} is no column of the train dataset, which has {', '.join(names)}; name one"
            )
    asked = [args.data.input_key, args.data.label_key, getattr(args.data, "image_key", None)]
    rows = [list(row) for row in zip(*(data[name] for name in asked if name in names), strict=True)]
    _refuse_other_than_text(args, [row[0] for row in rows])
    return rows


def _template(args: Any) -> str | None:
    """What is put around a prompt; OpenRLHF takes no other than one with braces."""
    template: str | None = args.data.input_template
    return template if "{}" in (template or "") else None


def _refuse_other_than_text(args: Any, prompts: Sequence[Any]) -> None:
    """Refuse prompts that nothing makes a text of."""
    chats = bool(args.data.apply_chat_template)
    if not chats and _template(args) is not None:
        return
    kinds = (str, list) if chats else (str,)
    row = next((i for i, prompt in enumerate(prompts) if not isinstance(prompt, kinds)), None)
    if row is not None:
        chat = isinstance(prompts[row], list)
        raise ConfigurationError(
            f"row {row} of the train dataset has {prompts[row]!r:.60} in --data.input_key {args.data.input_key}, which "
            f"is no text; {'pass --data.apply_chat_template' if chat else 'drop such rows, or name another column'}"
        )


def _refuse_too_few(
    args: Any, settings: OpenRLHFAllocatorConfig, fields: Mapping[str, Any], schedule: Schedule, rows: int
) -> None:
    """Refuse a dataset of which no batch can be made."""
    try:
        allocator_config(settings, fields, schedule)
    except ConfigurationError as error:
        room = min(schedule.batch, rows)
        if schedule.num_prompts >= room:
            raise
        scope = "" if settings.scope == "batch" else f"pass --{PREFIX}.scope batch, or "
        raise ConfigurationError(
            f"the {rows} rows of the train dataset hold {schedule.num_prompts} different prompts (those that agree in "
            f"prompt, label and images are one), fewer than the {room} of a batch, which need be different; {scope}"
            "lower --rollout.batch_size"
        ) from error
    made, parts = rows * schedule.group_size, divisor(args)
    if made < parts:
        raise ConfigurationError(
            f"the {rows} rows of the train dataset make {made} rollouts, of which {processes(args)} training processes "
            f"can share nothing but multiples of {parts}, so nothing would be trained; give more rows, or lower "
            "--rollout.micro_batch_size or the number of processes"
        )


def keep_settings(
    folder: str | Path, allocator: RolloutAllocator, judged_by: Mapping[str, Any], dataset: str | None = None
) -> None:
    """Write the allocator's settings, and what it is judged by, where the next start can read them early.

    Args:
        folder: of the checkpoints.
        allocator: of the training.
        judged_by: `said_rule` of it.
        dataset: what `check_files` knows the train dataset by.
    """
    path = Path(folder) / SETTINGS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    config = allocator.config.model_dump(mode="json")
    said = {"allocator": allocator_name(allocator), "config": config, "judged_by": dict(judged_by), "dataset": dataset}
    write_whole(path, json.dumps(said, indent=2) + "\n")


def _saved(args: Any, settings: OpenRLHFAllocatorConfig) -> tuple[AllocatorConfig, dict[str, Any], str | None] | None:
    """Configuration, success rule and dataset of the checkpoint that is resumed; None where nobody kept them."""
    folder = Path(args.ckpt.path)
    path = folder / SETTINGS_FILE
    resumed = args.ckpt.load_enable and (folder / "_actor").exists()  # as OpenRLHF looks for it; settings come first
    if not resumed or settings.fresh_start or not path.is_file():
        return None
    try:
        saved = json.loads(path.read_text())
        before = config_type(saved["allocator"])(**saved["config"])
        return before, dict(saved.get("judged_by", {})), saved.get("dataset")  # earlier versions kept less
    except (OSError, ValueError, KeyError, TypeError, CeroError):
        return None  # the checkpoint itself will be read, and is what counts


def _refuse_other(
    args: Any,
    settings: OpenRLHFAllocatorConfig,
    config: AllocatorConfig,
    before: AllocatorConfig,
    judged_by: Mapping[str, Any],
) -> None:
    try:
        refuse_other_rule(judged_by, said_rule(settings, success_key=settings.success_key))
    except CheckpointError as error:
        raise ConfigurationError(f"{args.ckpt.path}: {error} (--{PREFIX}.fresh_start)") from error
    foreign = [name for name in type(config).model_fields if name not in config.replanned]
    told = differences(before, config, [n for n in foreign if getattr(before, n, None) != getattr(config, n)])
    if told:
        raise ConfigurationError(
            f"the checkpoint in {args.ckpt.path} holds an allocator with {told}; resume with its settings, or pass "
            f"--{PREFIX}.fresh_start to go on with a new allocator"
        )


def _refuse_other_trace(settings: OpenRLHFAllocatorConfig, allocator: RolloutAllocator) -> None:
    """Refuse a trace of which the settings alone tell that it is another run's; its writer looks at the rest."""
    try:
        found = TraceReader(settings.trace or "").header
    except TraceError:  # there is none, or its first line is torn
        return
    # As JSON says it, and without what is known only when the dataset has been read with its template.
    now = json.loads(json.dumps(run_identity(allocator, trainer="openrlhf", pool=found.metadata.get("pool"))))
    if found.num_prompts == allocator.config.num_prompts and found.metadata != now:
        raise ConfigurationError(
            f"--{PREFIX}.trace {settings.trace} is the trace of a run with other settings; choose another file, or "
            "move that one away"
        )
