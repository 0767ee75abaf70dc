"""Models on disk and from scratch: create, load and save a causal language model with its tokenizer."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from w2sg.config.models import FromScratch
from w2sg.config.packages import PREFIX
from w2sg.contracts import files, processes
from w2sg.contracts.errors import UserError, named, told
from w2sg.training import hub, model_files, packages, proxies, sources
from w2sg.training.chat_templates import ensure_generation_marks
from w2sg.training.precision import played_as

if TYPE_CHECKING:
    from peft import PeftModel

ADAPTERS = "adapter_config.json"

# A type of weights; "auto" is that in which they are stored, None half precision only where the hardware has it.
Kept: TypeAlias = torch.dtype | Literal["auto"] | None


def device() -> torch.device:
    """The GPU of this process where there is one, else the processor."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


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
    source: str | Path, *, revision: str | None = None, dtype: Kept = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a checkpoint folder, a model of the hub or one of a package, in evaluation mode, on the GPU if there is one.

    The tokenizer comes back with a chat template that marks assistant turns, a padding token and the model's context as
    `model_max_length`. Of a multimodal model the language model is loaded. Adapters are merged into their base; a
    reference to a model of the hub stands for that model.

    Args:
        source: a Path is a folder that a stage wrote; a text names what `models.*.base` may name.
        dtype: of the weights (see Kept).

    Raises:
        UserError: nothing can be loaded from `source`, it is not whole or of a kind that cannot be trained here, or no
            chat template fits.
    """
    name, folder = str(source), sources.folder_of(source)
    if name.startswith(PREFIX):
        with sources.loading(name):
            model, tokenizer = packages.read(name, dtype=_held(dtype, stored=torch.bfloat16))
        _prepare(model, tokenizer, name=name)
        return model.to(device()).eval(), tokenizer
    if folder is None:
        proxies.check_hub(name)
    else:
        sources.check_folder(folder, stage=isinstance(source, Path))
        if (folder / ADAPTERS).is_file():
            return _load_adapters(folder, name=name, dtype=dtype)
        if (folder / hub.REFERENCE).is_file():
            with hub.verified(folder) as (place, base):
                model, tokenizer = _read(place, name=f"{folder}: {base}", dtype=dtype, local_files_only=True)
                # Else the place, which is gone soon, would be in error messages and copies.
                model.config._name_or_path = model.name_or_path = tokenizer.name_or_path = base
                return model, tokenizer
        model_files.check_there(folder)
    return _read(
        name if folder is None else folder,
        name=name,
        dtype=dtype,
        revision=revision,
        local_files_only=folder is not None,
    )


def _read(
    where: str | Path, *, name: str, dtype: Kept, **options: Any
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A whole model of a folder or of the hub.

    Args:
        name: for messages.
        options: of from_pretrained.
    """
    with sources.loading(name):
        config = AutoConfig.from_pretrained(where, trust_remote_code=False, **options)
        sources.check_config(config, name=name)
        if isinstance(where, Path):
            sources.check_tokenizer(where)
        text = config.get_text_config()
        part: dict[str, Any] = {} if text is config else {"config": text, "key_mapping": sources.TEXT_PART}
        # Shapes that differ are told by check_model, in its words.
        part |= {"ignore_mismatched_sizes": True, "output_loading_info": True}
        with sources.without_report():
            model, found = AutoModelForCausalLM.from_pretrained(
                where, dtype=_held(dtype, stored=text.dtype), **part, **options
            )
        if text is not config:  # else its weights would be saved by the names that they have in the whole
            model.__dict__.pop("_weight_conversions", None)
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
        sources.check_model(
            model,
            tokenizer,
            missing=found["missing_keys"],
            unexpected=found["unexpected_keys"],
            mismatched=found["mismatched_keys"],
            whole=text is config,
            name=name,
        )
    _prepare(model, tokenizer, name=name)
    model.to(device())
    return model.eval(), tokenizer


def _held(dtype: Kept, *, stored: torch.dtype | None) -> torch.dtype:
    """The type in which weights are held."""
    if dtype == "auto":
        return stored or torch.float32
    return dtype or played_as(stored)


def _load_adapters(folder: Path, *, name: str, dtype: Kept) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model from its low-rank adapters and the base that they name."""
    from w2sg.training import adapters

    settings = files.read_object(folder / ADAPTERS, remedy="give the folder that save_pretrained wrote")
    base, revision = settings.get("base_model_name_or_path"), settings.get("revision")
    if not base or not isinstance(base, str):
        raise UserError(f"{folder / ADAPTERS}: names no base (base_model_name_or_path); give the merged model")
    there: str | Path = base
    if (folder / base).resolve() == folder.resolve():
        raise UserError(f"{folder / ADAPTERS}: names itself as its base (base_model_name_or_path); name the base")
    if base.startswith(("./", "../")):  # as `save` writes it
        there = Path(os.path.normpath(folder / base))
    elif Path(base).is_dir():
        there = str(Path(base).absolute())
    try:
        model, tokenizer = load(there, revision=revision, dtype=dtype)
    except UserError as error:
        why = " ".join(told(error))
        raise UserError(f"{name}: adapters of {named(base)}, which cannot be loaded; {why}") from None
    with sources.loading(name):
        model = adapters.load(model, folder)
        if (folder / "tokenizer_config.json").is_file():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            sources.check_model(model, tokenizer, name=name)
    _prepare(model, tokenizer, name=name)
    return model.eval(), tokenizer


def _prepare(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, name: str) -> None:
    """Bring a tokenizer and a model's settings for generation into the shape that `load` promises."""
    with sources.loading(name):
        # transformers would save how this copy was loaded, and a copy of the copy would differ.
        for key in ("is_local", "local_files_only"):
            tokenizer.init_kwargs.pop(key, None)
        ensure_generation_marks(tokenizer, name=name)
        if (context := sources.context_of(model.config)) is not None:
            tokenizer.model_max_length = min(tokenizer.model_max_length, context)
        if not model.generation_config._from_model_config:
            # The makers' temperature and the like are used by no stage, and may contradict each other when saved.
            ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": model.generation_config.eos_token_id}
            model.generation_config = GenerationConfig(**ends)
        _agree_on_ends(model, tokenizer)


def _agree_on_ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Generation stops at the token that ends a turn in the chat template, as well as where the model's makers say."""
    ends = model.generation_config.eos_token_id
    others = [end for end in (ends if isinstance(ends, list) else [ends]) if end not in (None, tokenizer.eos_token_id)]
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, *others] if others else tokenizer.eos_token_id
    model.config.eos_token_id = tokenizer.eos_token_id
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id


def save(
    model: "PreTrainedModel | PeftModel",
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    *,
    card: str | None = None,
    base: Path | None = None,
) -> None:
    """Write a whole checkpoint folder atomically; the same weights give the same bytes.

    Of a model with low-rank adapters these are written alone, with the way to the model that they were trained on;
    `load` takes both.

    Args:
        card: text of the model card, README.md.
        base: folder of the model that was trained, as `load` took it; adapters need it.
    """
    if not processes.first():
        return
    with files.replacing(folder) as temporary:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(model, PreTrainedModel):
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)
        else:
            from w2sg.training import adapters

            assert base is not None, "adapters belong to a base"
            adapters.save(model, temporary, base=Path(os.path.relpath(base, folder)).as_posix())
        if card is not None:
            (temporary / "README.md").write_text(card, encoding="utf-8")
