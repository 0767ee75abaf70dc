"""benchmarks/gpu.py: runs with torch and transformers alone; its adapters and losses are those of the stages."""

import dataclasses
import importlib.util
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import ModuleType

import pytest
import torch
from packaging.requirements import Requirement
from peft import get_peft_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from w2sg.config.training import Dpo, Lora, Optimization
from w2sg.contracts.messages import Message
from w2sg.contracts.pairs import Pair
from w2sg.training import bases
from w2sg.training.adapters import lora_config
from w2sg.training.head import Head
from w2sg.training.preference import _row, train_dpo
from w2sg.training.preference_trainer import collate
from w2sg.training.reference import encode_pairs, side_logprobs, turn_logprobs
from w2sg.training.sft import _row as sft_row
from w2sg.training.sft import train_sft
from w2sg.training.tokenizer import train_tokenizer

# PEFT 0.21 reads a property that transformers 5.23 has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu", ROOT / "benchmarks/gpu.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu"] = module
    spec.loader.exec_module(module)
    return module


def needed(*names: str) -> Iterator[str]:
    """These distributions and what they require, nothing optional."""
    waiting, seen = list(names), {"typer"}  # of transformers' command line, and brings pydantic
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # for another platform
        yield name
        requirements = map(Requirement, found.requires or ())
        waiting += [each.name for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with torch, transformers and what they require, and nothing else."""
    folder = tmp_path / "site"
    folder.mkdir()
    for name in needed("torch", "transformers"):
        for file in distribution(name).files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    assert not {"peft", "trl", "datasets", "pydantic", "accelerate", "w2sg"} & {each.name for each in folder.iterdir()}
    return folder


@pytest.mark.slow
def test_it_runs_in_a_bare_checkout_with_torch_and_transformers_alone(bare: Path, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(bare), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Without the folder of installed packages and the user's.
    command = [sys.executable, "-S", "-W", "error", str(ROOT / "benchmarks/gpu.py")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    plan = next(number for number, line in enumerate(lines) if re.match(r"some \d+ s; ", line))
    results = [number for number, line in enumerate(lines) if " tokens/s " in line]
    assert plan < results[0], "what will be done is said before it begins"
    assert len(results) == 18, done.stdout
    assert after.ru_utime - before.ru_utime < 60


def test_a_line_that_fails_says_so_and_the_next_one_begins(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(*_: object, **__: object) -> str:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2.00 GiB")

    monkeypatch.setattr(gpu.Bench, "train", train)
    monkeypatch.setattr(gpu, "PROCESSOR", gpu.PROCESSOR[:1])
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert gpu.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB" in line for line in lines) == 6
    assert sum("explore" in line and " tokens/s " in line for line in lines) == 3


def test_what_has_no_time_left_is_left_out(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "LIMIT", 0.0)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert gpu.main() == 0
    assert capsys.readouterr().out.count("left out, the time is up") == 18


def test_adapters_are_those_of_peft(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same results and gradients; dropout aside, which draws at random."""
    monkeypatch.setattr(gpu.LORA, "dropout", 0.0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2
    )
    torch.manual_seed(0)
    one = LlamaForCausalLM(config).to(torch.bfloat16)
    two = LlamaForCausalLM(config).to(torch.bfloat16)
    two.load_state_dict(one.state_dict())
    lora = Lora(r=gpu.LORA.r, alpha=gpu.LORA.alpha, dropout=0.0, targets=gpu.LORA.targets)
    theirs = get_peft_model(two, lora_config(lora, two))
    ids = torch.arange(24)[None] % 50
    with gpu.adapted(one) as weights:
        own = {name: module for name, module in one.named_modules() if isinstance(module, gpu.Adapted)}
        others = {name: module for name, module in two.named_modules() if name in own}
        assert len(own) == len(others) == 8
        with torch.no_grad():
            for name, module in own.items():
                module.b.normal_()
                others[name].lora_A["default"].weight.copy_(module.a)
                others[name].lora_B["default"].weight.copy_(module.b)
        logits = []
        for model in (one, theirs):
            with torch.autocast("cpu", torch.bfloat16):
                logits.append(model(input_ids=ids).logits.float())
            logits[-1].logsumexp(-1).sum().backward()
        assert torch.equal(*logits)
        assert len(weights) == 16
        for name, module in own.items():
            assert torch.equal(module.a.grad, others[name].lora_A["default"].weight.grad)
            assert torch.equal(module.b.grad, others[name].lora_B["default"].weight.grad)
    assert not any(isinstance(module, gpu.Adapted) for module in one.modules())


def talk(number: int, *, turns: int) -> list[Message]:
    return [
        Message(role=role, content=f"{word} {number * 7 + turn} {'and on ' * (number % 3)}")
        for turn in range(turns)
        for role, word in (("user", "seen"), ("assistant", "done"))
    ]


def test_the_losses_are_those_that_the_stages_log(gpu: ModuleType) -> None:
    conversations = [talk(number, turns=1 + number % 3) for number in range(6)]
    tokenizer = train_tokenizer(
        [each["content"] for talk in conversations for each in talk], vocabulary=310, context=256
    )
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).eval().to(bases.device())
    optimization = Optimization(
        epochs=1, batch=6, micro_tokens=60, learning_rate=1e-9, schedule="cosine", warmup=0.0, weight_decay=0.0,
        adam_beta2=0.999, precision="fp32",
    )  # fmt: skip

    def parts_of(batch: dict[str, torch.Tensor], *, sides: int) -> Iterator[dict[str, torch.Tensor]]:
        dealt = gpu.parts(gpu.lengths_of(batch, sides=sides), tokens=60)[0]
        assert len(dealt) > 1
        return (gpu.pick(batch, examples, sides=sides) for examples in dealt)

    rows = [sft_row(tokenizer, each, assistant_only=True, name="row") for each in conversations]
    batch = {
        "input_ids": gpu_pad(rows, "input_ids", 0),
        "attention_mask": gpu_pad([{"mask": [1] * len(row["input_ids"])} for row in rows], "mask", 0),
        "labels": gpu_pad(rows, "labels", -100),
    }
    items = int((batch["labels"][:, 1:] != -100).sum())
    own = sum(float(gpu.sft_loss(Head(model), part, items=items).detach()) for part in parts_of(batch, sides=1))
    _, log = train_sft(
        model, tokenizer, conversations, optimization=optimization, lora=None, assistant_only=True, seed=0
    )
    assert own == pytest.approx(log[0]["loss"], rel=1e-5)

    pairs = [
        Pair(
            environment="house", task_id="task", kind="tree", pair_id=number, divergence=0,
            history=talk(number, turns=1)[:1], chosen=talk(number, turns=1)[1:], rejected=talk(number + 9, turns=2)[1:],
            chosen_score=1.0, rejected_score=0.0,
        )
        for number in range(6)
    ]  # fmt: skip
    turns = turn_logprobs(model, tokenizer, pairs, batch=6)
    turns = [dataclasses.replace(turn, logprob=0.5 * turn.logprob) for turn in turns]  # another model's
    stored = side_logprobs(turns)
    whole = collate([_row(pair, stored) for pair in encode_pairs(tokenizer, pairs)])
    batch = {name: whole[name] for name in ("input_ids", "attention_mask")}
    batch["labels"] = batch["input_ids"].masked_fill(whole["completion_mask"] == 0, -100)
    batch["reference"] = torch.cat([whole["ref_chosen_logps"], whole["ref_rejected_logps"]])
    own = sum(float(gpu.dpo_loss(Head(model), part, items=6).detach()) for part in parts_of(batch, sides=2))
    dpo = Dpo(beta=gpu.BETA, eq6="dpo", likelihood=0.0, optimization=optimization, lora=None)
    _, log = train_dpo(model, tokenizer, pairs, turns, dpo=dpo, seed=0)
    assert own == pytest.approx(log[1]["loss"], rel=1e-5)


def gpu_pad(rows: list[dict[str, list[int]]], name: str, value: int) -> torch.Tensor:
    width = max(len(row[name]) for row in rows)
    return torch.tensor([row[name] + [value] * (width - len(row[name])) for row in rows], device=bases.device())


def test_operations_are_counted_as_torch_counts_them(gpu: ModuleType) -> None:
    sizes = gpu.Sizes("one", 32, 48, 2, 2, 70)
    config = LlamaConfig(
        vocab_size=70, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2
    )
    model = LlamaForCausalLM(config)
    model.set_attn_implementation("eager")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(input_ids=torch.zeros((3, 20), dtype=torch.long))
    # Plain attention computes what the causal mask then hides.
    hidden = sum(2 * 20**2 * 32 * 2 for _ in range(3))
    assert counter.get_total_flops() == pytest.approx(sizes.forward([20] * 3, scored=60) + hidden, rel=0.01)
