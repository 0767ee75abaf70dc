"""What every training of a run has read, from the tables that the stages have written."""

from collections.abc import Iterable, Sequence

from w2sg.config.data import ROLES
from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.messages import Message
from w2sg.contracts.pairs import Pair
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.trajectories import read_trajectories
from w2sg.evaluation.measures.supervision import Lesson


def lessons(params: Params, *, environment: str, seed: int) -> dict[str, Lesson]:
    """By model, each after the one that it starts from.

    Demonstrations that are mixed into paths are those of SFT: new only to a student that starts from a base.
    """
    # A base reads the play of every environment.
    play = sum(len(each.steps) for name in params.environments.names for each in read_trajectories(layout.play(name)))
    shown = sum(len(each.steps) for each in read_trajectories(layout.experts(environment)))
    found = {f"base_{role}": Lesson(init="", play=play) for role in ROLES}
    found |= {f"sft_{role}": Lesson(init=f"base_{role}", expert=shown) for role in ROLES}
    for method, entry in params.preference.items():
        pairs = Pair.read(layout.pairs(environment, seed, method))
        chosen = _turns(pair.chosen for pair in pairs)
        # With a beta of 0 nothing is learned from rejected sides.
        rejected = _turns(pair.rejected for pair in pairs) if (entry.dpo or params.dpo).beta else 0
        by_expert = entry.data in ("ceiling", "expert")
        found[method] = Lesson(
            init=entry.init, expert=chosen if by_expert else 0, models=rejected + (0 if by_expert else chosen)
        )
    for method, imitated in params.imitation.items():
        paths = DemonstrationPath.read(layout.paths(environment, seed, method))
        read = _turns(path.messages for path in paths)
        from_base = imitated.init.startswith("base")
        again = imitated.data == "demonstrations" or imitated.expert_share > 0
        found[method] = Lesson(
            init=imitated.init,
            expert=(shown if from_base and again else 0) + (read if imitated.data == "expert" else 0),
            models=0 if imitated.data in ("expert", "demonstrations") else read,
        )
    return found


def _turns(sides: Iterable[Sequence[Message]]) -> int:
    """Turns of the agent."""
    return sum(message["role"] == "assistant" for side in sides for message in side)
