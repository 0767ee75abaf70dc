"""Every way to get params.yaml wrong has its line; what is right comes out typed."""

import re
import typing

import pytest
import yaml

from w2sg.config import params
from w2sg.config.data import Sampling
from w2sg.config.environments import Environments
from w2sg.config.fields import Section
from w2sg.config.models import FromScratch, Pretrained

from .keys import ROOT, SECTIONS, put

ROOMS = "input should be 'kitchen', 'living_room', 'bedroom' or 'bathroom' (found 'attic')"
KEYS = "input should be 'observation', 'observation+thought' or 'exact' (found 'thought')"


@pytest.mark.parametrize("path", [ROOT / "params.yaml", *(ROOT / "params").glob("*.yaml")], ids=lambda path: path.name)
def test_shipped_files(path):
    """No alias, merge key, repeated key or number that PyYAML takes for text, which DVC reads otherwise."""
    tree = yaml.compose(path.read_text(encoding="utf-8"))
    seen = set()

    def walk(node):
        assert id(node) not in seen, "an alias"
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            names = [key.value for key, _ in node.value]
            assert len(names) == len(set(names)), names
            assert "<<" not in names
            for _, value in node.value:
                walk(value)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                walk(value)
        elif node.tag == "tag:yaml.org,2002:str" and node.style is None:
            assert not re.fullmatch(r"[-+]?[\d.]+([eE][-+]?\d+)?", node.value), f"{node.value} is a text"

    walk(tree)


def test_nothing_is_converted():
    """What DVC hashes is what the stages get; an environment that is left out stays left out."""
    path = ROOT / "params.yaml"
    assert params.load(path).model_dump(mode="json", exclude_unset=True) == yaml.safe_load(path.read_text())


def test_nothing_has_a_default_but_an_environment():
    """DVC sees no default, so that a changed one would make nothing stale."""

    def kinds(kind):
        inner = [each for each in typing.get_args(kind) for each in kinds(each)]
        if isinstance(kind, type) and issubclass(kind, Section):
            return [kind, *(each for field in kind.model_fields.values() for each in kinds(field.annotation))]
        return inner

    found = set(kinds(params.Params))
    assert {Environments, FromScratch, Pretrained, Sampling} < found
    for kind in found - {Environments}:
        assert all(field.is_required() for field in kind.model_fields.values()), kind


def test_loaded_values_are_typed_and_frozen(default_values):
    loaded = params.load(ROOT / "params.yaml")
    assert loaded.environments.names == sorted(default_values["environments"])
    assert loaded.environment("alfworld") is loaded.environments.alfworld
    assert isinstance(loaded.explore.schedule, tuple)
    with pytest.raises(ValueError, match="frozen"):
        loaded.dpo.beta = 1.0


@pytest.mark.parametrize("section", SECTIONS)
def test_unknown_key(values, problems, section):
    key = f"{section}.colour".removeprefix(".")
    if section == "outside":
        values["outside"] = {"colour": "folder"}
        (line,) = problems(values)
        assert line.startswith("outside.colour: nothing reads it; ")
        return
    if section in ("preference", "imitation", "inference"):
        put(values, key, values[section][next(iter(values[section]))] | {"colour": 1})
        key += ".colour"
    else:
        put(values, key, 1)
    (line,) = problems(values)
    found, allowed = re.fullmatch(r"(.*): unknown key; allowed here: (.*)", line).groups()
    assert found == key
    here = values
    for part in key.split(".")[:-1]:
        here = here[int(part) if part.isdigit() else part]
    # Environments may be left out.
    known = set(Environments.model_fields) if section == "environments" else set(here) - {"colour"}
    assert set(allowed.split(", ")) == known


@pytest.mark.parametrize("section", [section for section in SECTIONS if section])
def test_missing_key_and_wrong_kind_of_section(values, problems, section):
    put(values, section, [1])
    kinds = "an object|a valid dictionary|a valid tuple"
    assert any(re.fullmatch(rf"{section}: input should be ({kinds}) \(found list\)", line) for line in problems(values))


def test_missing_section(values, problems):
    del values["mcts"], values["dpo"]["beta"]
    assert problems(values) == ["mcts: missing", "dpo.beta: missing"]


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("seeds", [], "is empty; give at least one"),
        ("seeds", [0, 1, 0], "must differ from each other, found [0, 1, 0]"),
        ("seeds.0", -1, "input should be greater than or equal to 0 (found -1)"),
        ("explore.samples", True, "input should be a valid integer (found True)"),
        ("explore.cohort", 6.5, "input should be a valid integer (found 6.5)"),
        ("explore.cohort", "60", "input should be a valid integer (found '60')"),
        ("explore.schedule", [], "is empty; give at least one"),
        ("explore.roles", [], "is empty; give at least one"),
        ("explore.roles", ["weak", "strong", "weak"], "must differ from each other, found ['weak', 'strong', 'weak']"),
        ("inference.best_of_n.samples", 0, "input should be greater than or equal to 1 (found 0)"),
        ("explore.schedule.2.top_p", 0, "input should be greater than 0 (found 0)"),
        ("evaluate.top_p", 1.5, "input should be less than or equal to 1 (found 1.5)"),
        ("evaluate.temperature", float("inf"), "input should be a finite number (found inf)"),
        ("dpo.beta", None, "input should be a valid number (found None)"),
        ("dpo.beta", float("nan"), "input should be a finite number (found nan)"),
        ("dpo.eq6", "literally", "input should be 'dpo' or 'literal' (found 'literally')"),
        ("pairs.whole_path", "yes", "input should be a valid boolean (found 'yes')"),
        ("pairs.minimum_gap", 2, "input should be less than or equal to 1 (found 2)"),
        ("tree.merge_key", "thought", KEYS),
        ("embed.model", 5, "input should be a valid string (found 5)"),
        ("environments.alfworld.rooms.0", "attic", ROOMS),
        ("tree.breadth", 7, "7 is too many; allowed is at most explore.samples (6)"),
        ("experts.tasks", 5001, "5001 is too many; allowed is at most environments.alfworld.tasks.train (5000)"),
        ("explore.tasks", 5001, "5001 is too many; allowed is at most environments.alfworld.tasks.train (5000)"),
        ("evaluate.seen", 501, "501 is too many; allowed is at most environments.alfworld.tasks.seen (500)"),
        ("evaluate.unseen", 601, "601 is too many; allowed is at most environments.alfworld.tasks.unseen (600)"),
    ],
)  # fmt: skip
def test_wrong_value(values, problems, key, value, line):
    put(values, key, value)
    assert problems(values) == [f"{key}: {line}"]


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("model", "gpt", "must contain {checkpoint}, or all would be one model; found gpt"),
        ("url", "localhost:8000/v1", "must begin with http:// or https://, found localhost:8000/v1"),
        ("url", "http://", "has no host that can be read, such as http://localhost:8000/v1; found http://"),
        ("url", "http://[::1", "has no host that can be read, such as http://localhost:8000/v1; found http://[::1"),
        ("concurrency", 0, "input should be greater than or equal to 1 (found 0)"),
    ],
)
def test_a_server(values, problems, key, value, line):
    server = {"url": "http://localhost:8000/v1", "model": "{checkpoint}", "concurrency": 8, "timeout": 60.0}
    put(values, "explore.backend", server)
    put(values, "evaluate.backend", server | {key: value})
    assert problems(values) == [f"evaluate.backend.{key}: {line}"]


def test_all_errors_at_once(values, problems):
    """Fields, sections and the rules between sections, in one go."""
    put(values, "dpo.beta", -1)
    put(values, "tree.breadht", 3)
    put(values, "tree.breadth", 9)
    put(values, "models.strong.heads", 7)
    del values["report"]["resamples"]
    values["colour"] = "red"
    lines = problems(values)
    assert [line.split(":")[0] for line in lines] == [
        "models.strong", "tree.breadht", "dpo.beta", "report.resamples", "colour", "tree.breadth",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "expected sections such as `explore:`, found NoneType"),
        ("- 1", "expected sections such as `explore:`, found list"),
        ("a: &x {b: 1}\nc: *x", "has aliases (*name), whose values `dvc exp run -S` cannot set; write them out"),
        ("a: &x {b: 1}\nc: {<<: *x}", "has aliases (*name), whose values `dvc exp run -S` cannot set; write them out"),
    ],
)
def test_not_a_parameter_file(problems, text, line):
    assert problems(text) == [line]


@pytest.mark.parametrize("key", ["dpo", "preference.eto.dpo"])
def test_preferences_without_contrast_need_a_likelihood(values, problems, key):
    """In the section of all methods and in a method's own."""
    put(values, key, {**values["dpo"], "beta": 0.0, "likelihood": 0.0})
    line = f"{key}.beta: 0 leaves only the chosen sides to learn from; give {key}.likelihood a weight"
    assert problems(values) == [line]
    put(values, f"{key}.likelihood", 0.5)
    assert [line.split(":")[0] for line in problems({**values, "colour": "red"})] == ["colour"]
