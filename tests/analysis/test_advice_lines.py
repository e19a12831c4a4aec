"""What a table tells of prompts beforehand, and the lines that each trainer takes."""

import ast
import re
from pathlib import Path

import pytest

from cero_api import CeroConfig
from cero_api.adapting.versions import TRAINERS
from cero_api.analysis.advice import (
    TITLES,
    Composition,
    Told,
    told_by_table,
    trainer_lines,
)
from cero_api.analysis.advice.lines import TAKE_ARRAYS, TAKE_RATES
from cero_api.analysis.history import read_history
from cero_api.trace import TraceWriter

ROOT = Path(__file__).parents[2]

# What a table tells


def test_a_tables_columns_are_features(tmp_path: Path) -> None:
    lines = ["prompt,data_source,pass_rate"] + [f"What is {i}?,{'ab'[i % 2]},{i / 9:.3f}" for i in range(10)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    history = read_history(tmp_path / "t.csv")
    told = told_by_table(tmp_path / "t.csv", history.keys)
    assert (told.rates, told.columns, told.source) == ("pass_rate", ("data_source",), True)
    assert told.features is not None
    assert told.features.shape == (10, 3)  # the length, and a column for either source
    assert told.features[:, 1].tolist() == [1.0, 0.0] * 5


@pytest.mark.parametrize(
    "text",
    [
        "prompt,pass_rate\na,0.5\nb,0.25\n",  # no source
        "prompt,step,reward\na,0,1\na,0,0\nb,1,1\n",  # rewards of a training, which nobody knows before it
    ],
)
def test_what_a_table_does_not_say_is_not_known(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    told = told_by_table(tmp_path / "t.csv", read_history(tmp_path / "t.csv").keys)
    assert (told.rates, told.columns, told.features) == ("pass_rate" if "pass_rate" in text else None, (), None)


def test_a_trace_tells_nothing_beforehand(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "trace.jsonl") as trace:
        trace.write(0, [1], [8], [3])
    assert told_by_table(tmp_path, [1]) == Told()


# The lines

COMPOSITIONS = [
    Composition("batch"),
    Composition("batch", fields={"max_rollouts_per_prompt": 32}),
    Composition("window", rates="extra_info.pass_rate", samples="extra_info.samples", source=True, tokens=True),
    Composition("window", tokens=True, window=4),
    Composition("pool"),
]


def parameters(file: str, name: str) -> set[str]:
    """Of a class's constructor, or the fields of a configuration, read and not imported: trainers are not here."""
    tree = ast.parse((ROOT / "adapters" / file).read_text(encoding="utf-8"))
    found = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name)
    init = [node for node in found.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    if init:
        return {argument.arg for argument in (*init[0].args.args, *init[0].args.kwonlyargs)}
    return {
        node.target.id for node in found.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


@pytest.mark.skipif(not (ROOT / "adapters").is_dir(), reason="the wheel is tested without the sources of adapters")
@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_the_lines_are_what_trainers_take(composition: Composition) -> None:
    fields = set(CeroConfig.model_fields)
    lines = trainer_lines(composition)
    call = ast.parse(lines["trl"], mode="eval").body
    assert isinstance(call, ast.Call)
    arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert set(arguments) <= parameters("cero_trl/trainer.py", "CeroGRPOTrainer")
    assert set(arguments.get("allocator_config", {})) <= fields
    flag, *options = lines["verl"].split()
    assert flag == "+rollout_allocator=cero"
    own = parameters("cero_verl/config.py", "VerlAllocatorConfig")
    assert {re.sub(r"^rollout_allocator\.(\w+)=.*", r"\1", option) for option in options} <= own | fields
    own = parameters("cero_openrlhf/config.py", "OpenRLHFAllocatorConfig")
    assert set(re.findall(r"--cero\.(\w+) ", lines["openrlhf"])) <= own | fields | {"allocator"}
    assert arguments.get("scope", "batch") == composition.scope
    outer = ast.parse(lines["tinker"], mode="eval").body
    assert isinstance(outer, ast.Call)
    (call,) = outer.args
    assert isinstance(call, ast.Call)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    tree = ast.parse((ROOT / "adapters" / "cero_tinker" / "training.py").read_text(encoding="utf-8"))
    (allocated,) = [
        node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef) and node.name == "allocated"
    ]
    takes = {argument.arg for argument in (*allocated.args.args, *allocated.args.kwonlyargs)}
    assert set(given) <= takes
    assert set(ast.literal_eval(given.get("allocator_config", "{}"))) <= fields


@pytest.mark.skipif(not (ROOT / "adapters").is_dir(), reason="the wheel is tested without the sources of adapters")
def test_pass_rates_are_for_the_trainers_that_take_them() -> None:
    assert set(trainer_lines(Composition("batch"))) == set(TITLES) == set(TRAINERS) >= TAKE_RATES >= TAKE_ARRAYS
    for trainer in TRAINERS:
        sources = "".join(
            path.read_text(encoding="utf-8") for path in (ROOT / "adapters" / f"cero_{trainer}").glob("*.py")
        )
        assert (trainer in TAKE_RATES) == ("offline_rates" in sources), "see cero_api/analysis/advice/lines.py"
