"""Stage sft: pi_SFT of one role, by supervised fine-tuning of its base on expert demonstrations (eq. 4)."""

from w2sg.config.data import Role
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.files import write_json
from w2sg.contracts.trajectories import read_trajectories
from w2sg.environments.prompts import prompt
from w2sg.training import bases
from w2sg.training.precision import trained_as
from w2sg.training.sft import train_sft


def main(params: Params, *, environment: str, role: Role, seed: int) -> None:
    """Read the base and the experts, write the checkpoint and its learning curve."""
    text = prompt(environment, style=params.environment(environment).prompt)
    experts = read_trajectories(layout.experts(environment))
    conversations = [expert.messages(prompt=text) for expert in experts]
    dtype = trained_as(params.sft.optimization, params.sft.lora)
    model, tokenizer = bases.load(layout.base(seed, role), dtype=dtype)
    model, log = train_sft(
        model,
        tokenizer,
        conversations,
        optimization=params.sft.optimization,
        lora=params.sft.lora,
        assistant_only=True,
        seed=seed,
    )
    title = f"# sft_{role}, {environment}, seed {seed}"
    card = f"{title}\n\nThe {role} base, fine-tuned on {len(conversations)} expert demonstrations.\n"
    bases.save(model, tokenizer, layout.sft(environment, seed, role), card=card, base=layout.base(seed, role))
    write_json(layout.log("sft", f"{layout.run_name(environment, seed)}-{role}"), log)
