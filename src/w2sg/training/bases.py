"""Models on disk and from scratch: create, load and save a causal language model with its tokenizer."""

import shutil
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from w2sg.config.models import FromScratch
from w2sg.contracts import files
from w2sg.contracts.errors import UserError
from w2sg.training.chat_templates import ensure_generation_marks

disable_progress_bar()  # a bar for loading a file of a few megabytes hides the lines that matter


def device() -> torch.device:
    """The first GPU where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def create(
    architecture: FromScratch, *, tokenizer: PreTrainedTokenizerBase, context: int, seed: int
) -> LlamaForCausalLM:
    """A LLaMA-shaped model with random weights and tied embeddings; equal arguments give equal weights.

    Args:
        architecture: its sizes.
        context: the longest conversation in tokens.
    """
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=architecture.hidden,
        intermediate_size=architecture.feedforward,
        num_hidden_layers=architecture.layers,
        num_attention_heads=architecture.heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.to(device())
    return model


def load(
    source: str | Path, *, revision: str | None = None, dtype: torch.dtype = torch.float32
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a checkpoint folder or a model of the hub, in evaluation mode, on the GPU if there is one.

    The tokenizer comes back with a chat template that marks assistant turns, a padding token and the model's context as
    `model_max_length`.

    Raises:
        UserError: nothing can be loaded from `source`, or no chat template fits its special tokens.
    """
    if isinstance(source, Path) and not (source / "config.json").is_file():
        raise UserError(f"{source}: no checkpoint here (config.json is missing); run the stage that writes it")
    try:
        model = AutoModelForCausalLM.from_pretrained(source, revision=revision, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{source}: cannot be loaded as a language model ({str(error).strip().splitlines()[0]})"
        ) from None
    # transformers would save how this copy was loaded, and a copy of the copy would differ.
    for key in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(key, None)
    ensure_generation_marks(tokenizer, name=str(source))
    tokenizer.model_max_length = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    _agree_on_ends(model, tokenizer)
    model.to(device())
    return model.eval(), tokenizer


def _agree_on_ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Generation stops at the token that ends a turn in the chat template, as well as where the model's makers say."""
    ends = model.generation_config.eos_token_id
    others = [end for end in (ends if isinstance(ends, list) else [ends]) if end not in (None, tokenizer.eos_token_id)]
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, *others] if others else tokenizer.eos_token_id
    model.config.eos_token_id = tokenizer.eos_token_id
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, *, card: str | None = None) -> None:
    """Write a whole checkpoint folder atomically; the same weights give the same bytes.

    Low-rank adapters must have been merged, so that the folder opens with AutoModelForCausalLM.from_pretrained.

    Args:
        card: text of the model card, README.md.
    """
    with files.replacing(folder) as temporary:
        shutil.rmtree(temporary, ignore_errors=True)
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        if card is not None:
            (temporary / "README.md").write_text(card, encoding="utf-8")
