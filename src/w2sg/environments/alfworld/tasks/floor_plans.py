"""The AI2-THOR floor plans that ship with ALFWorld: 30 kitchens, living rooms, bedrooms and bathrooms each."""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import alfworld.gen.constants as constants

from w2sg.contracts.errors import UserError

ROOMS = {"kitchen": 0, "living_room": 200, "bedroom": 300, "bathroom": 400}
"""Rooms and the number before their first floor plan."""

FITS: dict[str, frozenset[str]] = {p: frozenset(objects) for p, objects in constants.VAL_RECEPTACLE_OBJECTS.items()}
"""Kind of receptacle and the kinds of object that it can contain."""

FIXED = frozenset(constants.RECEPTACLES) - frozenset(constants.MOVABLE_RECEPTACLES)
"""Kinds of receptacle that cannot be carried."""


@dataclass(frozen=True, slots=True)
class Receptacle:
    """One receptacle of a floor plan; `location` is where the agent stands before it, no two share one."""

    identifier: str
    kind: str
    location: str


@dataclass(frozen=True, slots=True)
class FloorPlan:
    """One room: its receptacles and the kinds of object found in it."""

    number: int
    receptacles: tuple[Receptacle, ...]
    objects: tuple[str, ...]


def numbers(room: str, *, unseen: bool) -> list[int]:
    """Floor plans of a kind of room: those of ALFRED's unseen split (the first six) or those of its training split."""
    first = ROOMS[room]
    return [first + n for n in (range(1, 7) if unseen else range(7, 31))]


@lru_cache(maxsize=128)
def floor_plan(number: int) -> FloorPlan:
    """Read a floor plan.

    Raises:
        UserError: the installed alfworld package has no such floor plan.
    """
    spec = find_spec("alfworld")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "gen" / "layouts"
    try:
        objects = json.loads((folder / f"FloorPlan{number}-objects.json").read_text())
        points = json.loads((folder / f"FloorPlan{number}-openable.json").read_text())
    except FileNotFoundError:
        raise UserError(f"alfworld package: no floor plan {number}; install alfworld 0.4.2") from None
    receptacles: list[Receptacle] = []
    locations: set[str] = set()

    def place(identifier: str, kind: str, x: int, z: int, rotation: int, horizon: int) -> None:
        # Receptacles that share a standpoint cannot be told apart by going there: look at each a degree lower.
        while (location := f"loc|{x}|{z}|{rotation}|{horizon}") in locations:
            horizon += 1
        locations.add(location)
        receptacles.append(Receptacle(identifier, kind, location))

    for identifier, (x, z, rotation, horizon) in sorted(points.items()):
        name, kind = _basin(identifier)
        if kind in FIXED:
            place(name, kind, round(x * 4), round(z * 4), round(rotation / 90), int(horizon))
    present = {receptacle.kind for receptacle in receptacles}
    # Some receptacles have no standpoint in the files (stove burners, tables): one each, four burners, beyond the room.
    for number_, kind in enumerate(sorted(set(objects) & FIXED - present)):
        for copy in range(4 if kind == "StoveBurner" else 1):
            name = f"{kind.removesuffix('Basin')}|+90.{number_:02d}|+00.90|+{copy:02d}.00"
            place(f"{name}|{kind}" if kind.endswith("Basin") else name, kind, 60 + number_, copy, 0, 30)
    return FloorPlan(number, tuple(receptacles), tuple(sorted(set(objects) - FIXED)))


def _basin(identifier: str) -> tuple[str, str]:
    """Sinks and bathtubs hold things in their basin: ALFWorld names "Sink|…|SinkBasin" "sinkbasin 1"."""
    kind = identifier.split("|")[0]
    if kind not in ("Sink", "Bathtub"):
        return identifier, kind
    basin = f"{kind}Basin"
    return identifier if identifier.endswith(f"|{basin}") else f"{identifier}|{basin}", basin
