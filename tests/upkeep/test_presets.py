"""The preset files are valid, say what their names promise, and docs/presets.md shows them."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import presets
from w2sg.config import params
from w2sg.config.models import Pretrained
from w2sg.config.overlays import merged
from w2sg.config.params import Params
from w2sg.config.yaml_files import read_yaml
from w2sg.environments.scienceworld.tasks import splits

ROOT = Path(__file__).parents[2]
NAMES = ("recommended", "paper", "paper_llama3", "authors")


@pytest.fixture(scope="module")
def loaded() -> dict[str, Params]:
    return {name: params.validated(values(name), source=Path(name)) for name in NAMES}


def values(name: str) -> dict[str, Any]:
    return merged(ROOT / f"params/{name}.yaml").values


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, "workflow/upkeep/presets.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_keys_come_in_the_order_of_the_default(name: str) -> None:
    """Everywhere that both have the same keys, so that a merged file reads like params.yaml."""

    def compare(default: Any, preset: Any) -> int:
        if not isinstance(default, dict) or not isinstance(preset, dict):
            return 0
        shared = [key for key in default if key in preset]
        assert [key for key in preset if key in default] == shared
        return 1 + sum(compare(default[key], preset[key]) for key in shared)

    assert compare(read_yaml(ROOT / "params.yaml"), values(name)) > 40, "sections were compared, those of sections too"


@pytest.mark.parametrize("name", NAMES)
def test_the_stage_table_resolves(name: str, resolve: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    stages = resolve(values(name))
    for environment in ("alfworld", "scienceworld", "webshop"):
        assert f"evaluate-imitation@{environment}-{values(name)['seeds'][-1]}" in stages


@pytest.mark.parametrize("name", ["smoke", "study", "twin", "twin_smoke"])
def test_the_other_configurations_are_valid(name: str, resolve: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    loaded = params.validated(values(name), source=Path(name))
    stages = resolve(values(name))
    assert {f"explore@alfworld-{seed}-weak" for seed in loaded.seeds} <= stages.keys()


def test_the_twin_has_two_models_of_the_registry() -> None:
    twin = params.validated(values("twin"), source=Path("twin"))
    models = [twin.models.weak, twin.models.strong]
    assert all(isinstance(model, Pretrained) and model.base.startswith("pypi:") for model in models)
    assert len(twin.environments.alfworld.task_types) == 6


def test_scienceworld_is_that_of_eto(loaded: dict[str, Params]) -> None:
    for preset in loaded.values():
        settings = preset.environments.scienceworld
        assert settings is not None and settings.splits == "eto"
        assert set(settings.task_types) == set(splits.TASKS) - splits.NOT_IN_ETO


def test_the_paper_to_the_letter(loaded: dict[str, Params]) -> None:
    """Section 4.1, Table 4 and section 3.2."""
    paper = loaded["paper"]
    assert paper.sft.lora is not None and paper.dpo.lora is not None
    assert (paper.sft.lora.r, paper.sft.lora.alpha) == (paper.dpo.lora.r, paper.dpo.lora.alpha) == (64, 128)
    tuned = (paper.sft.optimization, paper.dpo.optimization, paper.imitate.optimization)
    assert [each.batch for each in tuned] == [32, 32, 32]
    assert [each.learning_rate for each in tuned] == [1e-5, 2e-5, 1e-5]
    assert paper.sft.optimization.schedule == "cosine"
    assert (paper.dpo.beta, paper.dpo.eq6) == (0.1, "literal")
    assert paper.inference["best_of_n"].samples == 8
    counts = {name: (s.tasks.train, s.tasks.seen, s.tasks.unseen) for name, s in paper.environments.items()}
    assert counts == {"alfworld": (3119, 140, 134), "scienceworld": (1483, 194, 211), "webshop": (1824, 100, 200)}
    assert paper.evaluate.unseen == 211, "all held-out tasks are evaluated"
    assert paper.preference["w2s_dpo"].reference == "sft_weak"
    assert isinstance(paper.models.weak, Pretrained) and isinstance(paper.models.strong, Pretrained)
    assert paper.models.weak.base == "meta-llama/Llama-2-7b-hf"
    assert paper.models.strong.base == "meta-llama/Llama-2-13b-hf"


def test_every_published_model_is_pinned_to_a_commit(loaded: dict[str, Params]) -> None:
    """And to the same one wherever it is used."""
    pinned: dict[str, set[str | None]] = {}
    for preset in loaded.values():
        for model in (preset.models.weak, preset.models.strong):
            assert isinstance(model, Pretrained)
            pinned.setdefault(model.base, set()).add(model.revision)
    assert len(pinned) == 5
    for revisions in pinned.values():
        (revision,) = revisions
        assert re.fullmatch(r"[0-9a-f]{40}", revision or "")


def test_the_second_pair_of_models_differs_in_models_alone(loaded: dict[str, Params]) -> None:
    """And in eq. 6, whose literal form wants one vocabulary (A10)."""
    second = loaded["paper_llama3"]
    assert second.dpo.eq6 == "dpo"
    same = second.model_dump() | {"models": None, "dpo": second.dpo.model_dump() | {"eq6": "literal"}}
    assert same == loaded["paper"].model_dump() | {"models": None}


def test_the_authors_mix(loaded: dict[str, Params]) -> None:
    """A13: five runs of the SFT model and one of the model before it."""
    explore = loaded["authors"].explore
    runs = [(each.temperature, each.top_p, each.model) for each in explore.schedule]
    assert explore.samples == len(runs) == 6
    assert runs[0][0] == 0.0 and runs[-1] == (0.7, 0.9, "base")
    assert runs.count((1.0, 0.8, "sft")) == 2 and {run[2] for run in runs[:5]} == {"sft"}


def test_every_question_has_its_row() -> None:
    assert [question.number for question in presets.QUESTIONS] == [f"A{number}" for number in range(1, 26)]
    assert all(question.keys or question.fixed for question in presets.QUESTIONS)
    recommended = values("recommended")
    for question in presets.QUESTIONS:
        for key in question.keys:
            assert presets.at(recommended, key) != "off", f"{question.number}: {key} is no parameter"


def test_a_difference_that_no_question_names_is_shown() -> None:
    default = {"a": {"b": 1, "c": None}, "tree": {"similarity": 0.9}}
    other = {"a": {"b": 2, "c": None, "d": [1.0, True]}, "tree": {"similarity": 0.5}}
    assert presets.others({"one": default, "two": other}) == ["a.b", "a.d"]
    assert presets.shown(presets.at(other, "a.d")) == "1 true"
    assert presets.shown({"temperature": 0.7, "top_p": 0.9, "model": "sft"}) == "(0.7, 0.9)"
    assert presets.shown({"temperature": 0.7, "top_p": 0.9, "model": "base"}) == "base (0.7, 0.9)"
