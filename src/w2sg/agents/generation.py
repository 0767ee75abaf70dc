"""Batched generation over many conversations at once, with the key-value cache kept across turns.

Rows of a batch advance turn by turn. Randomness comes in from outside, one uniform number per token to be drawn.
"""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from w2sg.agents.cache import ConversationCache
from w2sg.agents.sampling import Draws, to_host


class Conversations:
    """A batch of conversations with one causal language model.

    Args:
        model: any causal language model of transformers, in evaluation mode.
        rows: number of conversations.
        pad: token id that fills the holes.
        end: token ids that end a turn; the first is appended where a turn reaches its length limit.
    """

    def __init__(self, model: PreTrainedModel, *, rows: int, pad: int, end: Sequence[int]) -> None:
        self._model = model
        self._pad = pad
        self._end = list(end)
        self._cache = ConversationCache(model.config, rows=rows, device=model.device)
        self._kept = list(range(rows))

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
        self._cache.keep(self._kept)
        # The order of the cache, which is its own.
        order = [self._kept.index(row) for row in self._cache.rows]
        logits = self._read([prompts[place] for place in order])
        device, most = logits.device, uniforms.shape[1]
        draws = Draws(
            temperature=[temperature[place] for place in order],
            top_p=[top_p[place] for place in order],
            uniforms=uniforms[order],
            device=device,
        )
        ends = torch.tensor(self._end, device=device)
        # What is written stays on the device until all turns have ended.
        written = torch.full((len(prompts), most), self._pad, device=device)
        lengths = torch.zeros(len(prompts), dtype=torch.long, device=device)
        # Places of the rows among the prompts, and which of them still write.
        places = torch.tensor(order, device=device)
        writing, on_host = torch.ones_like(places, dtype=torch.bool), torch.ones(len(order), dtype=torch.bool)
        for number in range(most):
            if number == most - 1:
                token, known = torch.full_like(places, self._end[0]), writing
            else:
                token, known = draws.likely(logits, number=number)
            still = writing & (token[:, None] != ends).all(1)
            # The one thing that is waited for: who goes on, and whether all tokens are certain.
            sure, going_on = to_host(torch.stack([known | ~writing, still]))
            if not sure.all():
                token = draws.settled(logits, number=number, token=token, known=sure)
                still = writing & (token[:, None] != ends).all(1)
                going_on = to_host(still)
            token = torch.where(writing, token, self._pad)
            written[places, number] = token
            lengths[places] += still
            # The end token enters the cache too: the next turn is read after it, as in training.
            logits = self._forward(token[:, None], self._cache.append_token(writing, on_host=on_host))
            writing, on_host = still, going_on
            if not going_on.any():
                break
            index = self._cache.set_aside((~going_on).tolist())
            if index is not None:
                places, logits, writing = places[index], logits[index], writing[index]
                draws.select(index)
                on_host = torch.ones(len(index), dtype=torch.bool)
        *turns, counts = to_host(torch.cat([written.T, lengths[None]])).tolist()
        return [list(turn[:count]) for turn, count in zip(zip(*turns, strict=True), counts, strict=True)]

    def _read(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Let the model read prompts, left-padded to one width; return the logits after them, (rows, vocabulary)."""
        width = max(map(len, prompts))
        block = torch.full((len(prompts), width), self._pad, dtype=torch.long)
        own = torch.zeros_like(block, dtype=torch.bool)
        for row, tokens in enumerate(prompts):
            block[row, width - len(tokens) :] = torch.tensor(tokens)
            own[row, width - len(tokens) :] = True
        step = 1 if self._cache.flat else width
        for start in range(0, width, step):
            part = slice(start, start + step)
            logits = self._forward(block[:, part], self._cache.append_block(own[:, part]))
        return logits

    def _forward(self, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Run the model over what the cache has entered; return its last logits, shape (rows, vocabulary)."""
        output = self._model(
            input_ids=tokens.to(self._model.device),
            attention_mask=self._cache.attention_mask(positions, dtype=self._model.dtype),
            position_ids=positions,
            past_key_values=self._cache.states,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1]
