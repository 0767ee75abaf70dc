"""`make install` on a small project: what it installs, and how it mends an environment that is not whole."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
Make = Callable[..., subprocess.CompletedProcess[str]]
BACKEND = """
import zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name, info = "toy_project-1.0-py3-none-any.whl", "toy_project-1.0.dist-info"
    with zipfile.ZipFile(folder + "/" + name, "w") as wheel:
        wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: toy-project\\nVersion: 1.0\\n")
        wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "/RECORD", "")
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "toy-project"
version = "1.0"
"""


def write_wheel(folder: Path, name: str, version: str, requires: str | None = None) -> None:
    """A wheel with one module that knows its version."""
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"version = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def write_locks(project: Path, version: str) -> None:
    """Lock files that name the toys in a version."""
    pins = "".join(f"{name}=={version}\n" for name in ("setuptools", "torch", "toy"))
    (project / "requirements.lock").write_text(f"--only-binary :all:\n{pins}")
    (project / "requirements-cuda.lock").write_text(f"toycuda=={version}\n")
    (project / "requirements-test.lock").write_text(f"toytest=={version}\n")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of each; torch is a build like that for CUDA, which names what the lock file does not."""
    folder = tmp_path_factory.mktemp("wheels")
    for version in ("99.1", "99.2"):
        write_wheel(folder, "torch", version, requires="toycuda")
        for name in ("setuptools", "toy", "toycuda", "toytest"):
            write_wheel(folder, name, version)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with this one's Makefile, nothing installed yet; the tests share it, as each leaves it whole."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    write_locks(folder, "99.1")
    return folder


@pytest.fixture
def make(wheels: Path) -> Make:
    """A function that calls make in a project, with the wheels as the only registry."""

    def call(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "MAKE"))}
        environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels.as_uri()}
        command = ["make", "--silent", f"PYTHON={sys.executable}", *arguments]
        return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=300)

    return call


def installed(project: Path) -> dict[str, str]:
    """Toys that the environment's python can import, and their versions."""
    found = {}
    for name in ("toy", "toycuda", "toytest"):
        script = f"import {name}; print({name}.version)"
        done = subprocess.run([project / ".venv/bin/python", "-c", script], capture_output=True, text=True, cwd="/")
        if done.returncode == 0:
            found[name] = done.stdout.strip()
    return found


def assert_whole(project: Path, make: Make) -> None:
    """The run's packages are there, the environment's commands start, and nothing is left to do."""
    assert installed(project)["toy"]
    assert subprocess.run([project / ".venv/bin/pip", "--version"], capture_output=True).returncode == 0
    assert make(project, "--question", "install").returncode == 0


def lose_pip(project: Path) -> None:
    """As after a kill while the environment was made."""
    shutil.rmtree(project / ".venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", ".venv"], cwd=project, check=True)


def stop_half_way(project: Path) -> None:
    """As after a kill while pip installed: it would take the package, whose version it can read, for installed."""
    (site,) = project.glob(".venv/lib/*/site-packages")
    (site / "toy.py").unlink()
    (next(site.glob("toy-*.dist-info")) / "RECORD").unlink()
    (project / ".venv/.installed").unlink()
    (project / ".venv/.unfinished").touch()


def lose_python(project: Path) -> None:
    """As after the interpreter was removed or upgraded."""
    for link in (project / ".venv/bin").glob("python*"):
        link.unlink()
        link.symlink_to("/nowhere/bin/python3")


def move(project: Path) -> None:
    """As after the folder was renamed: scripts still name the old one."""
    pip = project / ".venv/bin/pip"
    pip.write_text(pip.read_text().replace(str(project), "/somewhere/else"))


@pytest.mark.parametrize("damage", [lose_pip, stop_half_way, lose_python, move])
def test_an_environment_that_is_not_whole_is_made_anew(
    project: Path, make: Make, damage: Callable[[Path], None]
) -> None:
    assert make(project, "install").returncode == 0
    assert_whole(project, make)
    damage(project)
    assert make(project, "--question", "install").returncode == 1
    done = make(project, "install")
    assert done.returncode == 0, done.stderr
    assert_whole(project, make)


def test_tests_add_to_an_installation_and_a_changed_lock_file_is_followed(project: Path, make: Make) -> None:
    write_locks(project, "99.1")
    assert make(project, "install-test").returncode == 0
    assert installed(project) == {"toy": "99.1", "toycuda": "99.1", "toytest": "99.1"}
    assert make(project, "--question", "install-test").returncode == 0
    write_locks(project, "99.2")
    assert make(project, "--question", "install").returncode == 1
    assert make(project, "install").returncode == 0
    assert installed(project) == {"toy": "99.2", "toycuda": "99.2", "toytest": "99.1"}
    assert make(project, "install-test").returncode == 0
    assert installed(project) == {"toy": "99.2", "toycuda": "99.2", "toytest": "99.2"}


def test_what_would_have_to_be_built_is_refused_and_a_failure_is_not_taken_for_an_installation(
    project: Path, wheels: Path, make: Make
) -> None:
    (wheels / "toysource-99.1.tar.gz").write_bytes(b"")
    with (project / "requirements.lock").open("a") as lock:
        lock.write("toysource==99.1\n")
    done = make(project, "install")
    assert done.returncode != 0 and "No matching distribution found for toysource" in done.stderr
    assert make(project, "--question", "install").returncode == 1
    write_locks(project, "99.2")
    assert make(project, "install").returncode == 0
    assert_whole(project, make)
