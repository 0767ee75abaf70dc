"""Pretrained models out of packages of the registry, read into transformers.

A package brings its model as a GGUF file of 4-bit weights; fine-tuning repairs what the rounding costs.
"""

import transformers
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from w2sg.config.packages import PACKAGES
from w2sg.contracts.errors import UserError
from w2sg.training import package_files


def read(base: str, **options: object) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer of a package, its weights no longer quantised. Takes half a minute.

    Args:
        base: as `models.*.base` names it.
        options: of `from_pretrained`, for the model.

    Raises:
        UserError: no such package is known, the package gguf is missing, or as `package_files.fetch`.
    """
    if (package := PACKAGES.get(base)) is None:
        raise UserError(f"{base}: unknown; packages with a model are {', '.join(PACKAGES)}")
    try:
        import gguf  # noqa: F401  transformers reads the file with it
    except ImportError:
        raise UserError(f"{base}: reading it needs the package gguf; run `make install`") from None
    file = package_files.fetch(package)
    # Where a GPU has kernels for it, later versions of transformers keep the 4-bit blocks unless they are told.
    if (settings := getattr(transformers, "GgufConfig", None)) is not None:
        options["quantization_config"] = settings(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True, **options)
    # With these marks nothing could be saved.
    model.config.__dict__.pop("quantization_config", None)
    model.hf_quantizer, model.is_quantized = None, False
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
    if package.digits_alone:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    return model, tokenizer
