"""A workspace with another configuration: what it gets and whose cache it has, and that one call at a time has it."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import derived
import workspace
from snakemake_dvc import jobs
from w2sg.contracts.errors import UserError

ROOT = Path(__file__).parents[2]
ADDED = Path("src/w2sg/environments/chess/tasks.py")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of a few files, in which the test is."""
    folder = tmp_path / "project"
    for name in ("dvc.yaml", "src/w2sg/code.py", str(ADDED), "params/smoke.yaml", ".gitignore"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / ".gitignore").write_text("__pycache__/\n")
    monkeypatch.chdir(folder)
    subprocess.run(["git", "init", "--quiet"], check=True)
    return folder


def call(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "workflow/studies/workspace.py", *words]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


def refused(*words: str, **environment: str) -> str:
    """The one line in which it is."""
    done = call(*words, **environment)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    return line


def test_what_git_says_is_passed_on(project: Path) -> None:
    shutil.rmtree(".git")
    told = "project: git cannot list the files of the project: fatal: not a git repository"
    assert refused("params.yaml", ".smoke").startswith(f"workspace: {told}") and not Path(".smoke").exists()
    nowhere = project / "nowhere"
    assert "git: not found; install it" in refused("params.yaml", ".smoke", PATH=str(nowhere))
    assert not Path(".smoke").exists()


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("dvc.yaml", "dvc.yaml: is a file; name a folder"),
        (".", ".: holds this project; name a folder of its own"),
        ("", ".: holds this project; name a folder of its own"),
        ("..", "..: holds this project; name a folder of its own"),
        (".git", ".git: no workspace, as it has .* and no params.yaml; choose another name, or move it"),
        ("src", "src: no workspace, as it has w2sg and no params.yaml"),
    ],
)
@pytest.mark.usefixtures("project")
def test_no_other_folder_becomes_a_workspace(folder: str, why: str) -> None:
    before = sorted(Path().parent.rglob("*"))
    with pytest.raises(UserError, match=f"^{why}"), workspace.claimed(Path(folder)):
        pass
    assert sorted(Path().parent.rglob("*")) == before


@pytest.mark.usefixtures("project")
def test_a_workspace_is_made_in_a_project() -> None:
    assert refused("params.yaml").endswith("the following arguments are required: FOLDER; see workspace.py --help")
    Path("dvc.yaml").unlink()
    with pytest.raises(UserError, match=r"^dvc\.yaml: no such file; run this in the folder of the project"):
        workspace.check(Path(".smoke"))


@pytest.mark.usefixtures("project")
def test_what_the_project_has_no_more_goes_and_outputs_stay() -> None:
    """An environment whose folder was deleted would still be found by it."""
    target = Path(".smoke")

    def make() -> None:
        with workspace.claimed(target):
            workspace.make(target, "seeds: [0]\n")

    make()
    assert (target / ADDED).exists() and not (target / ".smoke").exists() and (target / ".git").is_dir()
    outputs = ("data/tasks.txt", "results/table1.csv", "src/w2sg/__pycache__/code.pyc")
    for name in (*outputs, "src/w2sg/environments/chess/__pycache__/tasks.pyc", "params/mine.yaml"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).touch()
    ADDED.unlink()
    make()
    assert not (target / ADDED.parent).exists() and not (target / "params/mine.yaml").exists()
    assert all((target / name).exists() for name in (*outputs, "src/w2sg/code.py", "params/smoke.yaml"))


@pytest.mark.usefixtures("project")
def test_a_linked_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/kept.py").touch()
    target = Path(".smoke")
    target.mkdir()
    (target / "workflow").symlink_to(tmp_path / "other")
    (target / "params.yaml").touch()
    workspace.make(target, "seeds: [0]\n")
    assert (tmp_path / "other/kept.py").exists()


@pytest.mark.usefixtures("project")
def test_a_full_disk_is_told_of_the_file_that_did_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(OSError) as error:
        workspace.make(Path(".smoke"), "seeds: [0]\n")
    assert error.value.filename.startswith(".smoke/")


@pytest.mark.usefixtures("project")
def test_one_call_at_a_time_has_a_workspace() -> None:
    target = Path(".smoke")
    with workspace.claimed(target) as lock:
        workspace.make(target, "seeds: [0]\n")
        assert refused("params.yaml", ".smoke") == "workspace: .smoke: another call is at work here; wait for it"
        with pytest.raises(UserError, match="another call is at work here"):
            derived.play(target, {"seeds": [1]}, targets=[], cores="1")
        orphan = subprocess.Popen(["sleep", "60"], pass_fds=[lock])
    assert (target / "params.yaml").read_text() == "seeds: [0]\n"
    with pytest.raises(UserError, match="another call is at work here"), workspace.claimed(target):
        pass
    orphan.kill()
    orphan.wait()
    with workspace.claimed(target):
        pass


@pytest.mark.usefixtures("project")
def test_a_stage_that_outlives_its_call_has_the_workspace() -> None:
    """Its caller and Snakemake may be killed; the stage's own lock is what is left."""
    locks = Path(".smoke") / jobs.LOCKS
    with workspace.claimed(Path(".smoke")):
        workspace.make(Path(".smoke"), "seeds: [0]\n")
        locks.mkdir(parents=True)
    with (locks / f"{jobs.file_name('a@x/y')}.run").open("w") as stage:
        fcntl.flock(stage, fcntl.LOCK_EX)
        said = "workspace: .smoke: a@x/y of a call that was killed is still at work here; wait for it"
        assert refused("params.yaml", ".smoke") == said
    with workspace.claimed(Path(".smoke")):
        pass


def test_a_workspace_that_is_a_link_finds_what_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "large/disk/study").mkdir(parents=True)
    (tmp_path / "project/.study").symlink_to(tmp_path / "large/disk/study")
    (tmp_path / "project/cache").symlink_to(tmp_path / "elsewhere")  # a link that is named stays one
    monkeypatch.chdir(tmp_path / "project")
    for path in (Path("cache"), tmp_path / "project/cache"):
        assert workspace.seen_from(Path(".study"), path) == "../../../project/cache"
    assert workspace.seen_from(Path(".other"), Path("cache")) == "../cache"


@pytest.mark.usefixtures("project")
def test_what_is_derived_is_played_with_the_workspace_held(monkeypatch: pytest.MonkeyPatch) -> None:
    target, held = Path(".map/0/cells"), []

    def run(command: list[str], *, cwd: Path, pass_fds: list[int]) -> subprocess.CompletedProcess[str]:
        with pytest.raises(UserError, match="another call"), workspace.claimed(target):
            pass
        held.append((command[0], cwd, pass_fds, (target / "params.yaml").read_text()))
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(workspace, "share_cache", lambda folder: None)
    with monkeypatch.context() as patched:
        patched.setattr(workspace, "make", lambda folder, text: (folder / "params.yaml").write_text(text))
        patched.setattr(derived.subprocess, "run", run)
        assert derived.play(target, {"seeds": [1]}, targets=["x"], cores="1") == 3
        with workspace.claimed(target) as lock:
            assert derived.play(target, {"seeds": [1]}, targets=["x"], cores="1", lock=lock) == 3
    (name, where, descriptors, text), again = held
    assert again == (name, where, [lock], text)
    assert (name, where, len(descriptors), text) == ("snakemake", target, 1, "seeds:\n- 1\n")


def test_a_workspace_of_a_workspace_has_the_cache_that_this_one_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "project/.study/.inner"
    for folder in (inner, inner.parent, inner.parent.parent):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        subprocess.run(["dvc", "init", "--quiet"], cwd=folder, check=True)
    for folder in (inner.parent, inner):
        monkeypatch.chdir(folder.parent)
        workspace.share_cache(Path(folder.name))
    found = subprocess.run(["dvc", "cache", "dir"], cwd=inner, capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()) == tmp_path / "project/.dvc/cache"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="DVC does not say where its cache is: configuration error"):
        workspace.share_cache(inner)


def test_what_dvc_says_of_a_cache_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".smoke").mkdir()
    monkeypatch.chdir(tmp_path)
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
        subprocess.run(command, check=True)
    (tmp_path / ".smoke/.dvc").mkdir()
    (tmp_path / ".smoke/.dvc/config").write_text("[core\n")
    with pytest.raises(UserError, match=r"^\.smoke: cannot use the cache \.\./\.dvc/cache: \S+.*config"):
        workspace.share_cache(Path(".smoke"))


def test_a_global_gitignore_does_not_hide_what_ran(tmp_path: Path) -> None:
    """Many have *.lock there, and DVC refuses a dvc.lock that is ignored."""
    (tmp_path / "ignored").write_text("*.lock\n")
    command = ["git", "-c", f"core.excludesFile={tmp_path / 'ignored'}", "check-ignore", "--no-index"]
    for name, code in (("dvc.lock", 1), ("another.lock", 0)):
        assert subprocess.run([*command, name], cwd=ROOT, capture_output=True).returncode == code, name
