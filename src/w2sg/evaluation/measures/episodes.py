"""Evaluation episodes, grouped once, so that no measure looks through all of them for its own."""

from collections.abc import Iterable, Mapping, Sequence

from w2sg.contracts.episodes import Episode
from w2sg.contracts.tasks import SPLITS
from w2sg.evaluation.measures.models import in_table_order
from w2sg.evaluation.measures.scores import Measure

REPORTED = "unseen"
"""The split that tables, sentences and figures are of; every evaluation has it."""
BySeed = dict[str, list[float]]  # by task id, one value per seed


class GroupedEpisodes:
    """Evaluation episodes by environment, split and model.

    Attributes:
        environments: those that occur, sorted.
        models: those that occur anywhere, in the order of the tables.
    """

    def __init__(self, episodes: Iterable[Episode]) -> None:
        places: dict[tuple[str, str], dict[str, list[Episode]]] = {}
        models: dict[str, None] = {}  # in the order in which they come
        for episode in episodes:
            place = places.setdefault((episode.trajectory.environment, episode.split), {})
            place.setdefault(episode.model, []).append(episode)
            models.setdefault(episode.model)
        self._places = {key: {m: place[m] for m in in_table_order(place)} for key, place in places.items()}
        self._values: dict[tuple[str, str, Measure], dict[str, BySeed]] = {}
        self.environments = sorted({environment for environment, _ in places})
        self.models = in_table_order(models)

    def splits_of(self, environment: str) -> list[str]:
        """The splits that occur in one environment, seen before unseen."""
        return [split for split in SPLITS if (environment, split) in self._places]

    def by_model(self, environment: str, split: str) -> Mapping[str, Sequence[Episode]]:
        """Every model's episodes, models in the order of the tables; empty where none was evaluated."""
        return self._places.get((environment, split), {})

    def values(self, environment: str, split: str, measure: Measure) -> Mapping[str, BySeed]:
        """A measure of every model's episodes, by task id and in the order of the seeds; models as in `by_model`."""
        key = (environment, split, measure)
        if key not in self._values:
            here = self.by_model(environment, split)
            self._values[key] = {model: by_task_and_seed(own, measure) for model, own in here.items()}
        return self._values[key]

    def binary(self, environment: str) -> bool:
        """Whether every G is 0 or 1, so that average reward and success rate are one number (A19)."""
        return all(
            episode.trajectory.score in (0.0, 1.0)
            for split in self.splits_of(environment)
            for own in self.by_model(environment, split).values()
            for episode in own
        )


def by_task_and_seed(episodes: Iterable[Episode], measure: Measure) -> BySeed:
    """One value per task and seed of one model on one split, by task id and in the order of the seeds."""
    found: dict[str, dict[int, float]] = {}
    for episode in episodes:
        found.setdefault(episode.trajectory.task_id, {})[episode.seed] = measure(episode.trajectory)
    return {task: [found[task][seed] for seed in sorted(found[task])] for task in sorted(found)}
