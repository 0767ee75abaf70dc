"""The model card of a preference method."""

from collections.abc import Sequence

from w2sg.config.rosters import PreferenceMethod
from w2sg.config.training import Dpo
from w2sg.contracts.pairs import Pair
from w2sg.training.trainer_log import LogRow


def card(
    *,
    method: str,
    environment: str,
    seed: int,
    entry: PreferenceMethod,
    dpo: Dpo,
    pairs: Sequence[Pair],
    log: Sequence[LogRow],
) -> str:
    """The model card: where the model comes from, what it learned from, and how it started and ended."""
    chosen = dpo.optimization
    loss = "sigmoid" if dpo.eq6 == "dpo" else "sigmoid, and beta * KL beside it (eq. 6 to the letter)"
    if dpo.likelihood:
        loss += f", and {dpo.likelihood:g} times the negative log-likelihood per token of the chosen side"
    rows = {
        "pairs": f"{len(pairs)} of kind {entry.data}, from {len({pair.task_id for pair in pairs})} tasks",
        "beta": f"{dpo.beta:g}",
        "loss": loss,
        "optimisation": f"AdamW, {chosen.epochs:g} epochs, batch {chosen.batch}, "
        f"learning rate {chosen.learning_rate:g}, {chosen.schedule}",
        "trained": "all weights" if dpo.lora is None else f"LoRA r={dpo.lora.r}, alpha={dpo.lora.alpha}",
        "before the first update": _standing(log[0]),
        f"last of {log[-1]['step']} updates": _standing(log[-1]),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return (
        f"# {method}, {environment}, seed {seed}\n\n"
        f"Direct preference optimisation (eq. 6) of {entry.init}, with {entry.reference} as the fixed reference.\n\n"
        f"| | |\n|---|---|\n{table}\n"
    )


def _standing(row: LogRow) -> str:
    terms = [f", {name.upper()} {row[name]:.4f}" for name in ("kl", "nll") if name in row]
    return f"loss {row['loss']:.4f}, mean margin {row['margin']:+.4f}, accuracy {row['accuracy']:.3f}{''.join(terms)}"
