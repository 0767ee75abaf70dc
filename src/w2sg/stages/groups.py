"""The groups of models that are evaluated together, so that torch is loaded once for each."""

from pathlib import Path

from w2sg import layout
from w2sg.errors import UserError
from w2sg.params import Params

GROUPS = ("base", "sft", "preference", "imitation")


def checkpoints(params: Params, *, environment: str, seed: int, group: str) -> dict[str, Path]:
    """Name and folder of every model of a group, in the order of the tables.

    Raises:
        UserError: there is no such group.
    """
    match group:
        case "base":
            return {f"base_{role}": layout.base(role) for role in ("weak", "strong")}
        case "sft":
            return {f"sft_{role}": layout.sft(environment, seed, role) for role in ("weak", "strong")}
        case "preference":
            return {method: layout.preference(environment, seed, method) for method in params.preference}
        case "imitation":
            return {method: layout.imitation(environment, seed, method) for method in params.imitation}
    raise UserError(f"--group {group}: unknown; allowed are {', '.join(GROUPS)}")
