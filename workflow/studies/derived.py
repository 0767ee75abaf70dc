"""Projects that go on with another run's models: what second rounds (iterate.py) and the regime map share."""

import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import workspace
from w2sg.config.data import ROLES
from w2sg.config.models import FOLDER
from w2sg.config.params import validated

# Numbers of tasks that a run gives for all environments, and the split that they are taken from.
SIZES = (
    ("experts", "tasks", "train"),
    ("explore", "tasks", "train"),
    ("evaluate", "seen", "seen"),
    ("evaluate", "unseen", "unseen"),
)


def alone(
    values: Mapping[str, Any], *, run: Path, folder: Path, environment: str, seed: int, models: Mapping[str, Path]
) -> dict[str, Any]:
    """A run's parameters, left with one environment and one seed, whose bases are models that are there.

    Args:
        run: folder from which paths in the parameters are meant.
        folder: the workspace, from which those of the result are.
        models: a folder for each of ROLES, from this folder.
    """
    places = {role: workspace.seen_from(folder, models[role]) for role in ROLES}
    own = dict(values["environments"][environment])
    if (data := own.get("data_dir")) and environment in values["outside"]:
        own["data_dir"] = places[environment] = workspace.seen_from(folder, run / Path(data).expanduser())
    embed = dict(values["embed"])
    if embed["model"].startswith(FOLDER):
        embed["model"] = places["embed"] = workspace.seen_from(folder, run / Path(embed["model"]).expanduser())
    made: dict[str, Any] = {
        **values,
        "embed": embed,
        "seeds": [seed],
        "outside": places,
        "environments": {environment: own},
        "models": {**values["models"], **{role: {"base": places[role], "revision": None} for role in ROLES}},
    }
    for section, key, split in SIZES:  # of all environments the largest may have more tasks than this one
        most = (own.get("tasks") or {}).get(split)
        if isinstance(most, int):
            made[section] = {**made[section], key: min(made[section][key], most)}
    return made


def only(values: Mapping[str, Any], *, preference: Mapping[str, Any], imitation: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with these methods alone; eq. 10, which wants one, is of the first preference method."""
    first = next(iter(preference))
    theorem = {**values["theorem"], "method": first, "superior": first}
    return {**values, "preference": preference, "imitation": imitation, "inference": {}, "theorem": theorem}


def tree_dpo(values: Mapping[str, Any]) -> dict[str, Any]:
    """TreeDPO from SFT strong on with what the run's own says of pairs and training, as an entry of the roster."""
    own = values["preference"].get("w2s_dpo") or {}
    plain = {"init": "sft_strong", "data": "tree", "reference": "sft_weak", "pairs": None, "dpo": None}
    return plain | {key: own[key] for key in ("pairs", "dpo") if key in own}


def check(values: dict[str, Any], *, run: Path, workspace: Path) -> None:
    """Refuse what the pipeline would.

    Raises:
        UserError: parameters are wrong.
    """
    with contextlib.chdir(run):
        validated(values, source=workspace / "params.yaml")


def play(
    folder: Path, values: Mapping[str, Any], *, targets: Sequence[str], cores: str, lock: int | None = None
) -> int:
    """Make or refresh a workspace and play what is asked for; Snakemake's exit code.

    Args:
        lock: of `workspace.claimed`, where the caller holds the workspace for longer.

    Raises:
        UserError: another call plays there, or see `workspace.make`.
    """
    with workspace.claimed(folder) if lock is None else contextlib.nullcontext(lock) as held:
        workspace.make(folder, yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True))
        workspace.share_cache(folder)
        return subprocess.run(["snakemake", "--cores", cores, *targets], cwd=folder, pass_fds=[held]).returncode
