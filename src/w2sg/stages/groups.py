"""The groups of models that are evaluated together, so that torch is loaded once for each."""

from dataclasses import dataclass
from pathlib import Path

from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.errors import UserError


@dataclass(frozen=True, slots=True)
class Contestant:
    """A row of Table 1: a checkpoint and how it plays.

    Attributes:
        samples: episodes per task, of which the environment's reward picks the best; 1 but for inference methods.
    """

    checkpoint: Path
    samples: int
    temperature: float
    top_p: float


def contestants(params: Params, *, environment: str, seed: int, group: str) -> dict[str, Contestant]:
    """Name and contestant of every model of a group, in the order of the tables.

    Raises:
        UserError: there is no such group.
    """
    if group == "inference":
        return {
            name: Contestant(
                layout.model(environment, seed, method.model), method.samples, method.temperature, method.top_p
            )
            for name, method in params.inference.items()
        }
    checkpoints = _checkpoints(params, environment=environment, seed=seed, group=group)
    settings = params.evaluate
    return {name: Contestant(path, 1, settings.temperature, settings.top_p) for name, path in checkpoints.items()}


def _checkpoints(params: Params, *, environment: str, seed: int, group: str) -> dict[str, Path]:
    match group:
        case "base" | "sft":
            names = [f"{group}_{role}" for role in ("weak", "strong")]
            return {name: layout.model(environment, seed, name) for name in names}
        case "preference":
            return {method: layout.preference(environment, seed, method) for method in params.preference}
        case "imitation":
            return {method: layout.imitation(environment, seed, method) for method in params.imitation}
    raise UserError(f"--group {group}: unknown; allowed are {', '.join(layout.EVALUATION_GROUPS)}")
