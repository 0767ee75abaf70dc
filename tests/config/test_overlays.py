"""Overlays: what they merge to, what is refused, and that the shipped ones say only what differs."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from w2sg.commands import __main__ as cli
from w2sg.config import params
from w2sg.config.overlays import merged
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import UserError

ROOT = Path(__file__).parents[2]
OVERLAYS = sorted((ROOT / "params").glob("*.yaml"))
BASE = {"seeds": [0], "tree": {"breadth": 6, "key": "exact"}, "lora": None, "roster": {"a": {"x": 1}, "b": {"x": 2}}}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function: write a YAML file, in sections or as text."""

    def write(name: str, content: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return path

    write("base.yaml", BASE)
    return write


@pytest.mark.parametrize(
    ("overlay", "result", "changes"),
    [
        ({}, {}, []),
        ({"set": {}, "drop": []}, {}, []),
        ({"set": {"tree": {"breadth": 3}}}, {"tree": {"breadth": 3, "key": "exact"}}, ["tree.breadth"]),
        ({"set": {"seeds": [1, 2]}}, {"seeds": [1, 2]}, ["seeds"]),
        ({"set": {"lora": {"r": 8}}}, {"lora": {"r": 8}}, ["lora"]),
        ({"set": {"tree": None}}, {"tree": None}, ["tree"]),
        ({"set": {"tree": {}}}, {}, []),
        ({"set": {"new": {"x": 1}}}, {"new": {"x": 1}}, ["new"]),
        ({"drop": ["roster.a"]}, {"roster": {"b": {"x": 2}}}, ["roster.a"]),
        ({"keep": ["roster.a"]}, {"roster": {"a": {"x": 1}}}, ["roster.b"]),
        ({"keep": ["roster.b", "roster.a"]}, {}, []),
        ({"keep": ["tree.key", "roster.b"]}, {"tree": {"key": "exact"}, "roster": {"b": {"x": 2}}},
         ["tree.breadth", "roster.a"]),
        ({"keep": ["roster.a"], "drop": ["seeds"], "set": {"seeds": [1], "roster": {"c": 3}}},
         {"seeds": [1], "roster": {"a": {"x": 1}, "c": 3}}, ["seeds", "roster.b", "roster.c"]),
        (
            {"drop": ["roster"], "set": {"roster": {"c": 3}}},
            {"roster": {"c": 3}},
            ["roster.a", "roster.b", "roster.c"],
        ),
    ],
)  # fmt: skip
def test_merging(write: Write, overlay: dict[str, Any], result: dict[str, Any], changes: list[str]) -> None:
    """Mappings merge key by key, anything else replaces; what is dropped goes first."""
    found = merged(write("params/one.yaml", {"base": "../base.yaml"} | overlay))
    assert found.values == BASE | result
    assert list(found.changes) == changes


def test_an_overlay_on_an_overlay(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("params/one.yaml", {"base": "../base.yaml", "drop": ["roster.a"], "set": {"seeds": [1], "lora": 5}})
    write("params/two.yaml", {"base": "one.yaml", "set": {"seeds": [0], "roster": {"a": {"x": 7}}}})
    monkeypatch.chdir(tmp_path)
    found = merged(Path("params/two.yaml"))
    assert found.values == BASE | {"lora": 5, "roster": {"b": {"x": 2}, "a": {"x": 7}}}
    assert found.changes == ("lora", "roster.a.x")
    text = "params/two.yaml on params/one.yaml on base.yaml"
    assert found.summary() == f"{text}; keys that differ from base.yaml: lora 1, roster 1"
    assert found.text().startswith(f"# Made of {text}: change it there.\nseeds: [0]\n")
    assert yaml.safe_load(found.text()) == found.values


def test_a_complete_file_stands_for_itself(write: Write) -> None:
    path = write("mine.yaml", "# mine\nseeds: [3]\n")
    assert merged(path).values == {"seeds": [3]} and merged(path).changes == ()
    assert merged(path).text() == path.read_text(), "comments are kept"
    assert merged(path).summary() == f"{path}, a complete file"


@pytest.mark.parametrize(
    ("overlay", "line"),
    [
        ({"set": {"seeds": [1]}}, "base: name the parameter file that this overlay lies on, such as ../params.yaml"),
        ({"base": 5}, "base: name the parameter file that this overlay lies on, such as ../params.yaml"),
        ({"base": "lost.yaml"}, "base: no such file {folder}/lost.yaml (it is looked for beside this one)"),
        (
            {"base": "base.yaml", "seeds": [1]},
            "seeds: an overlay has the keys base, keep, drop, set alone; put it below set",
        ),
        ({"base": "base.yaml", "set": [1]}, "set: expected sections such as `explore:`, found list"),
        ({"base": "base.yaml", "drop": "a"}, "drop: expected a list of dotted keys such as [environments.webshop]"),
        ({"base": "base.yaml", "keep": {}}, "keep: expected a list of dotted keys such as [environments.webshop]"),
        ({"base": "base.yaml", "keep": ["roster.c"]}, "keep: its base has no roster.c"),
        ({"base": "base.yaml", "keep": ["roster.a"], "drop": ["roster.b"]}, "drop: its base has no roster.b"),
        ({"base": "base.yaml", "drop": ["tree.depth"]}, "drop: its base has no tree.depth"),
        ({"base": "base.yaml", "drop": ["seeds.x"]}, "drop: its base has no seeds.x"),
        ({"base": "one.yaml"}, "base one.yaml leads back to {folder}/one.yaml; end with a complete file"),
    ],
)  # fmt: skip
def test_what_is_no_overlay(write: Write, tmp_path: Path, overlay: dict[str, Any], line: str) -> None:
    path = write("one.yaml", overlay)
    with pytest.raises(UserError) as caught:
        merged(path)
    assert str(caught.value) == f"{path}: {line.format(folder=tmp_path)}"


def test_a_circle_of_two(write: Write) -> None:
    one = write("one.yaml", {"base": "two.yaml"})
    two = write("two.yaml", {"base": "one.yaml"})
    with pytest.raises(UserError, match=rf"^{re.escape(f'{two}: base one.yaml leads back to {one}')}; [^\n]*$"):
        merged(one)


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.name)
def test_the_shipped_overlays_are_complete_and_say_only_what_differs(path: Path, tmp_path: Path) -> None:
    found = merged(path)
    loaded = params.validated(found.values, source=path)
    assert loaded.model_dump(mode="json", exclude_unset=True) == found.values, "nothing was converted"
    (tmp_path / "params.yaml").write_text(found.text())
    assert params.load(tmp_path / "params.yaml") == loaded, "as it is written, it is read"
    overlay = read_yaml(path)
    base = merged(path.parent / overlay["base"]).values
    same = [key for key, value in leaves(overlay.get("set", {})) if (key, value) in list(leaves(base))]
    dropped = tuple(f"{key}." for key in overlay.get("drop", []))
    assert [key for key in same if not key.startswith(dropped)] == []


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_an_overlay_is_no_complete_file() -> None:
    """DVC would look for parameters in it that are not there."""
    with pytest.raises(UserError, match=r"study\.yaml: base: unknown key; allowed here: seeds, "):
        params.load(ROOT / "params/study.yaml")


def test_the_command_prints_the_complete_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["w2sg", "params", "params/study.yaml"])
    assert cli.main() == 0
    printed, said = capsys.readouterr()
    values, own = yaml.safe_load(printed), read_yaml(ROOT / "params.yaml")
    arms = {roster: values[roster].keys() - own[roster].keys() for roster in ("preference", "imitation")}
    for roster, added in arms.items():
        own[roster] |= {name: values[roster][name] for name in added}
    assert values == own | {"seeds": [0, 1, 2, 3, 4]}
    assert said == (
        "params/study.yaml on params.yaml; keys that differ from params.yaml: "
        f"seeds 1, preference {len(arms['preference'])}, imitation {len(arms['imitation'])}\n"
    )


def workspace(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "workflow/studies/workspace.py"), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_workspace_gets_the_complete_file(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    complete = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(complete)
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params").mkdir()
    overlay = "base: ../params.yaml\nset: {seeds: [5]}\n"
    (tmp_path / "params/one.yaml").write_text(overlay)
    done = workspace("params/one.yaml", ".one", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        ".one/params.yaml: params/one.yaml on params.yaml; keys that differ from params.yaml: seeds 1\n"
    )
    assert params.load(tmp_path / ".one/params.yaml").seeds == (5,)
    assert (tmp_path / ".one/params/one.yaml").read_text() == overlay
    assert workspace("params.yaml", ".same", folder=tmp_path).returncode == 0
    assert (tmp_path / ".same/params.yaml").read_text() == complete


def test_a_workspace_is_not_made_of_wrong_parameters(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "one.yaml").write_text("base: params.yaml\nset: {tree: {breadht: 5}}\n")
    done = workspace("one.yaml", ".one", folder=tmp_path)
    assert done.returncode == 2 and not (tmp_path / ".one").exists()
    assert done.stderr == (
        "workspace: one.yaml: tree.breadht: unknown key; allowed here: breadth, similarity, merge_key\n"
    )
    done = workspace("lost.yaml", ".one", folder=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith("workspace: lost.yaml: no such file")
