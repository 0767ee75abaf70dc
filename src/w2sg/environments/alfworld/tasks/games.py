"""New ALFWorld games on the real floor plans, in the format of the official files.

Real are the rooms, the receptacles, what fits where, the domain, the grammar and the goals; drawn are the objects'
places. A game is won as an official one is and plays in the original engine.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import alfworld.gen.constants as constants
import alfworld.gen.goal_library as goal_library
from alfworld.info import ALFRED_PDDL_PATH, ALFRED_TWL2_PATH

from w2sg.contracts.errors import UserError
from w2sg.contracts.tasks import Task
from w2sg.environments.alfworld.tasks.floor_plans import FITS, ROOMS, FloorPlan, Receptacle, floor_plan, numbers
from w2sg.environments.alfworld.world.environment import make_task
from w2sg.environments.alfworld.world.rules import GOAL
from w2sg.environments.alfworld.world.translation import save, translate

TASK_TYPES = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)

# What the object must allow, and where it is done.
_TREATMENTS = {
    "pick_clean_then_place_in_recep": ("Cleanable", "SinkBasin"),
    "pick_heat_then_place_in_recep": ("Heatable", "Microwave"),
    "pick_cool_then_place_in_recep": ("Coolable", "Fridge"),
}
_LAMPS = ("DeskLamp", "FloorLamp")
_LAMP_PLACES = ("Desk", "SideTable", "Dresser", "Shelf", "CoffeeTable", "DiningTable")
# Constants of the domain: they must exist as types even in rooms without them.
_DOMAIN_OBJECTS, _DOMAIN_PLACES = ("Knife", "ButterKnife"), ("SinkBasin", "Microwave", "Fridge")
_START = "loc|99|99|0|30"
_ATTEMPTS = 2000


@dataclass(frozen=True, slots=True)
class GameSettings:
    """What games to draw.

    Attributes:
        task_types: cycled through by the index of the game.
        rooms: keys of floor_plans.ROOMS; rooms in which a type has no games are left out for it.
        max_receptacles: keep at most so many of a room's, the needed ones among them.
        distractors: number of objects besides those of the goal.
        goal_texts: "one" wording per type, or "all" of ALFWorld's.
    """

    task_types: tuple[str, ...] = TASK_TYPES
    rooms: tuple[str, ...] = tuple(ROOMS)
    max_receptacles: int = 40
    distractors: int = 14
    goal_texts: str = "all"


@dataclass(frozen=True, slots=True)
class _Goal:
    task_type: str
    target: str
    place: str
    lamp: str

    @property
    def needs(self) -> str:
        return _TREATMENTS[self.task_type][1] if self.task_type in _TREATMENTS else ""


def generated_tasks(
    settings: GameSettings, directory: Path, *, counts: Mapping[str, int], max_steps: int, seed: int
) -> list[Task]:
    """Draw `counts[split]` games of each split, translate them into `directory`, and return their tasks.

    Raises:
        UserError: the settings leave no game of a type.
    """
    tasks = []
    for split, count in counts.items():
        for index in range(count):
            name = f"{split}-{index:04d}"
            game = translate(*draw_game(settings, split=split, index=index, seed=seed))
            save(directory, name, game)
            tasks.append(make_task(name, game, split=split, max_steps=max_steps))
    return tasks


def draw_game(settings: GameSettings, *, split: str, index: int, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draw a game: the contents of `game.tw-pddl` and of `traj_data.json`.

    The same arguments give the same game. Games of "train" and "seen" share floor plans but are never the same;
    those of "unseen" lie on floor plans of their own.

    Raises:
        UserError: the settings leave no game of a type.
    """
    task_type = settings.task_types[index % len(settings.task_types)]
    rng = random.Random(f"{seed}/{split}/{index}/{task_type}")
    rooms = [r for r in settings.rooms if r.title().replace("_", "") in constants.GOALS_VALID[task_type]]
    plans = [n for room in rooms for n in numbers(room, unseen=split == "unseen")]
    for _ in range(_ATTEMPTS if plans else 0):
        plan = floor_plan(rng.choice(plans))
        goal = _draw_goal(task_type, plan, rng)
        if goal is None:
            continue
        problem = _draw_problem(goal, plan, settings, rng)
        if problem is None or (split != "unseen" and _for_seen(problem) != (split == "seen")):
            continue
        templates: Sequence[str] = goal_library.gdict[task_type]["templates"]
        template = templates[0] if settings.goal_texts == "one" else rng.choice(templates)
        words = template.format(obj=goal.target.lower(), recep=goal.place.lower(), toggle=goal.lamp.lower())
        domain, grammar = shipped_rules()
        game = {
            "pddl_domain": domain,
            "grammar": grammar.replace(GOAL, words),
            "pddl_problem": problem,
            "solvable": True,
        }
        parameters = {"object_target": goal.target, "parent_target": goal.place, "toggle_target": goal.lamp}
        parameters |= {"mrecep_target": "", "object_sliced": ""}
        return game, {"task_type": task_type, "pddl_params": parameters, "scene": {"scene_num": plan.number}}
    raise UserError(
        f"environments.alfworld: no game of type {task_type} with rooms {list(settings.rooms)} and"
        f" max_receptacles {settings.max_receptacles}; add a room, raise max_receptacles, or drop the type"
    )


@lru_cache(maxsize=1)
def shipped_rules() -> tuple[str, str]:
    """ALFWorld's domain and grammar, as installed."""
    return Path(ALFRED_PDDL_PATH).read_text(encoding="utf-8"), Path(ALFRED_TWL2_PATH).read_text(encoding="utf-8")


def _for_seen(problem: str) -> bool:
    """One possible game in five belongs to the seen split, whatever is drawn first: so no game is in both."""
    return hashlib.sha256(problem.encode()).digest()[0] % 5 == 0


def _draw_goal(task_type: str, plan: FloorPlan, rng: random.Random) -> _Goal | None:
    kinds = {r.kind for r in plan.receptacles}
    action, needs = _TREATMENTS.get(task_type, ("", ""))
    targets = [o for o in plan.objects if any(o in FITS.get(k, ()) for k in kinds) and o not in _LAMPS]
    if action:
        targets = [o for o in targets if o in constants.VAL_ACTION_OBJECTS[action] and needs in kinds]
    if not targets:
        return None
    target = rng.choice(targets)
    if task_type == "look_at_obj_in_light":
        lamps = [lamp for lamp in _LAMPS if lamp in plan.objects]
        return _Goal(task_type, target, "", rng.choice(lamps)) if lamps else None
    places = sorted(k for k in kinds if target in FITS.get(k, ()) and k != needs)
    return _Goal(task_type, target, rng.choice(places), "") if places else None


def _draw_problem(goal: _Goal, plan: FloorPlan, settings: GameSettings, rng: random.Random) -> str | None:
    sources = [r for r in plan.receptacles if goal.target in FITS.get(r.kind, ()) and r.kind != goal.place]
    if not sources:
        return None
    placed = [(goal.target, rng.choice(sources)) for _ in range(2 if goal.task_type == "pick_two_obj_and_place" else 1)]
    if goal.lamp:
        placed.append(
            (goal.lamp, rng.choice([r for r in plan.receptacles if r.kind in _LAMP_PLACES] or plan.receptacles))
        )
    kept = [r for _, r in placed]
    for kind in (goal.place, goal.needs):
        if kind and not any(r.kind == kind for r in kept):
            kept.append(rng.choice([r for r in plan.receptacles if r.kind == kind]))
    kept = list(dict.fromkeys(kept))
    if len(kept) > settings.max_receptacles:
        return None
    others = [r for r in plan.receptacles if r not in kept]
    kept += rng.sample(others, min(len(others), settings.max_receptacles - len(kept)))
    kept.sort(key=lambda r: r.identifier)
    fillers = [
        o for o in plan.objects if o not in (goal.target, *_LAMPS) and any(o in FITS.get(r.kind, ()) for r in kept)
    ]
    for _ in range(settings.distractors if fillers else 0):
        filler = rng.choice(fillers)
        placed.append((filler, rng.choice([r for r in kept if filler in FITS.get(r.kind, ())])))
    return _problem(goal, kept, sorted(placed, key=lambda pair: (pair[0], pair[1].identifier)))


def _problem(goal: _Goal, receptacles: list[Receptacle], placed: list[tuple[str, Receptacle]]) -> str:
    """The PDDL problem of objects placed in receptacles, agent in the middle of the room."""
    object_kinds = sorted({kind for kind, _ in placed} | set(_DOMAIN_OBJECTS))
    places = sorted({r.kind for r in receptacles} | set(_DOMAIN_PLACES))
    names = [_escape(f"{kind}|{number:02d}") for number, (kind, _) in enumerate(placed)]
    objects = ["agent1 - agent"]
    objects += [f"{kind}Type - otype" for kind in object_kinds] + [f"{kind}Type - rtype" for kind in places]
    objects += [f"{name} - object" for name in names]
    objects += [f"{_escape(r.identifier)} - receptacle" for r in receptacles]
    objects += [f"{_escape(location)} - location" for location in sorted({r.location for r in receptacles} | {_START})]
    facts = ["(= (total-cost) 0)", f"(atLocation agent1 {_escape(_START)})"]
    for receptacle in receptacles:
        name = _escape(receptacle.identifier)
        facts.append(f"(receptacleType {name} {receptacle.kind}Type)")
        facts.append(f"(receptacleAtLocation {name} {_escape(receptacle.location)})")
        if receptacle.kind in constants.OPENABLE_CLASS_SET:
            facts.append(f"(openable {name})")
    facts += [f"(canContain {p}Type {o}Type)" for p in places for o in object_kinds if o in FITS.get(p, ())]
    for name, (kind, receptacle) in zip(names, placed, strict=True):
        facts.append(f"(objectType {name} {kind}Type)")
        facts.append(f"(inReceptacle {name} {_escape(receptacle.identifier)})")
        facts.append(f"(objectAtLocation {name} {_escape(receptacle.location)})")
        facts.append(f"({'toggleable' if kind in _LAMPS else 'pickupable'} {name})")
        for property_ in ("Cleanable", "Heatable", "Coolable"):
            if kind in constants.VAL_ACTION_OBJECTS[property_]:
                facts.append(f"({property_.lower()} {name})")
    template: str = goal_library.gdict[goal.task_type]["pddl"]
    wanted = template.format(obj=goal.target, recep=goal.place, toggle=goal.lamp, mrecep="").replace("#", "-").strip()
    lines = ["(define (problem game)", "(:domain alfred)", "(:objects", *objects, ")", "(:init", *facts, ")", wanted]
    return "\n".join(lines) + "\n"  # the template of the goal closes the definition


def _escape(name: str) -> str:
    for character, word in (("-", "_minus_"), ("|", "_bar_"), ("+", "_plus_"), (".", "_dot_"), (",", "_comma_")):
        name = name.replace(character, word)
    return name
