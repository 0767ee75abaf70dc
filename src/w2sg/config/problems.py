"""What is wrong in params.yaml, one line a problem: the key, what is allowed, what was found."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from w2sg.config.models import KINDS
from w2sg.contracts.errors import named, shown


def described(error: ValidationError, *, schema: Mapping[str, Any]) -> list[str]:
    """One line for each problem of a field.

    Args:
        schema: JSON schema of the whole, which knows the keys that are allowed beside an unknown one.
    """
    return [_line(problem, schema) for problem in error.errors() if problem["loc"] and not _said_elsewhere(problem)]


def _said_elsewhere(problem: Any) -> bool:
    """A list with a wrong element counts as too short as well; a blank text is told with all odd ones."""
    return bool(problem["input"]) if problem["type"] == "too_short" else problem["type"] == "string_too_short"


def _line(problem: Any, schema: Mapping[str, Any]) -> str:
    key = named(".".join(str(part) for part in problem["loc"] if part not in (*KINDS, "[key]")))
    found = problem.get("input")
    match problem["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key; allowed here: {', '.join(_keys(schema, problem['loc'][:-1]))}"
        case "missing":
            return f"{key}: missing"
        case "too_short":
            return f"{key}: is empty; give at least one"
        case "string_pattern_mismatch":  # of the only pattern there is
            allowed = "small letters, digits and _, a letter first, 64 at most"
            return f"{key}: {shown(found)} is no name; allowed are {allowed}"
        case "value_error":
            return f"{key}: {problem['ctx']['error']}"
        case _:
            return f"{key}: {problem['msg'][0].lower()}{problem['msg'][1:]} (found {shown(found)})"


def _keys(schema: Mapping[str, Any], loc: Sequence[Any]) -> list[str]:
    """Names of the keys of the section at `loc`, in which a choice between sections is a part of its own."""
    definitions = schema["$defs"]
    here = schema
    for part in loc:
        if part in KINDS:
            here = definitions[part]
        elif "properties" in here:
            here = here["properties"][part]
        else:  # a roster or a list, below which all entries are alike
            here = here["items"] if "items" in here else next(iter(here["patternProperties"].values()))
        if "anyOf" in here:  # the section, or null
            here = next(choice for choice in here["anyOf"] if "$ref" in choice)
        if "$ref" in here:
            here = definitions[here["$ref"].rpartition("/")[2]]
    return list(here["properties"])
