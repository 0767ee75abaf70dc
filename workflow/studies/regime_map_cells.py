"""What a cell of the regime map plays, and what it has come to (regime_map.py)."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import derived
from w2sg.config import params
from w2sg.config.data import ROLES
from w2sg.contracts import files, layout
from w2sg.contracts.episodes import read_episodes
from w2sg.contracts.pairs import Pair
from w2sg.contracts.paths import DemonstrationPath
from w2sg.contracts.trajectories import read_trajectories
from w2sg.evaluation.measures.complement import attempts
from w2sg.evaluation.measures.episodes import REPORTED
from w2sg.evaluation.measures.regime_map import STUDENT, middle_of
from w2sg.evaluation.measures.regime_played import Cell, Played
from w2sg.stages.code import texts
from w2sg.stages.digests import Source, read_pins, tree_hash

ENVIRONMENT = "alfworld"
PLACE = Path(".map")
GROUPS = ("sft", "preference", "imitation")
SHOWING = ("merging", "theorem", "report")  # stages that no row comes from
# Whose data: of the weak model's samples, of the strong one's, of none.
DATA = {STUDENT: "mcts", "best": "best_of_m", "own": "strong", "again": "demonstrations", "expert": "expert"}
# The first samples of a task, however many, are as warm as the others.
SCHEDULE = [{"temperature": temperature, "top_p": 1.0, "model": "sft"} for temperature in (0.7, 1.0)]


@dataclass(frozen=True, slots=True)
class Levels:
    """What is varied; ascending, each once.

    Attributes:
        again: doses of the demonstrations again, of which the one with as many updates is compared.
    """

    places: tuple[int, ...]
    demonstrations: tuple[int, ...]
    samples: tuple[int, ...]
    passes: tuple[int, ...]
    again: tuple[int, ...]

    def cells(self) -> list[Cell]:
        """All of them, those with the same games and the same weak model one after the other."""
        return [
            Cell(places, demonstrations, samples)
            for places in self.places
            for demonstrations in self.demonstrations
            for samples in self.samples
        ]

    def students(self, cell: Cell) -> dict[tuple[str, int], Cell]:
        """Models and doses of imitation that are played with a cell, and the cell in which they stand."""
        middle = middle_of(self.passes)
        found = [(STUDENT, passes) for passes in self.passes] + [("best", middle)]
        if cell.demonstrations == self.demonstrations[0]:
            found.append(("own", middle))
            if cell.samples == self.samples[-1]:
                found += [("expert", middle), *(("again", passes) for passes in self.again)]
        return {(model, passes): cell.home(model) for model, passes in found}


def left(values: Mapping[str, Any]) -> int:
    """How many training tasks there are to demonstrate: those that are not explored."""
    return int(values["environments"][ENVIRONMENT]["tasks"]["train"] - values["explore"]["tasks"])


def demonstrated(values: Mapping[str, Any]) -> int:
    """How many demonstrations the strong model of every cell is tuned on: the run's, of tasks that are not explored."""
    return min(int(values["experts"]["tasks"]), left(values))


def agent(places: int, demonstrations: int, role: str, seed: int) -> Path:
    """Where a tuned model lies, from which cells start."""
    return PLACE / str(seed) / "agents" / f"{places}-{demonstrations}-{role}"


def tuning(values: Mapping[str, Any], run: Path, *, places: int, demonstrations: int, seed: int) -> dict[str, Any]:
    """The parameters with which a base of the run is tuned."""
    bases = {role: run / layout.base(seed, role) for role in ROLES}
    made = _world(values, run, places=places, seed=seed, folder=PLACE / str(seed) / "tuning", models=bases)
    return made | {"experts": {**made["experts"], "tasks": demonstrations}}


def students(values: Mapping[str, Any], run: Path, levels: Levels, cell: Cell, seed: int) -> dict[str, Any]:
    """The parameters of a cell."""
    own = demonstrated(values)
    models = {
        "weak": agent(cell.places, cell.demonstrations, "weak", seed),
        "strong": agent(cell.places, own, "strong", seed),
    }
    made = _world(values, run, places=cell.places, seed=seed, folder=PLACE / str(seed) / "cells", models=models)
    method = values["imitation"]["w2s_mcts"]
    training = method["imitate"] or values["imitate"]
    made |= {
        "experts": {**made["experts"], "tasks": own},
        "sft": {**values["sft"], "optimization": None},
        "explore": {
            **made["explore"],
            "roles": ["weak", "strong"],
            "samples": levels.samples[-1],
            "schedule": SCHEDULE,
            "diversity": None,
        },
        "tree": {**values["tree"], "breadth": cell.samples},
    }
    imitation = {
        f"{model}_{passes}": {
            **method,
            "init": "sft_strong",
            "data": DATA[model],
            **({"expert_share": 0.0} if model == "again" else {}),
            "imitate": {**training, "optimization": {**training["optimization"], "epochs": passes}},
        }
        for model, passes in levels.students(cell)
    }
    return derived.only(made, preference={"dpo": derived.tree_dpo(values)}, imitation=imitation)


def _world(
    values: Mapping[str, Any], run: Path, *, places: int, seed: int, folder: Path, models: dict[str, Path]
) -> dict[str, Any]:
    """The parameters that all projects of a map share; of seen tasks the least."""
    made = derived.alone(values, run=run, folder=folder, environment=ENVIRONMENT, seed=seed, models=models)
    made["environments"][ENVIRONMENT]["max_receptacles"] = places
    return made | {"evaluate": {**made["evaluate"], "seen": 1}}


def settings(values: Mapping[str, Any]) -> str:
    """A digest of what is the same in all cells, with all doses and under all seeds."""
    levels = Levels((4,), (1,), (2,), (1,), (1,))  # any: nothing of them is left below
    (cell,) = levels.cells()
    made = students(values, Path(), levels, cell, 0)
    made["environments"][ENVIRONMENT].pop("max_receptacles")
    made["explore"].pop("samples")
    for name in ("seeds", "outside", "models", "tree", "report"):
        made.pop(name)
    made["imitation"] = (values["imitation"]["w2s_mcts"], DATA)  # and made["imitate"]; the roster has the doses
    kept = (made, values["models"], values["pretrain"], values["sft"], {**values["tree"], "breadth": None})
    return files.digest(text=repr(kept))


def code() -> str:
    """A digest of the code that rows come from, as the pipeline counts it: without comments and other environments."""
    source = Source(Path("src"))
    found = {str(place): text for place, text in texts(source, read_pins(Path("requirements.lock"))).items()}
    wanted = ("", ENVIRONMENT, *ROLES)
    counted = {
        name: text
        for name, text in sorted(found.items())
        for stage, _, of in [name.removesuffix(".txt").partition("/")]
        if stage not in SHOWING and of in wanted
    }
    own = [tree_hash(ast.parse(Path(module).read_bytes())) for module in (__file__, derived.__file__)]
    own += [source.module(used.__module__).hash for used in (attempts, Played)]
    return files.digest(text=repr((counted, own)))


def collected(levels: Levels, cell: Cell, seed: int, *, origin: Mapping[str, str], commit: str) -> Iterator[Played]:
    """What the project in this folder has played.

    Args:
        origin: settings, bases and code, of Played.
    """
    explored = {role: read_trajectories(layout.explore(ENVIRONMENT, seed, role)) for role in ROLES}
    tries = {
        role: attempts(own, environment=ENVIRONMENT, seed=seed, role=role, samples=cell.samples)
        for role, own in explored.items()
    }
    fails = {each.task_id: not each.once for each in tries["strong"]}
    experts = read_trajectories(layout.experts(ENVIRONMENT))
    first = f"{STUDENT}_{levels.passes[0]}"
    homes = {f"{model}_{passes}": (model, passes, home) for (model, passes), home in levels.students(cell).items()}
    made = params.load()
    own = made.preference["dpo"].dpo or made.dpo
    homes["dpo"] = ("dpo", max(1, round(own.optimization.epochs)), cell)
    found: dict[str, dict[str, float]] = {}
    for group in GROUPS:
        for episode in read_episodes(layout.episodes(ENVIRONMENT, seed, group)):
            if episode.split == REPORTED:
                found.setdefault(episode.model, {})[episode.trajectory.task_id] = episode.trajectory.score
    for name, scores in found.items():
        model, passes, home = homes.get(name, (name, 0, cell))
        yield Played(
            seed=seed,
            **asdict(home),
            model=model,
            passes=passes,
            updates=_updates(name, seed) if name in homes else 0,
            tasks=sorted(scores),
            scores=[scores[task] for task in sorted(scores)],
            steps=_mean([len(each.steps) for each in experts]),
            mean=_mean([sample.score for sample in explored["weak"] if sample.sample < cell.samples]),
            solved=_mean([each.ever for each in tries["weak"]]),
            complement=_mean([each.ever and fails[each.task_id] for each in tries["weak"]]),
            paths=len(DemonstrationPath.read(layout.paths(ENVIRONMENT, seed, first))),
            pairs=len(Pair.read(layout.pairs(ENVIRONMENT, seed, "dpo"))),
            settings=origin["settings"],
            bases=origin["bases"],
            code=origin["code"],
            commit=commit,
        )


def _updates(method: str, seed: int) -> int:
    stage = "preference" if method == "dpo" else "imitation"
    log = files.read_json(layout.log(stage, f"{layout.run_name(ENVIRONMENT, seed)}-{method}"))
    return max(int(entry["step"]) for entry in log)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
