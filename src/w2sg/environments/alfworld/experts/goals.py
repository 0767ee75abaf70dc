"""What a goal's words ask for."""

import re
from dataclasses import dataclass

_TREATMENTS = {"clean": "pick_clean_then_place_in_recep", "hot": "pick_heat_then_place_in_recep",
               "heat": "pick_heat_then_place_in_recep", "cool": "pick_cool_then_place_in_recep"}  # fmt: skip

# ALFWorld's goal templates (alfworld.gen.goal_library), most specific first.
_FORMS = (
    r"(?:look at|examine the) (?P<target>\w+) (?:under|with) the (?P<place>\w+)",
    r"(?:put|find) (?P<two>two) (?P<target>\w+)(?: and put them)? in (?P<place>\w+)",
    r"put a (?P<state>clean|hot|cool) (?P<target>\w+) in (?P<place>\w+)",
    r"(?P<state>clean|heat|cool) some (?P<target>\w+) and put it in (?P<place>\w+)",
    r"put (?:a|some) (?P<target>\w+) (?:in|on) (?P<place>\w+)",
)


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal of one of the six types.

    Attributes:
        target: kind of object to find, e.g. "mug".
        place: kind of receptacle it belongs to; the lamp's kind where the object is to be looked at in light.
    """

    task_type: str
    target: str
    place: str

    @property
    def treatment(self) -> str:
        """ "clean", "heat" or "cool" where the object needs it first, else ""."""
        return {
            "pick_clean_then_place_in_recep": "clean",
            "pick_heat_then_place_in_recep": "heat",
            "pick_cool_then_place_in_recep": "cool",
        }.get(self.task_type, "")


def parse_goal(instruction: str) -> Goal | None:
    """The goal that an instruction made from ALFWorld's templates states; None for other words."""
    for form in _FORMS:
        found = re.fullmatch(form, instruction.strip().rstrip("."))
        if found is None:
            continue
        groups = found.groupdict()
        if "two" in groups:
            task_type = "pick_two_obj_and_place"
        elif "state" in groups:
            task_type = _TREATMENTS[groups["state"]]
        elif form == _FORMS[0]:
            task_type = "look_at_obj_in_light"
        else:
            task_type = "pick_and_place_simple"
        return Goal(task_type, groups["target"], groups["place"])
    return None
