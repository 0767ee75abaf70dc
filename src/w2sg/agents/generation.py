"""Batched generation over many conversations at once, with the key-value cache kept across turns.

Rows of a batch advance turn by turn. Randomness comes in from outside, one uniform number per token to be drawn.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from transformers import PretrainedConfig, PreTrainedModel

from w2sg.agents.cache import ConversationCache
from w2sg.agents.drafts import Drafts
from w2sg.agents.graphs import Passes, Recorder
from w2sg.agents.kernels import without_plans
from w2sg.agents.sampling import Draws, to_host

_AHEAD = 4  # tokens of a draft
_LOGITS = 2**26  # most of one forward pass, a quarter of a GiB
_TOKENS = 256  # that a card computes in about the time in which it reads the weights (H100, bfloat16: 295)


def longest_draft(config: PretrainedConfig, *, rows: int, device: torch.device) -> int:
    """Tokens of a draft that a model reads beside one of each row in about the time of that one."""
    config = config.get_text_config()
    ahead = min(_AHEAD, _LOGITS // (rows * config.vocab_size) - 1)
    if device.type != "cpu":
        # For more than one token transformers copies the keys of grouped heads, all of the cache, for each head.
        grouped = getattr(config, "num_key_value_heads", None) not in (None, config.num_attention_heads)
        ahead = 0 if grouped else min(ahead, _TOKENS // rows - 1)
    return max(0, ahead)


class Conversations:
    """A batch of conversations with one causal language model.

    Args:
        model: any causal language model of transformers, in evaluation mode.
        rows: number of conversations.
        pad: token id that fills the holes.
        end: token ids that end a turn; the first is appended where a turn reaches its length limit.
        record: what records the passes that write; without it every kernel is launched by itself.
    """

    def __init__(
        self, model: PreTrainedModel, *, rows: int, pad: int, end: Sequence[int], record: Recorder | None = None
    ) -> None:
        self._model = model
        self._pad = pad
        self._end = list(end)
        self._cache = ConversationCache(model.config, rows=rows, device=model.device)
        self._kept = list(range(rows))
        self._drafts = Drafts(rows)
        self._ahead = 0 if self._cache.flat else longest_draft(model.config, rows=rows, device=model.device)
        self._passes = None
        if record is not None and not self._cache.flat:
            self._passes = Passes(model, self._cache, record=record, rows=rows, widest=1 + self._ahead)
        without_plans(model.device)
        # The end of each conversation's last turn, which is read with the next block, as in training.
        self._unread: list[list[int]] = [[] for _ in range(rows)]

    def keep(self, rows: Sequence[int]) -> None:
        """Drop every conversation but `rows` (numbers as given at the start)."""
        self._kept = list(rows)

    @torch.inference_mode()
    def respond(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        temperature: Sequence[float],
        top_p: Sequence[float],
        uniforms: np.ndarray,
    ) -> list[list[int]]:
        """Feed one block of tokens per kept row, then generate one turn per row.

        Args:
            prompts: new token ids, one non-empty sequence per kept row.
            temperature, top_p: sampling per row; temperature 0 is greedy.
            uniforms: numbers in [0, 1), shape (rows, most new tokens of a turn).

        Returns:
            The generated token ids per row, the end token left out.
        """
        cache, most = self._cache, uniforms.shape[1]
        cache.keep(self._kept)
        draws = Draws(temperature=temperature, top_p=top_p, uniforms=uniforms, device=self._model.device)
        places = {row: place for place, row in enumerate(self._kept)}
        for row, place in places.items():
            self._drafts.add(row, prompts[place])
        logits = self._read([[*self._unread[row], *prompts[places[row]]] for row in cache.rows])
        turns: dict[int, list[int]] = {row: [] for row in places}
        drafts: dict[int, list[int]] = {row: [] for row in places}
        for row in places:
            self._unread[row] = []
        while True:
            drawn = self._draw(draws, logits, places, turns, drafts, most=most)
            beyond = [len(drafts[row]) - self._go_on(row, drawn[row], turns[row], drafts[row]) for row in cache.rows]
            cache.take_back(beyond)
            if all(self._unread[row] for row in places):
                return [turns[row] for row in places]
            cache.set_aside([bool(self._unread[row]) for row in cache.rows])
            for row in cache.rows:
                left = 0 if self._unread[row] else most - 1 - len(turns[row])
                drafts[row] = self._drafts.draft(row, length=min(self._ahead, left)) if left else []
            blocks = [[] if self._unread[row] else [turns[row][-1], *drafts[row]] for row in cache.rows]
            logits = self._write(blocks)

    def _go_on(self, row: int, tokens: Sequence[int], turn: list[int], draft: Sequence[int]) -> int:
        """Take over what was drawn after the last token and after each that was drafted, as far as the draft stands.

        Returns:
            How many tokens of the draft stand.
        """
        for ahead, token in enumerate(tokens):
            self._drafts.add(row, [token])
            if token in self._end:
                self._unread[row] = [token]
                return ahead
            turn.append(token)
            if ahead == len(draft) or token != draft[ahead]:
                return ahead
        return 0  # nothing was drawn: the turn was over before

    def _draw(
        self,
        draws: Draws,
        logits: torch.Tensor,
        places: Mapping[int, int],
        turns: Mapping[int, Sequence[int]],
        drafts: Mapping[int, Sequence[int]],
        *,
        most: int,
    ) -> dict[int, list[int]]:
        """The token after the last one of each turn that is not over, and after each of its draft."""
        here, width = self._cache.rows, logits.shape[1]
        asked = [
            (slot, width - 1 - len(drafts[row]) + ahead, places[row], len(turns[row]) + ahead)
            for slot, row in enumerate(here)
            if not self._unread[row]
            for ahead in range(len(drafts[row]) + 1)
        ]
        slots, columns, rows, numbers = torch.tensor(asked).T.to(logits.device)
        wanted = logits[slots, columns]
        token, known = draws.likely(wanted, rows=rows, numbers=numbers)
        # The one thing that is waited for.
        tokens, certain = to_host(torch.stack([token, known]))
        if not certain.all():
            token = draws.settled(wanted, rows=rows, numbers=numbers, token=token, known=certain.bool())
            tokens = to_host(token)
        found: dict[int, list[int]] = {row: [] for row in here}
        for (slot, _, _, number), drawn in zip(asked, tokens.tolist(), strict=True):
            found[here[slot]].append(self._end[0] if number == most - 1 else drawn)
        return found

    def _read(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Let the model read what comes before a turn; return the logits after it, shape (rows, 1, vocabulary)."""
        if not self._cache.flat:
            return self._forward(prompts, keep=1)
        width = max(map(len, prompts))
        padded = [[None] * (width - len(tokens)) + list(tokens) for tokens in prompts]
        for column in zip(*padded, strict=True):
            logits = self._forward([[] if token is None else [token] for token in column], keep=1)
        return logits

    def _write(self, tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        """Let the model read what was written last; return the logits of all columns of the block."""
        width = max(map(len, tokens))
        if self._passes is None or self._passes.off:
            return self._forward(tokens, keep=width)
        slots, width = self._passes.block(width)
        return self._passes.forward(*self._block([*tokens, *[[]] * (slots - len(tokens))], width=width))

    def _block(self, tokens: Sequence[Sequence[int]], *, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """New tokens of each slot at the right of a block, and True where they are; on the host."""
        block = torch.tensor([[*[self._pad] * (width - len(new)), *new] for new in tokens])
        return block, torch.arange(width) >= width - torch.tensor(list(map(len, tokens)))[:, None]

    def _forward(self, tokens: Sequence[Sequence[int]], *, keep: int) -> torch.Tensor:
        """Run the model over new tokens of each row, at the right of a block, and enter them into the cache.

        Returns:
            Logits of the block's last columns, shape (rows, keep, vocabulary).
        """
        block, own = self._block(tokens, width=max(map(len, tokens)))
        positions = self._cache.append_block(own)
        output = self._model(
            input_ids=block.to(self._model.device),
            attention_mask=self._cache.attention_mask(positions, dtype=self._model.dtype),
            position_ids=positions,
            past_key_values=self._cache.states,
            use_cache=True,
            logits_to_keep=keep,
        )
        return output.logits
