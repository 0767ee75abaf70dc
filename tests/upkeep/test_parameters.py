"""What describes the parameters: every key says what it means, editors are told, the files are up to date."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import parameters
from w2sg.config.yaml_files import read_yaml

ROOT = Path(__file__).parents[2]
OVERLAYS = sorted((ROOT / "params").glob("*.yaml"))


def validator(path: Path) -> Draft202012Validator:
    schema = json.loads((ROOT / path).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_files_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, "workflow/upkeep/parameters.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_key_says_what_it_means() -> None:
    """A section has the text of its class."""

    def silent(node: Any, place: str = "") -> Iterator[str]:
        for key, inner in node.get("properties", {}).items():
            if "description" not in inner and "$ref" not in inner and parameters._target(inner) is None:
                yield f"{place}.{key}"

    schema = parameters.schema()
    assert list(silent(schema)) == []
    for name, node in schema["$defs"].items():
        assert "description" in node, name
        # Below `environments` a key is the name of a section, which has its own text.
        assert list(silent(node, name)) == []


@pytest.mark.parametrize("path", [ROOT / "params.yaml", *OVERLAYS], ids=lambda path: path.name)
def test_editors_find_a_schema_that_the_file_keeps(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    named = path.parent / first.removeprefix("# yaml-language-server: $schema=")
    assert named == ROOT / (parameters.SCHEMA if path.name == "params.yaml" else parameters.OVERLAY)
    validator(named.relative_to(ROOT)).validate(read_yaml(path))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"tree": {"breadht": 3}}, "tree"),
        ({"tree": {"breadth": 1}}, "tree.breadth"),
        ({"models": {"weak": {"base": "owner/name", "hidden": 64}}}, "models.weak"),
        ({"preference": {"Two words": {}}}, "preference"),
        ({"environments": {"alfworld": {"rooms": ["attic"]}}}, "environments.alfworld.rooms.0"),
        ({"colour": 1}, ""),
    ],
)
def test_editors_mark_what_is_wrong(changes: dict[str, Any], place: str) -> None:
    overlay = {"base": "../params.yaml", "set": changes}
    (error,) = validator(parameters.OVERLAY).iter_errors(overlay)
    assert ".".join(map(str, error.absolute_path)) == f"set.{place}".strip(".")
    whole = read_yaml(ROOT / "params.yaml")
    for section, values in changes.items():
        whole[section] = whole.get(section, {}) | values if isinstance(values, dict) else values
    assert list(validator(parameters.SCHEMA).iter_errors(whole))


def test_a_complete_file_lacks_nothing() -> None:
    values = read_yaml(ROOT / "params.yaml")
    del values["tree"]["breadth"], values["seeds"]
    messages = [error.message for error in validator(parameters.SCHEMA).iter_errors(values)]
    assert sorted(messages) == ["'breadth' is a required property", "'seeds' is a required property"]
