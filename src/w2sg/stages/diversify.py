"""Stage diversify: a second exploration policy, SFT weak with a bonus for unlikeness to itself (eq. 5, A12).

Off by default (`explore.diversity: null`); the folder then holds a note alone, because the stage explore names it.
"""

from w2sg.config.params import Params
from w2sg.contracts import files, layout
from w2sg.contracts.trajectories import read_trajectories
from w2sg.environments.prompts import prompt


def main(params: Params, *, environment: str, seed: int) -> None:
    """Read SFT weak and the experts; write the checkpoint and its learning curve."""
    diversity = params.explore.diversity
    folder, log = layout.diverse(environment, seed), layout.log("diversify", layout.run_name(environment, seed))
    if diversity is None:
        with files.replacing(folder) as temporary:
            temporary.mkdir()
            (temporary / "README.md").write_text("No second exploration policy: explore.diversity is null.\n")
        files.write_json(log, [])
        return

    from w2sg.training import bases
    from w2sg.training.exploration import train_diverse
    from w2sg.training.precision import trained_as

    text = prompt(environment, style=params.environment(environment).prompt)
    experts = read_trajectories(layout.experts(environment))
    dtype = trained_as(diversity.optimization, params.sft.lora)
    model, tokenizer = bases.load(layout.sft(environment, seed, "weak"), dtype=dtype)
    model, rows = train_diverse(
        model,
        tokenizer,
        [expert.messages(prompt=text) for expert in experts],
        diversity=diversity,
        lora=params.sft.lora,
        seed=seed,
    )
    card = (
        f"# diverse_weak, {environment}, seed {seed}\n\n"
        f"SFT weak, trained on by eq. 5 on {len(experts)} expert demonstrations: weight {diversity.weight:g}, KL "
        f"clamped at {diversity.clamp:g} nats a token.\n\n"
        f"Last update: SFT loss {rows[-1]['sft']:.4f}, KL to SFT weak {rows[-1]['kl']:.4f}, both per token.\n"
    )
    bases.save(model, tokenizer, folder, card=card, base=layout.sft(environment, seed, "weak"))
    files.write_json(log, rows)
