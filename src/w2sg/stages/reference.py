"""Stage reference: log-probabilities of every pair under the fixed reference pi_w^SFT (eq. 6), as data (A9, A10)."""

from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.pairs import Pair, ReferenceTurn
from w2sg.training import bases
from w2sg.training.reference import turn_logprobs


def main(params: Params, *, environment: str, seed: int, method: str) -> None:
    """Read the method's pairs and its reference checkpoint, write one log-probability per assistant turn."""
    entry = params.preference[method]
    pairs = Pair.read(layout.pairs(environment, seed, method))
    model, tokenizer = bases.load(layout.model(environment, seed, entry.reference))
    turns = turn_logprobs(model, tokenizer, pairs, batch=params.reference.batch)
    ReferenceTurn.write(layout.reference(environment, seed, method), turns)
