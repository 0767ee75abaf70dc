"""benchmarks/paper_disk.py prints the tables of docs/budget.md; sizes are real adapters' and dvc.lock's."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from peft import get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from w2sg.config import params
from w2sg.config.training import Lora
from w2sg.contracts.command_line import status
from w2sg.training.adapters import lora_config

ROOT = Path(__file__).parents[1]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script in this process, which has imported torch already."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.chdir(ROOT)
    return importlib.import_module("paper_disk")


def test_the_page_has_what_the_command_prints(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["paper_disk.py", "params/paper.yaml"])
    assert status("paper_disk", script.main) == 0
    page = (ROOT / "docs/budget.md").read_text()
    models, made = capsys.readouterr().out.split("\n\n")
    assert models in page and made in page
    for table in (models, made):
        cells = [line.split("|")[2:-1] for line in table.splitlines()[2:]]
        *rows, last = [[float(cell.split("(")[-1].strip(" )").replace(",", "")) for cell in row] for row in cells]
        assert len(rows) > 5
        assert all(abs(sum(column) - whole) < 0.4 for *column, whole in zip(*rows, last, strict=True))


# PEFT 0.21 reads a property that transformers 5.23 has renamed.
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.parametrize("targets", [("q_proj", "v_proj"), ("o_proj", "down_proj"), ("all-linear",)])
def test_weights_are_counted_as_they_are(script: ModuleType, targets: tuple[str, ...]) -> None:
    sizes = script.Sizes("tiny", 64, 172, 3, 2, 500)
    config = LlamaConfig(
        vocab_size=500, hidden_size=64, intermediate_size=172, num_hidden_layers=3, num_attention_heads=2
    )
    model = LlamaForCausalLM(config)
    assert script.weights(sizes) == model.num_parameters()
    lora = Lora(r=4, alpha=8, dropout=0.0, targets=targets)
    adapted = get_peft_model(model, lora_config(lora, model))
    assert script.adapters(sizes, lora) == adapted.get_nb_trainable_parameters()[0]


def test_the_stated_sizes_are_those_of_the_default_run(script: ModuleType) -> None:
    """To a fourth, so that not every new run changes the page."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings = params.validated(values, source=ROOT / "params.yaml")
    stages = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
    sizes = {out["path"]: out["size"] for stage in stages.values() for out in stage.get("outs", ())}
    tasks, samples = settings.explore.tasks, settings.explore.samples
    judged = settings.evaluate.seen + settings.evaluate.unseen
    rows = 4 + len(settings.preference) + len(settings.imitation) + len(settings.inference)
    for name, kept in script.KEPT.items():

        def total(folder: str, name: str = name) -> int:
            return sum(size for path, size in sizes.items() if path.startswith(f"{folder}/{name}-0"))

        assert {
            "explored": total("data/explore") / (tasks * samples * len(settings.explore.roles)),
            "embedded": total("data/embed") / (tasks * samples),
            "grown": total("data/trees") / (tasks * samples),
            "paired": total("data/pairs") / (tasks * len(settings.preference)),
            "scored": total("data/reference") / (tasks * len(settings.preference)),
            "paths": total("data/paths") / (tasks * len(settings.imitation)),
            "judged": total("results/episodes") / (judged * rows),
        } == pytest.approx(vars(kept), rel=0.25)
