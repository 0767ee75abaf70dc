"""Stage sft: pi_SFT of one role, by supervised fine-tuning of its base on expert demonstrations (eq. 4).

With `sft.optimization: null` pi_SFT is the base, file by file: an agent that somebody else has trained, or an earlier
run's.
"""

import shutil

from w2sg.config.data import Role
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.files import replacing, write_json
from w2sg.contracts.trajectories import read_trajectories
from w2sg.environments.prompts import prompt
from w2sg.training import bases
from w2sg.training.precision import trained_as
from w2sg.training.sft import train_sft


def main(params: Params, *, environment: str, role: Role, seed: int) -> None:
    """Read the base and the experts, write the checkpoint and its learning curve."""
    base, checkpoint = layout.base(seed, role), layout.sft(environment, seed, role)
    log_path = layout.log("sft", f"{layout.run_name(environment, seed)}-{role}")
    title = f"# sft_{role}, {environment}, seed {seed}"
    if params.sft.optimization is None:
        with replacing(checkpoint) as temporary:
            # Without modes: what DVC has linked from its cache is read-only.
            shutil.copytree(base, temporary, copy_function=shutil.copyfile)
            (temporary / "README.md").write_text(f"{title}\n\nThe {role} base, as it is.\n", encoding="utf-8")
        write_json(log_path, [])
        return
    text = prompt(environment, style=params.environment(environment).prompt)
    experts = read_trajectories(layout.experts(environment))
    conversations = [expert.messages(prompt=text) for expert in experts]
    dtype = trained_as(params.sft.optimization, params.sft.lora)
    model, tokenizer = bases.load(base, dtype=dtype)
    model, log = train_sft(
        model,
        tokenizer,
        conversations,
        optimization=params.sft.optimization,
        lora=params.sft.lora,
        assistant_only=True,
        seed=seed,
    )
    card = f"{title}\n\nThe {role} base, fine-tuned on {len(conversations)} expert demonstrations.\n"
    bases.save(model, tokenizer, checkpoint, card=card, base=base)
    write_json(log_path, log)
