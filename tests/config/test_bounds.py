"""No value waits for hours, takes all memory or does nothing meant: it is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from w2sg.config import params
from w2sg.config.params import Params
from w2sg.contracts.errors import UserError

from .keys import put


@pytest.mark.parametrize("seed", [2**32, -1])
def test_a_seed_is_one_that_every_generator_takes(values, seed):
    values["seeds"] = [seed]
    with pytest.raises(UserError, match=r"^params\.yaml: seeds\.0: input should be (less|greater) than"):
        params.validated(values, source=Path("params.yaml"))


def numbers(schema: dict[str, Any], key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every number of a JSON schema, by where it stands."""
    if schema.get("type") in ("integer", "number"):
        yield key, schema
    for name, inner in schema.items():
        for number, each in enumerate(inner if isinstance(inner, list) else [inner]):
            if isinstance(each, dict):
                yield from numbers(each, f"{key}.{name}.{number}")


def test_every_number_has_bounds() -> None:
    """A new setting too: 10**12 resamples, a width of 10**9 and a temperature of 1e300 had been begun with."""
    found = dict(numbers(Params.model_json_schema()))
    bounds = [{"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}]
    own = "__settings__Settings"  # of an environment
    open_ended = [
        key for key, node in found.items() if own not in key and any(node.keys().isdisjoint(each) for each in bounds)
    ]
    assert len(found) > 60
    assert not open_ended


GREEDY = {"temperature": 0.0, "top_p": 1.0, "model": "sft"}
LORA = {"r": 4, "alpha": 8, "dropout": 0.0}
NAMES = "allowed are small letters, digits and _, a letter first, 64 at most"
NONE = "a model from scratch has no"
LINEAR = "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, or all-linear alone"


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("models.weak.hidden", 10**9, "input should be less than or equal to 65536 (found 1000000000)"),
        ("models.vocabulary", 10**9, "input should be less than or equal to 1000000 (found 1000000000)"),
        ("report.resamples", 10**12, "input should be less than or equal to 1000000 (found 1000000000000)"),
        ("explore.samples", 10**12, "input should be less than or equal to 10000 (found 1000000000000)"),
        ("mcts.iterations", 10**12, "input should be less than or equal to 10000000 (found 1000000000000)"),
        ("evaluate.temperature", 1e300, "input should be less than or equal to 100 (found 1e+300)"),
        ("dpo.optimization.learning_rate", 2e1, "input should be less than or equal to 1 (found 20.0)"),
        ("dpo.beta", 1e300, "input should be less than or equal to 1000000 (found 1e+300)"),
        ("environments.alfworld.max_steps", 10**12, "input should be less than or equal to 10000000 "),
        ("environments.alfworld.task_types", ["pick_and_place_simple"] * 2, "must differ from each other, found "),
        ("environments.alfworld.rooms", ["kitchen"] * 2, "must differ from each other, found ['kitchen', 'kitchen']"),
        ("environments.webshop.aisles", ["shoes"] * 2, "must differ from each other, found ['shoes', 'shoes']"),
        ("environments.scienceworld.simplifications", ["easy"] * 2, "must differ from each other, found "),
        ("environments.scienceworld.task_types", ["boil"] * 2, "must differ from each other, found ['boil', 'boil']"),
        ("merging.similarities", [0.9, 0.5, 0.9], "must differ from each other, found [0.9, 0.5, 0.9]"),
        ("sft.lora", LORA | {"targets": ["q_proj"] * 2}, ".targets: must differ from each other, found "),
        ("sft.lora", LORA | {"targets": ["q_porj"]}, f".targets: {NONE} q_porj; allowed are {LINEAR}"),
        ("imitate.lora", LORA | {"targets": ["foo.q_proj"]}, f".targets: {NONE} foo.q_proj; allowed are {LINEAR}"),
        ("imitate.lora", LORA | {"targets": ["mlp.q_proj"]}, f".targets: {NONE} mlp.q_proj; allowed are {LINEAR}"),
        ("preference.mine", {"dpo": {"lora": LORA | {"targets": ["up"]}}}, f".dpo.lora.targets: {NONE} up;"),
        ("explore.max_new_tokens", 4096, "4096 leaves no room for a question in models.context (4096)"),
        (
            "pretrain.strong.copying.longest",
            2049,
            "2049 tokens, said twice, are more than models.context (4096); allowed is at most 2048",
        ),
        ("explore.schedule", [GREEDY], "with temperature 0 all 6 samples of a task are one trajectory; give entries "),
        ("inference.best_of_n.temperature", 0, "with 0 all 8 episodes of a task are one; give a temperature above 0"),
        ("preference." + "m" * 65, {}, f": '{'m' * 65}' is no name; {NAMES}"),
        ("preference.e/to", {}, f": 'e/to' is no name; {NAMES}"),
    ],
)  # fmt: skip
def test_what_can_only_fail_is_refused(values: dict, problems: Any, key: str, value: Any, line: str) -> None:
    put(values, key, value)
    assert any(f"{key}{line if line[0] in '.:' else f': {line}'}" in each for each in problems(values))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("explore.max_new_tokens", 4095),
        ("pretrain.strong.copying.longest", 2048),
        ("explore.schedule", [GREEDY, GREEDY | {"temperature": 0.5}]),
        ("explore.schedule", [GREEDY, GREEDY | {"model": "base"}]),
        ("inference.best_of_n", {"model": "sft_weak", "samples": 1, "temperature": 0.0, "top_p": 1.0}),
        ("sft.lora", LORA | {"targets": ["q_proj", "mlp.up_proj"]}),
        ("sft.lora", LORA | {"targets": ["all-linear"]}),
        ("sft.lora", LORA | {"targets": ["model.layers.0.self_attn.q_proj", "1.mlp.up_proj"]}),
        ("play.expert_shares", [0.5, 0.5, 0.9]),
    ],
)
def test_what_stands_beside_it_is_taken(values: dict, key: str, value: Any) -> None:
    """Two equal shares count twice; that is meant."""
    put(values, key, value)
    params.validated(values, source=Path("params.yaml"))


def test_of_a_published_model_the_model_itself_is_asked_for_targets(values: dict) -> None:
    values["models"]["strong"] = {"base": "owner/name", "revision": "0" * 40}
    values["dpo"]["lora"] = LORA | {"targets": ["qkv_proj"]}
    assert params.validated(values, source=Path("params.yaml")).dpo.lora


@pytest.mark.parametrize("key", ["environments.alfworld.data_dir", "models.weak.base"])
def test_a_blank_folder_is_one_line(values: dict, problems: Any, key: str) -> None:
    values["models"]["weak"] = {"base": "x/y", "revision": "0" * 40}
    put(values, key, "")
    assert problems(values) == [f"{key}: '' is blank; write a text on one line"]
