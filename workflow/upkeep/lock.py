"""Write requirements*.lock and environment.yml: what is installed here, pinned, without hashes.

requirements.lock is what a run needs: all that pyproject's dependencies lead to. requirements-test.lock is what its
extra `test` adds. Both are complete and are installed with `pip install --no-deps`. The version of torch stays plain:
which build it is (CPU here, CUDA there) is the registry's choice. A CUDA build, as PyPI's is on Linux, needs libraries
that a CPU build does not name; so `make install` then asks for torch with its dependencies, and
requirements-cuda.lock constrains them.

environment.yml repeats requirements.lock instead of naming it: Snakemake hands conda a copy that lies in another
folder, where the name would lead nowhere, and makes a new environment only when the text of environment.yml itself
changes. conda's pip section knows no --no-deps, so what is used without its dependencies comes after it, in
environment.post-deploy.sh, which Snakemake runs in the new environment.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from w2sg.contracts import files
from w2sg.contracts.command_line import Parser, status
from w2sg.contracts.errors import UserError, named

WITHOUT_DEPENDENCIES = ("alfworld",)
"""Packages of which a run uses data and constants alone; what they ask for (TextWorld) belongs to the tests."""

FROM_SOURCE = ("antlr4-python3-runtime", "connection-pool")
"""Packages of a run whose registry has no wheel of them; pure Python, so that they need no compiler."""

OPTIONS = ("--only-binary :all:", *(f"--no-binary {name}" for name in FROM_SOURCE))

LOCK = """\
# Made by `make lock`; what a run needs, installed by `make install` with --no-deps. Wheels only, but for pure Python.
{pins}
"""
TEST_LOCK = """\
# Made by `make lock`; what tests and checks need besides requirements.lock, installed by `make install-test`.
{pins}
"""
CUDA_LOCK = """\
# Made by `make lock`; what torch's CUDA build needs besides requirements.lock: constraints of `make install`.
{pins}
"""
ENVIRONMENT = """\
# Made by `make lock`, for `snakemake --use-conda`: Python from conda, all else by pip as in requirements.lock.
name: w2sg
channels:
  - conda-forge
dependencies:
  - python={python}
  - pip
  - git
  - pip:
{pins}
"""
POST_DEPLOY = """\
# Made by `make lock`; Snakemake runs it in the new environment of environment.yml.
python -m pip install --no-deps {pins}
"""


def closure(requirements: Iterable[str], *, leaves: Collection[str] = ()) -> dict[str, str]:
    """Names and versions of the installed packages that `requirements` lead to; `leaves` lead no further.

    Raises:
        UserError: one of them is not installed.
    """
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        try:
            package = distribution(name)
        except PackageNotFoundError:
            raise UserError(f"{named(str(requirement))} is not installed here: run `make install-test` first") from None
        found[name] = package.version.split("+")[0]
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in seen and name not in leaves:
                seen.add((name, wanted))
                waiting += [(Requirement(text), wanted) for text in package.requires or ()]
    return found


def find_pins(pyproject: Path = Path("pyproject.toml")) -> tuple[list[str], list[str]]:
    """`name==version` of each package that a run needs, and of each that the extra `test` adds; names sorted.

    setuptools is first in the run's, as others are built with it.

    Raises:
        UserError: the file does not say what is needed, or it is not installed.
    """
    with files.reading(pyproject, "a file that says what this project needs", remedy="restore it from git"):
        project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
        needed, tests = project["dependencies"], project["optional-dependencies"]["test"]
        for text in (*needed, *tests):
            Requirement(text)
    run = closure(["setuptools", *needed], leaves=WITHOUT_DEPENDENCIES)
    both = closure([*needed, *tests])
    names = ["setuptools", *sorted(run.keys() - {"setuptools"})]
    return [f"{name}=={run[name]}" for name in names], [f"{name}=={both[name]}" for name in sorted(both.keys() - run)]


def find_cuda(pins: Iterable[str]) -> list[str]:
    """`name==version` of what torch's CUDA build needs besides the run's pins; names sorted.

    Asks the registry, since a CPU build may be installed here.

    Raises:
        UserError: pip finds no such build.
    """
    known = dict(pin.split("==") for pin in pins)
    # Three signs take the version to the letter: no build of the same version with a local name, such as +cpu.
    wanted = f"torch==={known['torch']}"
    ask = ["install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-", *OPTIONS[0].split(), wanted]
    done = subprocess.run([sys.executable, "-m", "pip", *ask], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"pip finds no {wanted}: {done.stderr.strip().splitlines()[-1]}")
    packages = [package["metadata"] for package in json.loads(done.stdout)["install"]]
    found = {canonicalize_name(package["name"]): package["version"] for package in packages}
    if not (besides := sorted(found.keys() - known)):
        raise UserError(f"{wanted} needs nothing of CUDA on this platform: run `make lock` on Linux")
    return [f"{name}=={found[name]}" for name in besides]


def format_lock(pins: Iterable[str]) -> str:
    """The text of requirements.lock."""
    return LOCK.format(pins="\n".join((*OPTIONS, *pins)))


def format_test_lock(pins: Iterable[str]) -> str:
    """The text of requirements-test.lock."""
    return TEST_LOCK.format(pins="\n".join(pins))


def format_cuda_lock(pins: Iterable[str]) -> str:
    """The text of requirements-cuda.lock."""
    return CUDA_LOCK.format(pins="\n".join(pins))


def format_environment(pins: Iterable[str], *, python: str) -> str:
    """The text of environment.yml; `python` is a version such as 3.11."""
    entries = (*OPTIONS, *(pin for pin in pins if not _alone(pin)))
    return ENVIRONMENT.format(
        python=python, pins="\n".join(f'      - "{e}"' if e[0] == "-" else f"      - {e}" for e in entries)
    )


def format_post_deploy(pins: Iterable[str]) -> str:
    """The text of environment.post-deploy.sh."""
    return POST_DEPLOY.format(pins=" ".join(filter(_alone, pins)))


def _alone(pin: str) -> bool:
    return pin.split("==")[0] in WITHOUT_DEPENDENCIES


def main() -> int:
    """Parse the command line, which has no options; write the files."""
    Parser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    return status("lock", write)


def write() -> int:
    """Write the files into the working folder.

    Raises:
        UserError: see `find_pins` and `find_cuda`.
    """
    run, test = find_pins()
    cuda = find_cuda(run)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    for name, text in {
        "requirements.lock": format_lock(run),
        "requirements-test.lock": format_test_lock(test),
        "requirements-cuda.lock": format_cuda_lock(cuda),
        "environment.yml": format_environment(run, python=python),
        "environment.post-deploy.sh": format_post_deploy(run),
    }.items():
        files.write_text(Path(name), text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
