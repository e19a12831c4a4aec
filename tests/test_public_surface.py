"""The public names and their signatures, frozen: what changes here changes what people wrote against this library.

Read from the sources, so that the adapters are covered where their trainers are not installed.
"""

from __future__ import annotations

import ast
import importlib.util
import pathlib
import sys
from collections.abc import Iterator

FROZEN = pathlib.Path(__file__).parent / "data" / "public_surface.txt"

# Every name in these without an underscore is public; of a package, what its `__all__` lists. Other modules are not.
MODULES = (
    "cero_api",
    "cero_api.allocators",
    "cero_api.advantages",
    "cero_api.checkpoint",
    "cero_api.config",
    "cero_api.analysis.contest",
    "cero_api.mathematics.contrast",
    "cero_api.mathematics.duals",
    "cero_api.errors",
    "cero_api.analysis.history",
    "cero_api.analysis.learning",
    "cero_api.mathematics.oracle",
    "cero_api.mathematics.posterior",
    "cero_api.prompts",
    "cero_api.analysis.replay",
    "cero_api.analysis.report",
    "cero_api.frozen",
    "cero_api.rewards",
    "cero_api.mathematics.selection",
    "cero_api.analysis.simulate",
    "cero_api.testing",
    "cero_api.trace",
    "cero_api.mathematics.utility",
    "cero_openrlhf",
    "cero_ray",
    "cero_tinker",
    "cero_trl",
    "cero_verl",
)
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.ClassDef | Function | ast.Assign | ast.AnnAssign


def source_of(module: str) -> pathlib.Path:
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    assert spec is not None
    assert spec.origin is not None
    path = pathlib.Path(spec.origin).parent.joinpath(*rest)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def statements(module: str) -> Iterator[ast.stmt]:
    """Of the module, and of its `if TYPE_CHECKING`, where names that are imported on first use are declared."""
    for node in ast.parse(source_of(module).read_text(encoding="utf-8")).body:
        yield from node.body if isinstance(node, ast.If | ast.Try) else [node]


def named(node: ast.stmt) -> str | None:
    if isinstance(node, ast.ClassDef | Function):
        return node.name
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else 0
    return target.id if isinstance(target, ast.Name) else None


def public_names(module: str) -> list[str]:
    nodes = {name: node for node in statements(module) if (name := named(node))}
    listed = nodes.get("__all__")
    if isinstance(listed, ast.Assign):
        return sorted(ast.literal_eval(listed.value))
    return sorted(name for name in nodes if not name.startswith("_") and not isinstance(nodes[name], ast.AnnAssign))


def definition(module: str, name: str) -> tuple[str, Definition]:
    """Where a name is defined, through the imports that bring it here."""
    for node in statements(module):
        if named(node) == name:
            assert isinstance(node, Definition)
            return f"{module}.{name}", node
        if isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            assert node.module is not None
            return definition(node.module, name)
    raise AssertionError(f"{module} promises {name} and has none")


def signature(node: Function) -> str:
    returns = "" if node.returns is None else f" -> {ast.unparse(node.returns)}"
    return f"{node.name}({ast.unparse(node.args)}){returns}"


def described(path: str, node: Definition) -> Iterator[str]:
    if isinstance(node, Function):
        yield f"{'async ' * isinstance(node, ast.AsyncFunctionDef)}def {path.rpartition('.')[0]}.{signature(node)}"
    elif isinstance(node, ast.ClassDef):
        yield f"class {path}({', '.join(map(ast.unparse, node.bases))})"
        for member in node.body:
            name = named(member)
            if name is None or (name.startswith("_") and name not in ("__init__", "__call__")):
                continue
            if isinstance(member, Function):
                marks = "".join(f"@{ast.unparse(mark)} " for mark in member.decorator_list)
                yield f"    {marks}{signature(member)}"
            elif isinstance(member, ast.AnnAssign):
                yield f"    {ast.unparse(member)}"
    else:
        yield f"{path} = ..."


def surface() -> str:
    lines, known = [], dict[str, str]()
    for module in MODULES:
        for name in public_names(module):
            home, node = definition(module, name)
            if home in known:
                lines.append(f"{module}.{name} = {known[home]}")
            else:
                known[home] = f"{module}.{name}"
                lines += described(f"{module}.{name}", node)
    return "\n".join(lines) + "\n"


def test_the_public_surface_is_the_frozen_one() -> None:
    now, frozen = surface().splitlines(), FROZEN.read_text(encoding="utf-8").splitlines()
    gone, new = sorted(set(frozen) - set(now)), sorted(set(now) - set(frozen))
    assert now == frozen, (
        "the public surface changed. If that is meant, say so in CHANGELOG.md and run `python "
        "tests/test_public_surface.py`.\n"
        + "\n".join([*(f"- {line}" for line in gone), *(f"+ {line}" for line in new)])
    )


if __name__ == "__main__":
    FROZEN.parent.mkdir(exist_ok=True)
    FROZEN.write_text(surface(), encoding="utf-8")
    sys.stdout.write(f"wrote {FROZEN}\n")
