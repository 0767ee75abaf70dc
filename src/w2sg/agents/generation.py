"""Batched generation over many conversations at once, with the key-value cache kept across turns.

Rows of a batch advance turn by turn. Randomness comes in from outside, one uniform number per token to be drawn.
"""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from w2sg.agents.cache import ConversationCache
from w2sg.agents.sampling import sample


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
        self._cache.pack(self._kept)
        logits = self._forward(*self._block(prompts))
        draws = torch.as_tensor(uniforms, dtype=torch.float64)
        heat, nucleus = torch.tensor(temperature, dtype=torch.float64), torch.tensor(top_p, dtype=torch.float64)
        turns: list[list[int]] = [[] for _ in prompts]
        # Places of the rows in the cache, among the prompts, and which of them still write.
        places = torch.arange(len(prompts))
        writing = torch.ones(len(prompts), dtype=torch.bool)
        for number in range(draws.shape[1]):
            token = sample(logits, temperature=heat[places], top_p=nucleus[places], uniform=draws[places, number])
            if number == draws.shape[1] - 1:
                token = torch.full_like(token, self._end[0])
            token = torch.where(writing, token, self._pad)
            fed = writing.clone()
            for row in torch.nonzero(fed).flatten().tolist():
                if (drawn := int(token[row])) in self._end:
                    writing[row] = False
                else:
                    turns[int(places[row])].append(drawn)
            # The end token enters the cache too: the next turn is read after it, as in training.
            logits = self._forward(token[:, None], fed.long()[:, None])
            if not writing.any():
                break
            if self._cache.set_aside(~writing):
                places, logits, writing = places[writing], logits[writing], writing[writing]
        return turns

    def _block(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Prompts left-padded to one width, and 1 where a token is a prompt's own; both of shape (rows, width)."""
        width = max(map(len, prompts))
        block = torch.full((len(prompts), width), self._pad, dtype=torch.long)
        real = torch.zeros_like(block)
        for row, tokens in enumerate(prompts):
            block[row, width - len(tokens) :] = torch.tensor(tokens)
            real[row, width - len(tokens) :] = 1
        return block, real

    def _forward(self, tokens: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Run the model over one block; return the logits after its last column, shape (rows, vocabulary), float64."""
        positions = self._cache.append(real)
        output = self._model(
            input_ids=tokens.to(positions.device),
            attention_mask=self._cache.attention_mask(positions, dtype=self._model.dtype),
            position_ids=positions,
            past_key_values=self._cache.states,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1].double().cpu()
