"""Rules between the sections of params.yaml.

On unvalidated values too, so that what breaks them is reported along with everything else.
"""

import re
from collections.abc import Iterator
from os.path import expanduser
from typing import Any, get_args

from w2sg.config.data import ROLES
from w2sg.config.models import FOLDER
from w2sg.config.rosters import STRONG_PAIRS, STRONG_PATHS, ModelName
from w2sg.config.training import ALL_LINEAR, PROJECTIONS
from w2sg.contracts.errors import LONGEST_PATH, named, printable, shown

SHELL = '"$`\\'  # read by a shell between double quotes, where dvc.yaml has a path of `outside`


def disagreements(values: dict[str, Any]) -> list[str]:
    """One line for every rule that is broken, each beginning with its key."""
    problems = []
    limits = [("tree.breadth", "explore.samples")]
    # Where an environment has fewer tasks, all of them are taken; more than any has is a mistake.
    for key, split in (
        ("experts.tasks", "train"),
        ("explore.tasks", "train"),
        ("evaluate.seen", "seen"),
        ("evaluate.unseen", "unseen"),
    ):
        sizes = {f"environments.{name}.tasks.{split}" for name in _mapping(values, "environments")}
        known = {size: most for size in sorted(sizes) if type(most := _at(values, size)) is int}
        if known:
            limits.append((key, max(known, key=lambda size: known[size])))
    for key, limit in limits:
        wanted, most = _at(values, key), _at(values, limit)
        if type(wanted) is type(most) is int and wanted > most:
            problems.append(f"{key}: {wanted} is too many; allowed is at most {limit} ({most})")
    problems += list(odd_texts(values)) + _outside_problems(values) + _play_problems(values)
    problems += _schedule_problems(values) + _dpo_problems(values)
    problems += _roster_problems(values) + _theorem_problems(values)
    return problems + _context_problems(values) + _target_problems(values)


def odd_texts(values: Any, key: str = "") -> Iterator[str]:
    """Texts that no file, folder or table can bear as a name, wherever they are."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield from odd_texts(name, f"{key}.{name}".lstrip("."))
            yield from odd_texts(value, f"{key}.{name}".lstrip("."))
    elif isinstance(values, list | tuple):
        for number, value in enumerate(values):
            yield from odd_texts(value, f"{key}.{number}")
    elif isinstance(values, str) and not (values.strip() and values.isprintable()):
        wrong = "has characters that do not show" if values.strip() else "is blank"
        yield f"{named(key)}: {shown(values)} {wrong}; write a text on one line"


def _outside_problems(values: dict[str, Any]) -> list[str]:
    """Folders that are read and not declared as inputs, or the other way round.

    DVC takes ~ for a name, so an input is written out.
    """
    keys = {name: f"environments.{name}.data_dir" for name in _mapping(values, "environments")}
    texts = {name: (key, path) for name, key in keys.items() if isinstance(path := _at(values, key), str)}
    read = {name: (key, path) for name, (key, path) in texts.items() if path.strip()}
    for role in ROLES:
        base = _at(values, key := f"models.{role}.base")
        if isinstance(base, str) and base.startswith(FOLDER) and _at(values, f"models.{role}.revision") is None:
            read[role] = (key, base)
    embedder = _at(values, key := "embed.model")
    if isinstance(embedder, str) and embedder.startswith(FOLDER):
        read["embed"] = (key, embedder)
    declared = _mapping(values, "outside")
    return (
        [
            f"{key}: {named(path)} is no input yet; "
            f"write `{name}: {printable(expanduser(path))[:LONGEST_PATH]}` under outside"
            for name, (key, path) in read.items()
            if declared.get(name) != expanduser(path)
        ]
        + [
            f"outside.{named(str(name))}: nothing reads it; "
            "allowed are environments with a data_dir, and models (weak, strong, embed) that are a folder"
            for name in declared
            if name not in read
        ]
        + [
            f"outside.{named(str(name))}: {named(path)} has one of {' '.join(SHELL)}, which the shell would read in "
            "the command of its stage; link to the folder under another name"
            for name, path in declared.items()
            if isinstance(path, str) and set(path) & set(SHELL)
        ]
    )


def _play_problems(values: dict[str, Any]) -> list[str]:
    """Nobody plays on explored tasks, and a model from scratch learns from play."""
    explored = _at(values, "explore.tasks")
    sizes = {name: _at(values, f"environments.{name}.tasks.train") for name in _mapping(values, "environments")}
    known = {name: size for name, size in sizes.items() if type(size) is type(explored) is int}
    too_many = known and explored > max(known.values())  # which has a line of its own
    if not _from_scratch(values) or not known or too_many:
        return []
    return [
        f"explore.tasks: {explored} leaves no training task of {name} to play on ({size}), which models from scratch "
        f"learn from; explore fewer, or raise environments.{name}.tasks.train"
        for name, size in known.items()
        if size <= explored
    ]


def _schedule_problems(values: dict[str, Any]) -> list[str]:
    """Policies of the exploration schedule that are not there, and one that nobody asks for."""
    diversity, schedule, samples = (_at(values, f"explore.{key}") for key in ("diversity", "schedule", "samples"))
    if not isinstance(schedule, list | tuple) or type(samples) is not int:
        return []
    asked = [entry.get("model") for entry in schedule[: max(samples, 0)] if isinstance(entry, dict)]
    if "diverse" in asked and diversity is None:
        return ["explore.schedule: an entry has model diverse; say in explore.diversity how that model is trained"]
    if "diverse" not in asked and diversity is not None:
        return [
            "explore.diversity: no sample is played by it; give an entry of explore.schedule model: diverse, "
            "or set null"
        ]
    if samples > 1 and asked and all(_is_greedy(entry) for entry in schedule[:samples]) and len(set(asked)) == 1:
        return [
            f"explore.schedule: with temperature 0 all {samples} samples of a task are one trajectory; "
            "give entries a temperature above 0"
        ]
    return []


def _dpo_problems(values: dict[str, Any]) -> list[str]:
    """Training by preferences from which there is nothing to learn."""
    methods = _mapping(values, "preference")
    sections = ["dpo", *(f"preference.{method}.dpo" for method in methods)]
    problems = [
        f"{named(f'{key}.beta')}: 0 leaves only the chosen sides to learn from; give {named(key)}.likelihood a weight"
        for key in sections
        if _at(values, f"{key}.beta") == _at(values, f"{key}.likelihood") == 0
    ]
    for method, entry in methods.items() if len(_from_scratch(values)) == 1 else ():
        key = f"preference.{method}.dpo" if _at(entry, "dpo") else "dpo"
        roles = {str(_at(entry, end)).rpartition("_")[2] for end in ("init", "reference")}
        if _at(values, f"{key}.eq6") == "literal" and roles == set(ROLES):
            problems.append(
                f"{named(f'{key}.eq6')}: literal needs one vocabulary, and of a model from scratch and a published one "
                f"each has its own (preference.{named(str(method))}); use dpo"
            )
    return problems


def _is_greedy(entry: Any) -> bool:
    return isinstance(entry, dict) and type(entry.get("temperature")) in (int, float) and not entry["temperature"]


def _theorem_problems(values: dict[str, Any]) -> list[str]:
    """Names that are not in the roster."""
    methods = _mapping(values, "preference")
    named = {key: _at(values, f"theorem.{key}") for key in ("method", "superior")}
    # A roster of one has no other to name.
    if (method := named["method"]) is not None and method == named["superior"] and len(methods) > 1:
        return [f"theorem.superior: {method} is theorem.method already; name the model that stands in for pi*"]
    return [
        f"theorem.{key}: no method {shown(name)} in preference; allowed are {', '.join(map(str, methods))}"
        for key, name in named.items()
        if methods and isinstance(name, str) and name not in methods
    ]


def _roster_problems(values: dict[str, Any]) -> list[str]:
    """Names that are taken, and sources that nobody explores."""
    problems = []
    roles = _at(values, "explore.roles")
    explored = list(roles) if isinstance(roles, list | tuple) and roles else ["weak", "strong"]
    if "weak" not in explored:
        problems.append("explore.roles: weak is missing; the trees, and what follows, are made from its exploration")
    names = list(get_args(ModelName))
    for roster in ("preference", "imitation", "inference"):
        for method in _mapping(values, roster):
            data = _at(values, f"{roster}.{method}.data")
            if data in STRONG_PAIRS + STRONG_PATHS and "strong" not in explored:
                problems.append(
                    f"{roster}.{named(str(method))}.data: {data} is made from the strong model's exploration; "
                    "add strong to explore.roles"
                )
            samples = _at(values, f"{roster}.{method}.samples")
            if type(samples) is int and samples > 1 and _is_greedy(_at(values, f"{roster}.{method}")):
                problems.append(
                    f"{roster}.{named(str(method))}.temperature: with 0 all {samples} episodes of a task are one; "
                    "give a temperature above 0, or samples: 1"
                )
            if method in names:
                problems.append(f"{roster}.{named(str(method))}: another model has this name; choose one of its own")
            names.append(method)
    return problems


# As PEFT matches: a whole name, or its last parts.
_PLACE = re.compile(
    rf"((((model\.)?layers\.)?\d+\.)?self_attn\.)?({'|'.join(PROJECTIONS[:4])})"
    rf"|((((model\.)?layers\.)?\d+\.)?mlp\.)?({'|'.join(PROJECTIONS[4:])})"
)


def _from_scratch(values: dict[str, Any]) -> list[str]:
    """The models that have sizes."""
    return [role for role in ROLES if _at(values, f"models.{role}.hidden") is not None]


def _context_problems(values: dict[str, Any]) -> list[str]:
    """What would not fit the context of a model from scratch."""
    context = _at(values, "models.context")
    if type(context) is not int:
        return []
    problems = []
    new = _at(values, "explore.max_new_tokens")
    if _from_scratch(values) and type(new) is int and new >= context:
        problems.append(f"explore.max_new_tokens: {new} leaves no room for a question in models.context ({context})")
    for role in _from_scratch(values):
        longest = _at(values, key := f"pretrain.{role}.copying.longest")
        if type(longest) is int and 2 * longest > context:
            problems.append(
                f"{key}: {longest} tokens, said twice, are more than models.context ({context}); "
                f"allowed is at most {context // 2}"
            )
    return problems


def _target_problems(values: dict[str, Any]) -> list[str]:
    """Adapters on projections that models from scratch do not have; of others the model itself is asked."""
    if len(_from_scratch(values)) < 2:
        return []
    methods = [f"preference.{name}.dpo" for name in _mapping(values, "preference")]
    methods += [f"imitation.{name}.imitate" for name in _mapping(values, "imitation")]
    problems = []
    for key in ("sft", "dpo", "imitate", *methods):
        targets = _at(values, f"{key}.lora.targets")
        for target in targets if isinstance(targets, list | tuple) else ():
            known = not isinstance(target, str) or target == ALL_LINEAR or _PLACE.fullmatch(target)
            if not known and target.strip():
                problems.append(
                    f"{key}.lora.targets: a model from scratch has no {named(target)}; "
                    f"allowed are {', '.join(PROJECTIONS)}, or {ALL_LINEAR} alone"
                )
    return problems


def _at(values: Any, key: str) -> Any:
    """The value of a dotted key; None where there is none."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _mapping(values: dict[str, Any], key: str) -> dict[str, Any]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}
