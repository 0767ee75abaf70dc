"""A workspace with another configuration, where git does not help."""

import shutil
import subprocess
import sys
from pathlib import Path

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


def test_a_global_gitignore_does_not_hide_what_ran(tmp_path: Path) -> None:
    """Many have *.lock there, and DVC refuses a dvc.lock that is ignored."""
    (tmp_path / "ignored").write_text("*.lock\n")
    command = ["git", "-c", f"core.excludesFile={tmp_path / 'ignored'}", "check-ignore", "--no-index"]
    for name, code in (("dvc.lock", 1), ("another.lock", 0)):
        assert subprocess.run([*command, name], cwd=ROOT, capture_output=True).returncode == code, name
