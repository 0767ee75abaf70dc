"""Policies: what answers observations with agent turns. Here, models of transformers in batches on one device."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from w2sg.agents.generation import Conversations
from w2sg.agents.graphs import Recorder, recorder
from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message


class Batch(Protocol):
    """Conversations that advance together, one turn at a time."""

    def respond(
        self,
        rows: Sequence[int],
        observations: Sequence[str],
        *,
        temperature: Sequence[float],
        top_p: Sequence[float],
        uniforms: np.ndarray,
    ) -> list[str]:
        """Answer one observation per row; `rows` shrinks from call to call and never grows.

        Args:
            uniforms: numbers in [0, 1), shape (len(rows), most new tokens of a turn).
        """


class Policy(Protocol):
    """An agent that can play many episodes at once."""

    def start(self, rows: int, before: Sequence[Sequence[Message]] | None = None) -> Batch:
        """Open `rows` conversations.

        Args:
            before: what was said in each of them so far, user and assistant in turn, the last turn the assistant's;
                nothing unless given. They go on as if these turns had been played here, in the tokens that the
                tokenizer makes of their texts.
        """


def context(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int:
    """Most tokens of one conversation, the turn to be written included."""
    config = config.get_text_config(decoder=True)
    own = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
    # Rotary positions of these kinds change for a whole batch as soon as one of its conversations is longer than this.
    kinds = getattr(config, "rope_parameters", None) or {}
    for rope in [kinds, *(kind for kind in kinds.values() if isinstance(kind, dict))]:
        if rope.get("rope_type") == "longrope":
            own = min(own, rope["original_max_position_embeddings"])
    return min(own, tokenizer.model_max_length)


class TransformersPolicy:
    """A causal language model of transformers with a chat template."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._record = recorder(model.device)

    def start(self, rows: int, before: Sequence[Sequence[Message]] | None = None) -> "TransformersBatch":
        """See Policy.

        Raises:
            UserError: the chat template cannot continue a conversation.
        """
        before = before or [()] * rows
        return TransformersBatch(self._model, self._tokenizer, before=before, record=self._record)


class TransformersBatch:
    """See Batch. Each turn is the text that the chat template adds to the conversation so far."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        before: Sequence[Sequence[Message]],
        record: Recorder | None = None,
    ) -> None:
        rows = len(before)
        self._tokenizer = tokenizer
        self._context = context(model.config, tokenizer)
        self._messages: list[list[Message]] = [[] for _ in range(rows)]
        self._length = [0] * rows
        self._full: set[int] = set()
        end = model.generation_config.eos_token_id if model.generation_config else None
        end = tokenizer.eos_token_id if end is None else end
        self._end = end if isinstance(end, list) else [end]
        pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self._conversations = Conversations(model, rows=rows, pad=pad, end=self._end, record=record)
        # What was said before is read with the first turn, in one pass.
        self._unread = [self._earlier(row, messages) for row, messages in enumerate(before)]

    def respond(
        self,
        rows: Sequence[int],
        observations: Sequence[str],
        *,
        temperature: Sequence[float],
        top_p: Sequence[float],
        uniforms: np.ndarray,
    ) -> list[str]:
        """See Batch. A conversation that would outgrow the model's context answers with empty texts from then on."""
        fitting = []
        prompts = []
        for number, (row, observation) in enumerate(zip(rows, observations, strict=True)):
            if row in self._full:
                continue
            tokens = [*self._unread[row], *self._open_turn(row, observation)]
            self._unread[row] = []
            if self._length[row] + len(tokens) + uniforms.shape[1] > self._context:
                if not self._length[row] and len(self._messages[row]) <= 1:
                    raise UserError(
                        f"the first turn does not fit: {len(tokens)} tokens to read and {uniforms.shape[1]} to write, "
                        f"and the model's context is {self._context}; take a model with a larger one, or lower "
                        "explore.max_new_tokens"
                    )
                self._full.add(row)
            else:
                fitting.append(number)
                prompts.append(tokens)
        texts = [""] * len(rows)
        if fitting:
            self._conversations.keep([rows[number] for number in fitting])
            turns = self._conversations.respond(
                prompts,
                temperature=[temperature[number] for number in fitting],
                top_p=[top_p[number] for number in fitting],
                uniforms=uniforms[fitting],
            )
            for number, tokens, turn in zip(fitting, prompts, turns, strict=True):
                texts[number] = self._tokenizer.decode(turn, skip_special_tokens=True)
                self._messages[rows[number]].append(Message(role="assistant", content=texts[number]))
                self._length[rows[number]] += len(tokens) + len(turn) + 1
        return texts

    def _earlier(self, row: int, messages: Sequence[Message]) -> list[int]:
        """Token ids of turns that were not played here.

        Raises:
            UserError: see _open_turn; or the template writes an answer elsewhere than behind the opening of its turn.
        """
        assert len(messages) % 2 == 0, "a conversation goes on after a turn of the assistant"
        tokens: list[int] = []
        for heard, said in zip(messages[::2], messages[1::2], strict=True):
            opened, start = self._opened(row, heard["content"])
            self._messages[row].append(said)
            text = self._render(self._messages[row])
            ending = self._ending(text)
            if ending <= len(opened) or not text.startswith(opened):
                raise self._refusal()
            tokens += self._tokens(text[:ending], start)
        return tokens

    def _open_turn(self, row: int, observation: str) -> list[int]:
        """Token ids of the user turn and of the opening of the assistant turn.

        Raises:
            UserError: see _opened.
        """
        return self._tokens(*self._opened(row, observation))

    def _opened(self, row: int, observation: str) -> tuple[str, int]:
        """The conversation with the user turn and the opening of the assistant turn, and where it ended before.

        Raises:
            UserError: the chat template has no end token after an assistant turn, or rewrites earlier turns.
        """
        messages = self._messages[row]
        before = self._render(messages) if messages else ""
        # What follows the end token in the template (a line break, say) belongs to the next turn's block.
        ending = self._ending(before)
        messages.append(Message(role="user", content=observation))
        text = self._render(messages, open_turn=True)
        if (before and not ending) or text[:ending] != before[:ending]:
            raise self._refusal()
        return text, ending

    def _tokens(self, text: str, start: int) -> list[int]:
        """Token ids of a conversation from `start` on, where it begins or an end token ends, as they are in the whole.

        Read with that end token in front: some tokenizers mark the beginning of a text, and of nothing within it.
        """
        end = next((end for end in self._end_texts() if start and text.endswith(end, 0, start)), "")
        return self._tokenizer(end + text[start:], add_special_tokens=False)["input_ids"][bool(end) :]

    def _ending(self, text: str) -> int:
        """Where the last end token of a rendered conversation ends; 0 where there is none."""
        return max((text.rfind(end) + len(end) for end in self._end_texts() if end in text), default=0)

    def _refusal(self) -> UserError:
        return UserError(
            f"{self._tokenizer.name_or_path}: its chat template does not end each assistant turn with "
            f"{' or '.join(self._end_texts())} and leave it as it was; give the tokenizer a template that does"
        )

    def _end_texts(self) -> list[str]:
        return [self._tokenizer.convert_ids_to_tokens(end) for end in self._end]

    def _render(self, messages: list[Message], *, open_turn: bool = False) -> str:
        return self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=open_turn)
