"""Stage preference: a strong model learns from preference pairs by DPO (eq. 6)."""

from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.files import write_json
from w2sg.contracts.pairs import Pair, ReferenceTurn
from w2sg.training import bases
from w2sg.training.precision import trained_as
from w2sg.training.preference import train_dpo
from w2sg.training.preference_card import card


def main(params: Params, *, environment: str, seed: int, method: str) -> None:
    """Read pairs, reference log-probabilities and the starting checkpoint; write the checkpoint and its curve."""
    entry = params.preference[method]
    settings = entry.dpo or params.dpo
    pairs = Pair.read(layout.pairs(environment, seed, method))
    turns = ReferenceTurn.read(layout.reference(environment, seed, method))
    dtype = trained_as(settings.optimization, settings.lora)
    start = layout.model(environment, seed, entry.init)
    model, tokenizer = bases.load(start, dtype=dtype)
    literal = settings.eq6 == "literal"
    reference = bases.load(layout.model(environment, seed, entry.reference), dtype=dtype) if literal else None
    model, log = train_dpo(model, tokenizer, pairs, turns, dpo=settings, seed=seed, reference=reference)
    text = card(method=method, environment=environment, seed=seed, entry=entry, dpo=settings, pairs=pairs, log=log)
    bases.save(model, tokenizer, layout.preference(environment, seed, method), card=text, base=start)
    write_json(layout.log("preference", f"{layout.run_name(environment, seed)}-{method}"), log)
