"""Folders outside of the project are inputs: an edit of a game makes its environment's tasks stale, in both tools."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from w2sg.config import params
from w2sg.contracts.errors import UserError
from w2sg.stages import code, outside

ROOT = Path(__file__).parents[2]
READ = {"alfworld": "~/alfworld data", "webshop": "data/official/webshop"}


@pytest.fixture
def refused(values: dict, tmp_path: Path) -> Callable[[], list[str]]:
    """A function: what is said of the parameters."""

    def lines() -> list[str]:
        file = tmp_path / "params.yaml"
        file.write_text(yaml.safe_dump(values))
        with pytest.raises(UserError) as told:
            params.load(file)
        return [line.removeprefix(f"{file}: ") for line in str(told.value).splitlines()]

    return lines


@pytest.mark.parametrize("name", ["$(touch pwned)", "`touch pwned`", 'a"b', "a\\b"])
def test_what_a_shell_would_read_is_refused(values: dict, refused: Callable, name: str) -> None:
    """DVC writes the path into the command of its stage."""
    values["environments"]["alfworld"]["data_dir"] = values["outside"]["alfworld"] = f"/games/{name}"
    (line,) = refused()
    assert line.startswith("outside.alfworld: ") and "which the shell would read" in line


def test_a_name_that_is_no_text_counts_too(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "model")
    os.mkdir(folder)
    seen = set()
    for name in (b"caf\xe9.txt", b"caf\xe8.txt"):
        with open(os.path.join(folder, name), "w") as file:
            file.write("x")
        seen.add(outside.bytes_hash(tmp_path / "model"))
        os.unlink(os.path.join(folder, name))
    assert len(seen) == 2


def test_a_folder_that_is_read_is_declared(values: dict, refused: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/people/me")
    values["environments"]["alfworld"]["data_dir"] = "~/games"
    values["models"]["weak"] = {"base": "./llama", "revision": None}
    values["embed"]["model"] = "~/e5"
    lines = [
        "environments.alfworld.data_dir: ~/games is no input yet; write `alfworld: /people/me/games` under outside",
        "models.weak.base: ./llama is no input yet; write `weak: ./llama` under outside",
        "embed.model: ~/e5 is no input yet; write `embed: /people/me/e5` under outside",
    ]
    assert refused() == lines
    values["outside"] = {"alfworld": "~/games", "weak": "./llama", "embed": "/people/me/e5"}
    assert refused() == lines[:1], "DVC takes ~ for a name"


def test_a_folder_that_is_declared_is_read(values: dict, refused: Callable) -> None:
    values["outside"] = {"webshop": "data/official/webshop"}
    (line,) = refused()
    assert line.startswith("outside.webshop: nothing reads it; ")


@pytest.mark.parametrize("name", ["acme/mini", "mini", "@0123", "acme/mini@"])
def test_an_embedder_of_the_hub_has_a_commit(values: dict, refused: Callable, name: str) -> None:
    values["embed"]["model"] = name
    (line,) = refused()
    assert line.startswith("embed.model: ") and "@COMMIT (a folder begins with ./ or /)" in line


def test_each_entry_makes_its_readers_stale_and_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").symlink_to(ROOT / "src")
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    readers = {
        "alfworld": {"tasks/alfworld.txt"},
        "weak": {"pretrain/weak.txt"},
        "embed": {f"embed/{name}.txt" for name in ("alfworld", "scienceworld", "webshop")},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"outside": dict.fromkeys(readers, "/a/folder")}))
    outside.CONTENTS.mkdir(parents=True)
    for name in readers:
        (outside.CONTENTS / f"{name}.txt").write_text(f"outside {name} 0123\n")
    assert code.main() == 0
    for name, expected in readers.items():
        found = {path for path in code.DIGESTS.rglob("*.txt") if f"outside {name} 0123" in path.read_text()}
        assert {str(path.relative_to(code.DIGESTS)) for path in found} == expected


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first stages of the table with two folders of official data, tasks made by a stand-in."""
    folder, home = tmp_path / "work", tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    for name in ("DVC_SITE_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "site"))
    shutil.copytree(ROOT / "src/w2sg", folder / "src/w2sg", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("profiles", "data/outside"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.txt"))
    for name in ("Snakefile", "environment.yml", "requirements.lock", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name, path in READ.items():
        values["environments"][name]["data_dir"] = path
        data = folder / Path(path).expanduser()
        (data / "train").mkdir(parents=True)
        for number in range(3):
            (data / f"train/game-{number}.json").write_text(json.dumps({"game": number}))
        values.setdefault("outside", {})[name] = str(Path(path).expanduser())
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    params.load(folder / "params.yaml")
    table = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    kept = {name: table[name] for name in ("outside", "code", "tasks")}
    kept["tasks"]["cmd"] = (
        "mkdir -p data/games/${item.environment} && echo ${item.environment} | tee -a runs.log"
        " > data/tasks/${item.environment}.parquet"
    )
    (folder / "data/tasks").mkdir()
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": kept}, sort_keys=False))
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "repro", "--quiet")
    (folder / "runs.log").unlink()
    return folder


def run(folder: Path, *command: str, code: int = 0) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_an_edit_of_a_game_is_seen_by_both_tools(project: Path) -> None:
    for name, path in READ.items():
        game = project / Path(path).expanduser() / "train/game-1.json"
        content = game.read_bytes()
        assert "Nothing to be done" in run(project, "snakemake", "-n")
        assert "up to date" in run(project, "dvc", "status")
        game.write_text("{}")
        plan = run(project, "snakemake", "-n")
        assert f"would run first: outside@{name}" in plan and "would run first: code" in plan
        assert re.findall(r"^Job \d+: (tasks@\w+):", plan, flags=re.MULTILINE) == [f"tasks@{name}"]
        assert f"outside@{name}" in run(project, "dvc", "status")
        game.write_bytes(content)
        assert "Nothing to be done" in run(project, "snakemake", "-n")
        assert "up to date" in run(project, "dvc", "status")
        game.write_text("{}")
        tool = ["snakemake", "--cores", "2"] if name == "alfworld" else ["dvc", "repro"]
        run(project, *tool)
        assert (project / "runs.log").read_text().split() == [name]
        (project / "runs.log").unlink()
    # A model's folder, and one that is gone.
    shutil.rmtree(project / READ["webshop"])
    screen = run(project, "snakemake", "-n", code=1)
    assert f"Error: {READ['webshop']} is missing; stage outside@webshop needs it" in screen
