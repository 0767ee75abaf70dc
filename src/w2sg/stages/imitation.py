"""Stage imitation: a strong model learns from paths by SFT (eq. 8, A23).

`expert_share` mixes the experts that the model already knows into the paths, so that a few paths do not wash them out.
"""

import numpy as np

from w2sg.config.params import Params
from w2sg.config.rosters import ImitationMethod
from w2sg.contracts import layout
from w2sg.contracts.files import write_json
from w2sg.contracts.messages import Message
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.trajectories import read_trajectories
from w2sg.environments.prompts import prompt
from w2sg.training import bases
from w2sg.training.precision import trained_as
from w2sg.training.sft import train_sft


def main(params: Params, *, environment: str, seed: int, method: str) -> None:
    """Read paths, experts and the starting checkpoint; write the checkpoint and its learning curve."""
    entry = params.imitation[method]
    found = DemonstrationPath.read(layout.paths(environment, seed, method))
    paths = [path for path in found if path.certified or (entry.mcts or params.mcts).uncertified == "keep"]
    conversations = [list(path.messages) for path in paths]
    experts = _experts(params, entry, environment=environment, seed=seed, paths=len(paths))
    settings = entry.imitate or params.imitate
    dtype = trained_as(settings.optimization, settings.lora)
    start = layout.model(environment, seed, entry.init)
    model, tokenizer = bases.load(start, dtype=dtype)
    model, log = train_sft(
        model,
        tokenizer,
        conversations + experts,
        optimization=settings.optimization,
        lora=settings.lora,
        assistant_only=True,
        seed=seed,
        confidence=settings.confidence,
    )
    card = (
        f"# {method}, {environment}, seed {seed}\n\n{entry.init}, further trained on {len(paths)} paths "
        f"({entry.data}; {len(found) - len(paths)} uncertified ones left out) "
        f"and {len(experts)} expert demonstrations.\n"
    )
    bases.save(model, tokenizer, layout.imitation(environment, seed, method), card=card, base=start)
    write_json(layout.log("imitation", f"{layout.run_name(environment, seed)}-{method}"), log)


def _experts(params: Params, entry: ImitationMethod, *, environment: str, seed: int, paths: int) -> list[list[Message]]:
    """Expert demonstrations, drawn without replacement: `expert_share` of all conversations, or all there are."""
    text = prompt(environment, style=params.environment(environment).prompt)
    experts = read_trajectories(layout.experts(environment))
    count = min(len(experts), round(paths * entry.expert_share / (1 - entry.expert_share)))
    drawn = sorted(np.random.default_rng(seed).permutation(len(experts))[:count])
    return [experts[number].messages(prompt=text) for number in drawn]
