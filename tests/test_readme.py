"""What the project says of itself is true: the README's example, commands and links, and the version."""

import contextlib
import importlib
import importlib.metadata
import io
import pathlib
import re
import shutil
import subprocess
import tomllib
from urllib.parse import unquote

import pytest

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
PAGES = ["README.md", "CONTRIBUTING.md"]


def printed_by(example: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "README.md", "exec"), {"__name__": "__main__"})
    return printed.getvalue()


def assert_alike(printed: str, stated: str) -> None:
    """The same words, and the same numbers but for what the last bit of `exp` on another machine may change."""
    number = re.compile(r"\d+(?:\.\d+)?")
    assert number.sub("#", printed) == number.sub("#", stated)
    numbers = [float(found) for found in number.findall(stated)]
    assert [float(found) for found in number.findall(printed)] == pytest.approx(numbers, rel=0.03)


def test_the_example_prints_what_the_readme_says() -> None:
    match = re.search(r"start:example\] -->\n```python\n(.*?)```\n+```text\n(.*?)```", README, re.DOTALL)
    assert match is not None, "the example is a python block, with its output in a text block after it"
    example, output = match.groups()
    assert len(example.splitlines()) <= 20
    assert_alike(printed_by(example), output)
    *_, uniform = printed_by(example.replace('"cero"', '"uniform"')).split()
    claim = re.search(r"\S+(?=\s+of\s+the\s+groups\s+have\s+contrast)", README)
    assert claim is not None
    assert_alike(uniform, claim.group())


def test_every_python_block_compiles() -> None:
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        compile(block, "README.md", "exec")


@pytest.mark.parametrize("page", PAGES)
def test_every_make_command_is_a_target(page: str) -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= TARGETS


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_help_lists_every_target() -> None:
    listed = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([a-z]+)", listed, re.MULTILINE)) == TARGETS


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", text) + re.findall(r'src="([^"]+)"', text)
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_an_index_shows_no_link_that_leads_nowhere() -> None:
    hook = importlib.import_module("hatch_build")
    dead = re.compile(r"\]\((?!https?://|#)")
    code = re.compile(r"```.*?```", re.DOTALL)
    assert dead.search(README)
    alone = hook.for_an_index(README)
    there = hook.for_an_index(README, "https://host/us/it", "1.2")
    for text in (alone, there):
        assert not dead.search(text)
        assert "<!--" not in text
        assert code.findall(text) == code.findall(README)
    # What is linked in the clone is linked from the index, once there is a repository.
    targets = re.findall(r"\]\((?!https?://|#)([^)]+)\)", README)
    linked = re.findall(r"https://host/us/it/(?:blob|raw)/v1\.2/([^)]+)\)", there)
    assert sorted(linked) == sorted(targets)
    assert "[TRL]" not in alone
    assert "TRL, verl" in alone


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_its_savings_are_those_of_the_published_records(page: str) -> None:
    """Which `python docs/headline.py --fill` writes."""
    table = importlib.import_module("docs.headline").headline()
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.partition("<!-- begin headline -->")[2].partition("<!-- end headline -->")[0].strip() == table


def test_the_badges_are_true() -> None:
    badges = re.findall(r"img\.shields\.io/badge/(\w+)-(.+?)-\w+\)", README)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    said = {(name, unquote(value).replace("--", "-").replace("≥", ">=")) for name, value in badges}
    papers = {("arXiv", url.rpartition("/")[2]) for url in project["urls"].values()}
    assert said == papers | {("python", project["requires-python"]), ("license", project["license"])}


def test_one_version_everywhere() -> None:
    version = importlib.metadata.version("cero-api")
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_release_workflow_runs_a_session_and_publishes_what_it_leaves() -> None:
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    (session,) = set(re.findall(r"nox -s (\w+)", workflow))
    (body,) = re.findall(rf"^def {session}\(.*?(?=^@nox)", noxfile, re.MULTILINE | re.DOTALL)
    assert 'ROOT / "dist"' in body
    assert "twine" in body
    assert workflow.count("path: dist/") == 2
    assert "id-token: write" in workflow
    assert "password" not in workflow
