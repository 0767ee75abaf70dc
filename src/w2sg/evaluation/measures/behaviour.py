"""How the models behaved: steps without an action, steps that the environment refused, steps said again."""

from dataclasses import dataclass
from functools import cache

from w2sg.contracts.trajectories import Step, Trajectory
from w2sg.environments.parts import provided
from w2sg.evaluation.measures.episodes import GroupedEpisodes


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a model behaved on a split, over all its seeds.

    Attributes:
        steps: mean number of steps of an episode.
        unparsed: share of the steps whose response held no action.
        refused: share of the steps that the environment answered with a refusal such as "Nothing happens"; None where
            it has no words for that.
        repeated: share of the steps whose response is word for word the one before it.
    """

    environment: str
    model: str
    split: str
    episodes: int
    steps: float
    unparsed: float
    refused: float | None
    repeated: float


def behaviours(episodes: GroupedEpisodes) -> list[Behaviour]:
    """One for every environment, model and split, in that order, seeds taken together.

    Raises:
        UserError: an environment has no REFUSALS.
    """
    found = []
    for environment in episodes.environments:
        words = refusals(environment)
        for model in episodes.models:
            for split in episodes.splits_of(environment):
                own = [episode.trajectory for episode in episodes.by_model(environment, split).get(model, ())]
                if not own:
                    continue
                steps = [step for trajectory in own for step in trajectory.steps]
                total = max(1, len(steps))
                found.append(
                    Behaviour(
                        environment=environment,
                        model=model,
                        split=split,
                        episodes=len(own),
                        steps=len(steps) / len(own),
                        unparsed=sum(not step.valid for step in steps) / total,
                        refused=sum(refused(each, environment) for each in steps) / total if words else None,
                        repeated=sum(map(_repeats, own)) / total,
                    )
                )
    return found


def refused(step: Step, environment: str) -> bool:
    """The action was read, and the environment would not do it.

    Raises:
        UserError: the environment has no REFUSALS.
    """
    return step.valid and step.next_observation.startswith(refusals(environment))


@cache
def refusals(environment: str) -> tuple[str, ...]:
    """How an environment begins to say that it would not do an action; empty where it has no words for that."""
    found: tuple[str, ...] = provided(f"w2sg.environments.{environment}.refusals", "REFUSALS")
    return found


def repeated(trajectory: Trajectory) -> float:
    """Share of an episode's steps whose response is word for word the one before it."""
    return _repeats(trajectory) / max(1, len(trajectory.steps))


def _repeats(trajectory: Trajectory) -> int:
    pairs = zip(trajectory.steps, trajectory.steps[1:], strict=False)
    return sum(after.response == before.response for before, after in pairs)
