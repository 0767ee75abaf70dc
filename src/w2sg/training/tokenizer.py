"""The tokenizer that both from-scratch models share, and the chat template with generation marks."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from w2sg.contracts.errors import UserError
from w2sg.contracts.files import STAGE, reading

USER, ASSISTANT, END, PAD, UNKNOWN = "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>", "<|unknown|>"

# What stands between a bracket, a line break or the like and a word: every word then begins with a space, so that it is
# the same token wherever it stands ("[crunchy" and "a crunchy"), and copying it is one step for a small model. It has
# no width and is taken out of decoded texts.
JOINER = "\N{WORD JOINER}"
_SEPARATOR = r"\[SEP\]"  # WebShop's, one token: it would fill nearly half of its pages otherwise
_JOINED = r"(?<=[^\s\w]|[\n\t])(?=\w)(?!(?<=\[)SEP\])"
_TOKENS = "|".join(
    (
        f" ?{_SEPARATOR}",
        rf"[\n\t]{JOINER}?",
        r" ?\p{Lu}(?!\p{Ll})",  # letters of names such as "EK8" stand alone, as digits do
        rf" ?[^\s\p{{P}}\p{{S}}\d{JOINER}]+",
        r" ?\d",
        rf" ?[\p{{P}}\p{{S}}]{JOINER}?",
        r"\s",
    )
)

# Every assistant turn ends with the end-of-sequence token, and that token is part of what is learned (A16).
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{- '<|assistant|>' -}}{%- generation -%}{{- message['content'] + '<|end|>' -}}{%- endgeneration -%}"
    "{%- else -%}"
    "{{- '<|user|>' + message['content'] -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def train_tokenizer(texts: Iterable[str], *, vocabulary: int, context: int) -> PreTrainedTokenizerFast:
    """Train byte-pair encoding on `texts`: frequent words become one token each, digits and punctuation stand alone.

    Decoding gives back the text exactly (word joiners apart, which have no width), so that actions reach the
    environment as they were written.

    Args:
        vocabulary: the largest number of tokens, special tokens included.
        context: model_max_length in tokens.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(JOINER, ""),
            normalizers.Replace(Regex(_JOINED), f"{JOINER} "),
        ]
    )
    # A word takes the one space before it along ("▁drawer"); white space beyond that and punctuation stand alone.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_TOKENS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace(f"{JOINER} ", "")])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, UNKNOWN, USER, ASSISTANT, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        model_max_length=context,
        additional_special_tokens=[USER, ASSISTANT],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def read_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer that its stage has written.

    Raises:
        UserError: the folder is missing or damaged; transformers would ask the hub for a folder that is not there.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; {STAGE}")
    with reading(folder, "a tokenizer"):
        tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    # Saved with a base, it would make the base's bytes depend on this argument, or on HF_HUB_OFFLINE.
    tokenizer.init_kwargs["local_files_only"] = False
    return tokenizer
