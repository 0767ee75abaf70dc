"""`make lock`: which package belongs to a run, which to the tests."""

import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml

import lock
from w2sg.contracts.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that makes packages findable: name, version, what each requires."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, version: str, *requires: str, extras: tuple[str, ...] = ()) -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {text}" for text in requires)]
        lines += [f"Provides-Extra: {extra}" for extra in extras]
        (folder / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines, ""]))

    return make


def test_the_closure_follows_extras_and_markers_and_stops_at_leaves(install: Callable[..., None]) -> None:
    install("toy-app", "1.0", "toy-part[fast]>=1", "toy.data", 'toy-old; python_version < "3"', "toy-app")
    install("toy-part", "2.0+cpu", 'toy-speed; extra == "fast"', 'toy-paint; extra == "nice"', extras=("fast", "nice"))
    install("toy-speed", "3.0")
    install("toy-data", "4.0", "toy-compiled")
    install("toy-compiled", "5.0")
    run = {"toy-app": "1.0", "toy-part": "2.0", "toy-speed": "3.0", "toy-data": "4.0"}
    assert lock.closure(["Toy_App"], leaves=("toy-data",)) == run
    assert lock.closure(["toy-app"]) == run | {"toy-compiled": "5.0"}


def test_what_is_not_installed_is_named() -> None:
    with pytest.raises(UserError, match=r"^no-such-package>=1 is not installed here: run `make install-test` first$"):
        lock.closure(["no-such-package>=1"])


def test_the_extra_of_the_tests_adds_to_what_a_run_needs(tmp_path: Path, install: Callable[..., None]) -> None:
    install("alfworld", "0.4.2", "toy-engine", "toy-shared")
    install("toy-engine", "1.0", "toy-shared")
    install("toy-shared", "2.0")
    install("toy-run", "3.0", "toy-shared")
    project = '[project]\ndependencies = ["alfworld", "toy-run"]\noptional-dependencies = {test = ["toy-engine"]}\n'
    (tmp_path / "pyproject.toml").write_text(project)
    run, test = lock.find_pins(tmp_path / "pyproject.toml")
    setuptools = f"setuptools=={distribution('setuptools').version}"
    assert run == [setuptools, "alfworld==0.4.2", "toy-run==3.0", "toy-shared==2.0"]
    assert test == ["toy-engine==1.0"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, r"^pyproject\.toml: no such file; restore it from git$"),
        ("x", r"^pyproject\.toml: not a file that says what this project needs \(.+\); restore it from git$"),
        ("[project]\ndependencies = []\n", r"^pyproject\.toml: not a .+ \('optional-dependencies'\); restore"),
        ("[project]\ndependencies = ['a b ==']\noptional-dependencies = {test = []}\n", r"^pyproject\.toml: not a "),
        ("[project]\ndependencies = 5\noptional-dependencies = {test = []}\n", r"^pyproject\.toml: not a "),
        (
            "[project]\ndependencies = ['no-such-package']\noptional-dependencies = {test = []}\n",
            r"^no-such-package is not installed here: ",
        ),
    ],
)
def test_a_wrong_pyproject_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("pyproject.toml").write_text(text)
    with pytest.raises(UserError, match=line):
        lock.write()
    assert not Path("requirements.lock").exists()


def test_it_has_no_options(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["lock.py", "--wirte"])
    with pytest.raises(SystemExit, match=r"^2$"):
        lock.main()
    assert capsys.readouterr().err == "lock.py: unrecognized arguments: --wirte; see lock.py --help\n"


def test_the_lock_files_are_what_is_installed_here() -> None:
    run, test = lock.find_pins(ROOT / "pyproject.toml")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if f"  - python={python}\n" in (ROOT / "environment.yml").read_text():
        assert (ROOT / "requirements.lock").read_text() == lock.format_lock(run)
        assert (ROOT / "requirements-test.lock").read_text() == lock.format_test_lock(test)
    assert not set(run) & set(test)


def test_what_a_cuda_build_adds_is_pinned_and_not_in_the_lock() -> None:
    run, _ = lock.find_pins(ROOT / "pyproject.toml")
    text = (ROOT / "requirements-cuda.lock").read_text()
    pins = [line for line in text.splitlines() if not line.startswith("#")]
    assert text == lock.format_cuda_lock(pins)
    names = [re.fullmatch(r"([a-z0-9-]+)==[0-9.]+", pin)[1] for pin in pins]  # type: ignore[index]
    assert names == sorted(names) and {"cuda-toolkit", "nvidia-cudnn-cu13", "triton"} <= {*names}
    assert not {*names} & {pin.split("==")[0] for pin in run}


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ("print(1, file=sys.stderr); sys.exit(1)", r"^pip finds no torch===2\.13\.0: 1$"),
        ("print('{\"install\": []}')", r"^torch===2\.13\.0 needs nothing of CUDA on this platform: run `make lock` on"),
    ],
)
def test_no_cuda_build_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, line: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\nimport sys\n{answer}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(UserError, match=line):
        lock.find_cuda(["torch==2.13.0"])


def test_a_run_needs_nothing_compiled_from_source() -> None:
    """All are wheels, which pip holds to; the exceptions are pure Python."""
    locked = (ROOT / "requirements.lock").read_text().splitlines()
    options = [line for line in locked if line.startswith("-")]
    assert options == ["--only-binary :all:", *(f"--no-binary {name}" for name in lock.FROM_SOURCE)]
    for name in lock.FROM_SOURCE:
        package = distribution(name)
        assert "Root-Is-Purelib: true" in (package.read_text("WHEEL") or ""), name
        assert not [file for file in package.files or () if file.suffix in (".so", ".pyd", ".dylib")], name
    assert not {"textworld", "fast-downward-textworld", "jericho"} & {line.split("==")[0] for line in locked}


def test_the_environment_of_conda_is_completed_without_dependencies() -> None:
    run, _ = lock.find_pins(ROOT / "pyproject.toml")
    script = (ROOT / "environment.post-deploy.sh").read_text()
    assert script == lock.format_post_deploy(run)
    assert script.endswith("python -m pip install --no-deps alfworld==0.4.2\n")
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"][-1]["pip"]
    assert not [entry for entry in pip if entry.startswith("alfworld")]
