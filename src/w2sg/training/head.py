"""The output head, applied to the positions that are scored and never to all tokens of a batch at once.

A batch of 32 conversations of 900 tokens has 28,800 x 262,144 logits under Gemma's vocabulary: 30 GB, and as much again
for each step of the loss. Here the head sees the scored positions alone, some thousand at a time; what a run of them
held is computed again in the backward pass. One run is computed as if there were no runs, to the last bit.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

# Logits held at once, a quarter of a GiB in single precision; all of any batch of the models trained from scratch.
LOGITS = 2**26

# From logits, shape (tokens, vocabulary), the tokens that follow, shape (tokens,), and what else is known of each
# position, shape (tokens, ...), to values of each position, shape (tokens,).
PerToken: TypeAlias = Callable[..., tuple[torch.Tensor, ...]]

IGNORED = -100


def log_probs(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor]:
    """Log-probability of each target, natural logarithm."""
    return (-torch.nn.functional.cross_entropy(logits, targets, reduction="none"),)


class Head:
    """What a model makes of its last hidden states: logits, in single precision, a run of positions at a time.

    Some families scale or squash the logits after the projection. Which is read from the configuration as TRL does, and
    checked once against the model's own logits; where they differ, the model's own forward pass gives all logits.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        config = model.config.get_text_config()
        self._model = model
        self._cap = getattr(config, "final_logit_softcapping", None)
        self._scale = _scale(config)
        self._vocabulary = int(config.vocab_size)
        self._sound = True
        self._sound = self._agrees()

    def states(self, *args: Any, **inputs: Any) -> torch.Tensor:
        """What the logits are made of, shape (rows, length, ...): last hidden states, or else the logits themselves."""
        if self._sound:
            return self._model.base_model(*args, **inputs).last_hidden_state
        return type(self._model).forward(self._model, *args, **inputs).logits

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Logits of some positions, shape (..., vocabulary)."""
        if not self._sound:
            return states.float()
        logits = self._model.get_output_embeddings()(states)
        if self._scale != 1.0:
            logits = logits * self._scale
        if self._cap is not None:
            logits = torch.tanh(logits / self._cap) * self._cap
        return logits.float()

    def score(
        self,
        *args: Any,
        labels: torch.Tensor,
        per_token: PerToken = log_probs,
        others: Sequence[torch.Tensor] = (),
        **inputs: Any,
    ) -> tuple[torch.Tensor, ...]:
        """Values of the labelled positions, one after the other, shape (labelled,).

        Args:
            labels: the tokens where they are scored, else -100, shape (rows, length).
            per_token: what is made of the logits at a position and the token that follows.
            others: what `per_token` takes besides, of the labelled positions.
            inputs: of the model's forward pass.
        """
        scored = labels[:, 1:] != IGNORED

        def of_run(states: torch.Tensor, targets: torch.Tensor, *others: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return per_token(self.logits(states), targets, *others)

        states = self.states(*args, **inputs)[:, :-1][scored]
        return _in_runs(of_run, states, labels[:, 1:][scored], *others, vocabulary=self._vocabulary)

    @torch.no_grad()
    def _agrees(self) -> bool:
        """Compare the logits of a few tokens with the model's own."""
        model, training = self._model, self._model.training
        if model.get_output_embeddings() is None:
            return False
        ids = torch.arange(8, device=model.device)[None] % self._vocabulary
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False}
        model.eval()
        try:
            own = type(model).forward(model, **inputs).logits.float()
            ours = self.logits(self.states(**inputs))
        except AttributeError:  # no backbone that gives hidden states
            return False
        finally:
            model.train(training)
        # One and the same product, up to how its rows are blocked: half a per cent is far above that in bfloat16, and
        # far below what a scale left out would do.
        return own.shape == ours.shape and bool((own - ours).abs().max() <= 5e-3 * own.abs().max())


def _in_runs(
    of_run: Callable[..., tuple[torch.Tensor, ...]], *tensors: torch.Tensor, vocabulary: int
) -> tuple[torch.Tensor, ...]:
    """Apply a function to runs of the tensors' rows, so many that a run has LOGITS logits at most."""
    length = max(1, LOGITS // vocabulary)
    if len(tensors[0]) <= length:
        return of_run(*tensors)
    runs = zip(*(tensor.split(length) for tensor in tensors), strict=True)
    parts = [checkpoint(of_run, *run, use_reentrant=False) for run in runs]
    return tuple(torch.cat(values) for values in zip(*parts, strict=True))


def _scale(config: Any) -> float:
    """What multiplies the logits: Cohere's and others' factor, Granite's divisor."""
    for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):
        if (factor := getattr(config, name, None)) is not None:
            return float(factor)
    divisor = getattr(config, "logits_scaling", None)
    if divisor is None:
        return 1.0
    return float(divisor) if config.model_type == "hyperclovax" else 1.0 / float(divisor)


@contextmanager
def labelled(model: PreTrainedModel) -> Iterator[None]:
    """Let the plain model's forward pass score labelled positions alone, for TRL's losses and for ours.

    With `fused_lm_head=True` it gives what TRL's losses read: log-probabilities, shape (rows, length - 1), 0 where
    nothing is learned; the fields that only feed TRL's metrics stay zero. With `per_token=f` it is `Head.score`. It
    runs inside the wrappers of PEFT, accelerate and torch's data parallelism, which pass on what they do not know.
    """
    former, head = model.forward, Head(model)

    @functools.wraps(type(model).forward)
    def forward(*args: Any, fused_lm_head: bool = False, **options: Any) -> Any:
        if fused_lm_head:
            return _as_trl(head, *args, **options)
        return head.score(*args, **options) if "per_token" in options else former(*args, **options)

    model.forward = forward
    try:
        yield
    finally:
        model.forward = former


def _as_trl(head: Head, *args: Any, labels: torch.Tensor, **inputs: Any) -> Any:
    from trl.trainer.utils import FusedCausalLMOutput  # seconds, which scoring alone need not spend

    (values,) = head.score(*args, labels=labels, **inputs)
    scored = labels[:, 1:] != IGNORED
    table = values.new_zeros(scored.shape).masked_scatter(scored, values)
    zeros = torch.zeros_like(table, requires_grad=False)
    return FusedCausalLMOutput(
        log_probs=table, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool(), label_mask=scored
    )
