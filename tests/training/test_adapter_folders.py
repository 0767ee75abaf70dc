"""A model that was trained by adapters is these adapters on disk, beside the model that it was trained from."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedTokenizerFast

from w2sg.commands import __main__ as cli
from w2sg.config.training import Lora, Optimization
from w2sg.contracts.errors import UserError
from w2sg.training import bases
from w2sg.training.sft import train_sft

from .conftest import ARCHITECTURE, contents, same, weights

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

LORA = Lora(r=4, alpha=8, dropout=0.1, targets=("q_proj", "v_proj", "o_proj", "k_proj"))


@pytest.fixture(scope="module")
def made(tokenizer: PreTrainedTokenizerFast, conversations, optimization: Optimization, tmp_path_factory) -> Path:
    """In models/ a base, a model trained on it, and one trained on that one; the second and third are adapters.

    In whole/ the same two with their adapters unloaded.
    """
    folder = tmp_path_factory.mktemp("adapters")
    root = folder / "models"
    bases.save(bases.create(ARCHITECTURE, tokenizer=tokenizer, context=512, seed=3), tokenizer, root / "base/weak")
    for start, end in (("base/weak", "sft/house-0/weak"), ("sft/house-0/weak", "imitation/house-0/mcts")):
        began, read = bases.load(root / start)
        trained, _ = train_sft(
            began, read, conversations, optimization=optimization, lora=LORA, assistant_only=True, seed=0
        )
        bases.save(trained, read, root / end, card=f"# {end}\n", base=root / start)
        trained.unload().save_pretrained(folder / "whole" / end)
    return folder


@pytest.fixture
def models(made: Path, tmp_path: Path) -> Path:
    """A copy of its own of models/, with whole/ beside it."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "models"


@pytest.mark.parametrize("name", ["sft/house-0/weak", "imitation/house-0/mcts"])
def test_adapters_alone_are_saved_and_load_as_what_was_trained(models: Path, name: str) -> None:
    folder = models / name
    assert sorted(contents(folder)) == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert (folder / "README.md").read_text() == f"# {name}\n"
    model, tokenizer = bases.load(folder)
    assert type(model) is LlamaForCausalLM and not model.training
    whole = AutoModelForCausalLM.from_pretrained(models.parent / "whole" / name)
    assert same(weights(model), weights(whole))
    base, read = bases.load(models / "base/weak")
    assert not same(weights(model), weights(base))
    assert tokenizer.get_vocab() == read.get_vocab() and tokenizer.chat_template == read.chat_template


def test_the_way_to_the_base_holds_wherever_the_project_lies(models: Path, tmp_path: Path) -> None:
    assert json.loads((models / "sft/house-0/weak/adapter_config.json").read_text())["base_model_name_or_path"] == (
        "../../../base/weak"
    )
    before = weights(bases.load(models / "imitation/house-0/mcts")[0])
    shutil.move(models, tmp_path / "elsewhere")
    assert same(weights(bases.load(tmp_path / "elsewhere/imitation/house-0/mcts")[0]), before)


def test_a_missing_base_is_one_line(models: Path) -> None:
    shutil.rmtree(models / "base")
    with pytest.raises(UserError) as caught:
        bases.load(models / "imitation/house-0/mcts")
    assert str(caught.value) == (
        f"{models}/imitation/house-0/mcts: adapters of ../../../sft/house-0/weak, which cannot be loaded; "
        f"{models}/sft/house-0/weak: adapters of ../../../base/weak, which cannot be loaded; "
        f"{models}/base/weak: no checkpoint here (config.json is missing); run the stage that writes it"
    )


@pytest.mark.parametrize(
    ("rename", "why"),
    [
        (
            ("model.layers", "model.language_model.layers"),
            r"8 of its adapters are in no file \(.+\.self_attn\.",
        ),
        (("q_proj", "x_proj"), r"2 of its adapters are in no file \(.+\.q_proj\.lora_A\."),
    ],
)
def test_adapters_that_do_not_fit_are_refused_and_not_left_out(models: Path, rename: tuple[str, str], why: str) -> None:
    """PEFT warns and goes on with the base as it is."""
    file = models / "sft/house-0/weak/adapter_model.safetensors"
    held = {name.replace(*rename): value for name, value in load_file(file).items()}
    save_file(held, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=rf"sft/house-0/weak: {why}"):
        bases.load(models / "sft/house-0/weak")


def test_adapters_of_a_larger_model_are_refused(models: Path) -> None:
    file = models / "sft/house-0/weak/adapter_model.safetensors"
    held = load_file(file)
    more = {name.replace("layers.0", "layers.7"): value.clone() for name, value in held.items()}
    save_file(held | more, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"8 of its adapters have no place in the base \(.+layers\.7\."):
        bases.load(models / "sft/house-0/weak")


def test_adapters_of_another_width_are_one_line(models: Path) -> None:
    file = models / "sft/house-0/weak/adapter_model.safetensors"
    held = {
        name: torch.cat([value, value], dim=1) if name.endswith("q_proj.lora_A.weight") else value
        for name, value in load_file(file).items()
    }
    save_file(held, file, metadata={"format": "pt"})
    with pytest.raises(UserError) as caught:
        bases.load(models / "sft/house-0/weak")
    width, weight = ARCHITECTURE.hidden, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight"
    assert str(caught.value) == (
        f"{models}/sft/house-0/weak: its adapter {weight} has "
        f"the shape [4, {2 * width}] in its file, its base and adapter_config.json ask for [4, {width}]; "
        "give the base that they were trained on, or merge them where they were trained"
    )


def test_what_cannot_be_merged_is_one_line(models: Path) -> None:
    model, _ = bases.load(models / "base/weak")
    prompt = models / "prompt"
    get_peft_model(model, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)).save_pretrained(prompt)
    file = prompt / "adapter_config.json"
    settings = json.loads(file.read_text()) | {"base_model_name_or_path": "../base/weak"}
    for kind, said in (
        ("PROMPT_TUNING", "PROMPT_TUNING cannot be merged into a model"),
        ("MINE", "'MINE' is unknown to peft"),
        (None, "None is unknown to peft"),
    ):
        file.write_text(json.dumps(settings | {"peft_type": kind}))
        with pytest.raises(UserError) as caught:
            bases.load(prompt)
        assert str(caught.value) == f"{file}: peft_type: {said}; give low-rank ones (LORA)"


def test_adapters_of_themselves_are_one_line(models: Path) -> None:
    folder = models / "sft/house-0/weak"
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(settings | {"base_model_name_or_path": "."}))
    with pytest.raises(UserError, match=r"adapter_config\.json: names itself as its base"):
        bases.load(folder)


SAVE = """
import sys
from pathlib import Path
import torch
from peft import get_peft_model
from w2sg.config.training import Lora
from w2sg.training import bases
from w2sg.training.adapters import lora_config
base, out = map(Path, sys.argv[1:])
model, tokenizer = bases.load(base)
torch.manual_seed(0)
lora = Lora(r=2, alpha=4, dropout=0.0, targets=("q_proj", "v_proj", "o_proj", "k_proj"))
adapted = get_peft_model(model, lora_config(lora, model))
bases.save(adapted, tokenizer, out, base=base)
"""


@pytest.mark.slow
def test_the_same_adapters_are_the_same_bytes_in_every_process(models: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        environment = os.environ | {"PYTHONHASHSEED": str(number), "HF_HUB_OFFLINE": "1"}
        arguments = [sys.executable, "-c", SAVE, str(models / "base/weak"), str(models / f"sft/{number}")]
        subprocess.run(arguments, env=environment, check=True, capture_output=True)
    assert contents(models / "sft/1") == contents(models / "sft/2")


def test_export_writes_one_whole_folder(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    folder, out = models / "imitation/house-0/mcts", tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["w2sg", "export", str(folder), str(out)])
    assert cli.main() == 0
    model, _ = bases.load(folder)
    assert same(weights(AutoModelForCausalLM.from_pretrained(out)), weights(model))
    assert (out / "README.md").read_text() == "# imitation/house-0/mcts\n"
    assert capsys.readouterr().out.startswith(f"{out}: ")
    assert cli.main() == 2
    assert capsys.readouterr().err == f"w2sg export: {out}: is there already; name a new folder\n"


def test_a_base_in_half_precision_is_exported_in_it(models: Path, tmp_path: Path) -> None:
    model, tokenizer = bases.load(models / "base/weak", dtype=torch.bfloat16)
    bases.save(model, tokenizer, models / "base/weak")
    assert bases.load(models / "sft/house-0/weak", dtype="auto")[0].dtype is torch.bfloat16
