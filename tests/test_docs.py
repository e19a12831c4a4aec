"""The documentation is true: its Python runs, its commands and flags exist, it knows every allocator and error.

A Python block that cannot run here says so in a comment before it: `<!-- not run here: needs … -->`.
"""

import ast
import importlib.util
import pathlib
import re
import shlex
import subprocess
import sys
import zlib

import pytest

from cero_api import allocators, available_allocators
from cero_api.allocators import config_type

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
TEXT = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}

NOT_RUN = re.compile(r"<!-- not run here: needs [^>]+ -->\n\Z")
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, *languages: str) -> list[str]:
    """Fenced blocks of these languages that are not marked as not run."""
    found = FENCE.finditer(TEXT[page])
    return [m[2] for m in found if m[1] in languages and not NOT_RUN.search(TEXT[page][: m.start()])]


def commands(page: str) -> list[list[str]]:
    """Command lines of the page's shell blocks, in words."""
    lines = "".join(blocks(page, "sh", "bash", "console")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


COMMANDS = [(page, words) for page in TEXT for words in commands(page)]


@pytest.mark.parametrize("page", [page for page in TEXT if page.startswith("docs") and blocks(page, "python")])
def test_the_pages_python_runs(page: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(allocators, "_REGISTRY", dict(allocators._REGISTRY))  # a page registers names of its own
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), names)


@pytest.mark.parametrize("page", TEXT)
def test_python_is_marked_as_python_and_compiles(page: str) -> None:
    for language, block in FENCE.findall(TEXT[page]):
        assert language not in ("py", "python3"), "write ```python, which is run"
        if language == "python":
            compile(block, page, "exec")


def test_every_command_line_of_cero_has_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    typer = pytest.importorskip("typer")
    from cero_api.cli import app

    # As typer makes them, which is what --help shows.
    made: dict[str, set[str]] = {}
    monkeypatch.setattr(typer.Typer, "__call__", lambda self: made.update(commands_of(typer.main.get_command(self))))
    app.main()
    assert {"demo", "compare", "replay", "simulate", "report"} <= set(made)
    used = [words for _, words in COMMANDS if words[0] == "cero"]
    used += [
        ["cero", *shlex.split(line)] for text in TEXT.values() for line in re.findall(r"`cero ([a-z][^`\n]*)`", text)
    ]
    for page, words in COMMANDS:
        arguments = next((word.removeprefix("ARGS=") for word in words if word.startswith("ARGS=")), "")
        assert not arguments or words[:2] == ["make", "demo"], f"{page}: {words}"
        used.append(["cero", "demo", *shlex.split(arguments)])
    for words in used:
        assert words[1] in made, words
        options = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
        assert options <= made[words[1]] | {"--help"}, f"{' '.join(words)}: no {options - made[words[1]]}"


def commands_of(group: object) -> dict[str, set[str]]:
    listed: dict[str, object] = getattr(group, "commands", {})
    return {
        name: {option for parameter in getattr(command, "params", []) for option in getattr(parameter, "opts", [])}
        for name, command in listed.items()
    }


def test_every_other_command_is_one_of_this_repository() -> None:
    makefile, noxfile = (ROOT / "Makefile").read_text(), (ROOT / "noxfile.py").read_text()
    extras = set(re.findall(r"^([a-z]+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    for page, words in COMMANDS:
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), f"{page}: {words}"
        elif "nox" in words[0]:
            assert re.search(rf"^def {words[-1]}\(", noxfile, re.MULTILINE), f"{page}: {words}"
        elif words[0] == "pip" and "cero" in words[-1] + "".join(words[2:3]):
            asked = {
                extra for word in words for found in re.findall(r"\[([a-z,]+)\]", word) for extra in found.split(",")
            }
            assert asked <= extras | {"vllm"}, f"{page}: {words}"
    for page, text in TEXT.items():
        for session in re.findall(r"nox -s (\w+)", text):
            assert re.search(rf"^def {session}\(", noxfile, re.MULTILINE), f"{page}: {session}"
        for script, options in re.findall(r"`python ((?:benchmarks|docs|tests)/[\w/]+\.py)([^`]*)`", text):
            source = (ROOT / script).read_text()
            assert all(option in source for option in re.findall(r"--[\w-]+", options)), f"{page}: {script}{options}"


def fields_of(path: str, name: str) -> set[str]:
    """Fields of an adapter's settings, read from its source: the trainer may not be installed."""
    source = pathlib.Path(ROOT, path).read_text(encoding="utf-8")
    (kind,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name)
    rule = {"success_threshold", "reward_range"}
    return rule | {
        node.target.id for node in kind.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


@pytest.mark.parametrize(
    ("flag", "config"),
    [
        (r"rollout_allocator\.([a-z_]+)", ("adapters/cero_verl/config.py", "VerlAllocatorConfig")),
        (r"--cero\.([a-z_]+)", ("adapters/cero_openrlhf/config.py", "OpenRLHFAllocatorConfig")),
    ],
)
def test_every_flag_of_an_adapter_is_a_field(flag: str, config: tuple[str, str]) -> None:
    known = fields_of(*config).union(*(config_type(name).model_fields for name in available_allocators()))
    named = {(page, field) for page, text in TEXT.items() for field in re.findall(flag, text)}
    assert len(named) > 10
    assert not {(page, field) for page, field in named if field not in known}


def test_who_lists_the_trainers_lists_them_all() -> None:
    # One after the other, with a few words between: a table has a row for each, and is searched alike.
    listing = re.compile(r"TRL\b(.{0,160}?)\bverl\b(.{0,160}?)\bOpenRLHF\b.{0,160}", re.DOTALL)
    lists = [(page, found[0]) for page, text in TEXT.items() for found in listing.finditer(text)]
    assert len(lists) > 5
    assert not [(page, words) for page, words in lists if not re.search("tinker|cookbook", words)]


def test_every_allocator_has_its_page() -> None:
    pages = {page.stem for page in (DOCS / "allocators").glob("*.md")}
    assert set(available_allocators()) == pages - {"index"}


def test_every_error_has_its_remedy() -> None:
    classes = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for folder in ("cero_api", "cero_lab", "adapters")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    ours = {"CeroError"}
    while more := {name for name, bases in classes.items() if bases & ours} - ours:
        ours |= more
    assert len(ours) > 8
    headings = set(re.findall(r"^## (\w+Error)$", TEXT["docs/troubleshooting.md"], re.MULTILINE))
    assert headings == ours - {"CeroError"}


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert listed == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}


def test_the_figures_can_be_drawn_again(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("matplotlib")
    script = [sys.executable, "-W", "error", str(DOCS / "plots" / "draw.py"), "--out", str(tmp_path)]
    subprocess.run(script, check=True, timeout=120, env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"})
    drawn, shown = sorted(path.name for path in tmp_path.iterdir()), sorted(p.name for p in DOCS.glob("images/*.svg"))
    assert drawn == shown
    assert all(any(f"images/{name}" in text for text in TEXT.values()) for name in drawn)


def test_the_check_of_the_site_finds_what_is_wrong(tmp_path: pathlib.Path) -> None:
    spec = importlib.util.spec_from_file_location("check", DOCS / "check.py")
    assert spec is not None
    assert spec.loader is not None
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    symbols = re.findall(r"^(?:class|def) ([\w.]+)", check.SURFACE.read_text(encoding="utf-8"), re.MULTILINE)

    def faults(page: str, documented: list[str]) -> list[str]:
        (tmp_path / "index.html").write_text(f'<p id="here">{page}</p>', encoding="utf-8")
        (tmp_path / "site.css").write_text("a { background: url(none.svg) }" if page == "css" else "", encoding="utf-8")
        listed = "\n".join(f"{symbol} py:function 1 api/#$ -" for symbol in documented).encode()
        (tmp_path / "objects.inv").write_bytes(b"# compressed using zlib.\n" + zlib.compress(listed))
        return list(check.faults(tmp_path))

    assert faults('<a href="#here">one</a> <a href="https://arxiv.org">two</a> <a href="./">three</a>', symbols) == []
    for page in (
        '<a href="gone.html">',
        '<a href="#gone">',
        '<img src="gone.png">',
        '<script src="https://cdn.example/katex.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/a.css">',
        "css",
    ):
        assert len(faults(page, symbols)) == 1, page
    assert len(faults("", symbols[1:])) == 1
