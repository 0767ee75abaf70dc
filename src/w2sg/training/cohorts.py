"""Whether a cohort of conversations has room on the device, said before it plays.

The cohort is never adapted to the machine, since episodes depend on it: refused is what cannot end well, and told what
may not.
"""

import sys
from collections.abc import Callable

from transformers import PreTrainedModel

from w2sg.contracts.errors import UserError
from w2sg.training.memory import GIB, SPARE, available, cache_bytes, scoring, weight_bytes


def check_cohort(
    model: PreTrainedModel, *, cohort: int, opening: int, turn: int, longest: Callable[[], int], key: str
) -> None:
    """See that a cohort's conversations have room; how long they get is known only when they are over.

    Args:
        opening: tokens of the prompt.
        turn: most tokens of an answer.
        longest: gives the tokens of a conversation that is never won. Asked where that may matter.
        key: of the parameters, to be lowered.

    Raises:
        UserError: conversations of one turn do not fit.
    """
    room = int(available(model.device) * (1 - SPARE)) - weight_bytes(model)
    first = opening + turn
    need = _needed(model, cohort=cohort, opening=opening, positions=first)
    if need > room:
        raise UserError(
            f"{key}: {cohort} conversations of {first} tokens, which the first turn has, need some {_gib(need)} GiB "
            f"beside the weights' {_gib(weight_bytes(model))}, and {model.device} has {_gib(room)} left for them; "
            f"lower {key} to {_fitting(model, cohort, room, opening=opening, positions=first)} or less"
        )
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or first
    if _needed(model, cohort=cohort, opening=opening, positions=context) <= room:
        return
    positions = max(first, min(context, longest()))
    need = _needed(model, cohort=cohort, opening=opening, positions=positions)
    if need > room:
        print(
            f"{key}: warning: {cohort} conversations that are all lost, of some {positions} tokens, would need "
            f"{_gib(need)} GiB beside the weights' {_gib(weight_bytes(model))}, and {model.device} has {_gib(room)} "
            f"left for them; {_fitting(model, cohort, room, opening=opening, positions=positions)} are safe",
            file=sys.stderr,
        )


def _needed(model: PreTrainedModel, *, cohort: int, opening: int, positions: int) -> int:
    """Bytes beside the weights: the cache as it grows, or the reading of all openings at once; and what draws need."""
    # A layer that grows has its former and its next block at the same time (SlotLayer.make_room).
    layers = max(1, model.config.get_text_config().num_hidden_layers)
    widest = positions + positions // 4 + 64
    cache = cache_bytes(model.config, rows=cohort, positions=widest, dtype=model.dtype)
    reading = scoring(model, tokens=cohort * opening).activations
    draws = 2 * 8 * cohort * model.config.get_text_config().vocab_size
    return cache + max(cache // layers, reading) + draws


def _fitting(model: PreTrainedModel, cohort: int, room: int, *, opening: int, positions: int) -> int:
    """How many conversations fit; what they need is in proportion to their number."""
    return max(1, cohort * room // _needed(model, cohort=cohort, opening=opening, positions=positions))


def _gib(count: int) -> str:
    return f"{count / GIB:.1f}"
