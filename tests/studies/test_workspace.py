"""A workspace with another configuration: whose cache it has, and where git does not help."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import workspace
from w2sg.contracts.errors import UserError

ROOT = Path(__file__).parents[2]


def test_what_git_says_is_passed_on(tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    shutil.copytree(ROOT / "params", folder / "params")
    shutil.copy(ROOT / "params.yaml", folder)
    command = [sys.executable, ROOT / "workflow/studies/workspace.py", "params/smoke.yaml", ".smoke"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2 and not (folder / ".smoke").exists()
    (line,) = done.stderr.splitlines()
    assert line.startswith("unpacked: git cannot list the files of the project: fatal: not a git repository")


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
    with pytest.raises(UserError, match="DVC does not say where its cache is"):
        workspace.share_cache(inner)


def test_a_global_gitignore_does_not_hide_what_ran(tmp_path: Path) -> None:
    """Many have *.lock there, and DVC refuses a dvc.lock that is ignored."""
    (tmp_path / "ignored").write_text("*.lock\n")
    command = ["git", "-c", f"core.excludesFile={tmp_path / 'ignored'}", "check-ignore", "--no-index"]
    for name, code in (("dvc.lock", 1), ("another.lock", 0)):
        assert subprocess.run([*command, name], cwd=ROOT, capture_output=True).returncode == code, name
