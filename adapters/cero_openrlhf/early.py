"""What the files tell of a training before a model is loaded: the dataset's size, and the checkpoint's settings."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cero_api import make_allocator
from cero_api.adapting import (
    by_features,
    differences,
    prompt_features,
    refuse_other_rule,
    said_rule,
    warn_of_idleness,
)
from cero_api.allocators import allocator_name, config_type
from cero_api.config import AllocatorConfig
from cero_api.errors import CeroError, CheckpointError, ConfigurationError
from cero_api.files import write_whole
from cero_api.protocol import RolloutAllocator
from cero_openrlhf.config import PREFIX, OpenRLHFAllocatorConfig, allocator_config, schedule_of
from cero_openrlhf.prompts import content

logger = logging.getLogger(__name__)

SETTINGS_FILE = "cero_openrlhf.json"


def check_files(args: Any, settings: OpenRLHFAllocatorConfig, fields: Mapping[str, Any]) -> None:
    """Refuse what the dataset and the checkpoint that is resumed can tell, and say what can never be decided.

    Args:
        args: OpenRLHF's, nested.
        settings: the adapter's.
        fields: of the allocator, that were given.

    Raises:
        ConfigurationError: the allocator's settings do not fit the dataset, or those of the checkpoint.
        PromptError: the dataset's rows cannot be told apart.
    """
    rows = dataset_rows(args)
    if rows is None:
        return
    prompts = {content(row): row[0] for row in rows}
    schedule = schedule_of(args, len(rows), len(prompts))
    config = allocator_config(settings, fields, schedule)
    _check_saved(args, settings, config)
    # As it will be in OpenRLHF's trainer, but for the chat template.
    known = {"features": prompt_features(list(prompts.values()), {})} if by_features(config) else {}
    allocator = make_allocator(settings.allocator, config, **known)
    warn_of_idleness(allocator, schedule.shape(settings), option=_option)


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
        names = [args.data.input_key, args.data.label_key, getattr(args.data, "image_key", None)]
        columns = [data[name] for name in names if name is not None and name in data.column_names]
    except Exception as error:  # of any library that reads datasets; the training's own reading will raise it
        logger.warning("the train dataset could not be looked at before the start (%r)", error)
        return None
    return [list(row) for row in zip(*columns, strict=True)]


def keep_settings(folder: str | Path, allocator: RolloutAllocator, judged_by: Mapping[str, Any]) -> None:
    """Write the allocator's settings, and what it is judged by, where the next start can read them early."""
    path = Path(folder) / SETTINGS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    config = allocator.config.model_dump(mode="json")
    said = {"allocator": allocator_name(allocator), "config": config, "judged_by": dict(judged_by)}
    write_whole(path, json.dumps(said, indent=2) + "\n")


def _check_saved(args: Any, settings: OpenRLHFAllocatorConfig, config: AllocatorConfig) -> None:
    path = Path(args.ckpt.path) / SETTINGS_FILE
    if not args.ckpt.load_enable or settings.fresh_start or not path.is_file():
        return
    try:
        saved = json.loads(path.read_text())
        before = config_type(saved["allocator"])(**saved["config"])
    except (OSError, ValueError, KeyError, TypeError, CeroError):
        return  # the checkpoint itself will be read, and is what counts
    try:
        refuse_other_rule(saved.get("judged_by", {}), said_rule(settings))
    except CheckpointError as error:
        raise ConfigurationError(f"{args.ckpt.path}: {error} (--{PREFIX}.fresh_start)") from error
    foreign = [name for name in type(config).model_fields if name not in config.replanned]
    told = differences(before, config, [n for n in foreign if getattr(before, n, None) != getattr(config, n)])
    if told:
        raise ConfigurationError(
            f"the checkpoint in {args.ckpt.path} holds an allocator with {told}; resume with its settings, or pass "
            f"--{PREFIX}.fresh_start to go on with a new allocator"
        )
