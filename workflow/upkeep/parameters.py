"""Keep what describes the parameters equal to the classes of src/w2sg/config: `parameters.py [--write]`.

params.schema.json and params/overlay.schema.json are for editors, which complete keys and show what they mean;
docs/parameters.md is for people. Without --write nothing is changed; the exit code is 1 where a file differs.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pages
from w2sg.config.overlays import KEYS
from w2sg.config.params import Params, validated
from w2sg.config.yaml_files import read_yaml

PARAMS = Path("params.yaml")
SCHEMA, OVERLAY, PAGE = Path("params.schema.json"), Path("params/overlay.schema.json"), Path("docs/parameters.md")
HEAD = """# The parameters

Made from `src/w2sg/config` and params.yaml by `python workflow/upkeep/parameters.py --write`; a test compares them.
All keys must be there, but for environments, which may be left out.
Editors that read `params.schema.json` complete the keys and show these texts.
What a change makes stale: [invalidation.md](invalidation.md).
What the readings of the paper set: [presets.md](presets.md).
"""
Schema: TypeAlias = dict[str, Any]


def schema() -> Schema:
    """JSON schema of params.yaml."""
    whole = _plain(Params.model_json_schema())
    for name, node in (inside := whole["$defs"]["Environments"]["properties"]).items():
        inside[name] = {"$ref": f"#/$defs/{_target(node)}"}  # null is for one that is left out, and refused in the file
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_short_names(whole)}


def overlay_schema() -> Schema:
    """JSON schema of an overlay, in which no key of `set` need be there."""
    whole = _partial(schema())
    definitions, dialect = whole.pop("$defs"), whole.pop("$schema")
    keys = {"type": "array", "items": {"type": "string"}}
    descriptions = {
        "base": {"type": "string", "description": "The parameter file, beside this one, that this lies on."},
        "keep": keys | {"description": "Dotted keys of the base whose neighbours go: what else their section holds."},
        "drop": keys | {"description": "Dotted keys that go then, with all below them, before anything is set."},
        "set": whole | {"description": "What differs: mappings merge key by key, anything else replaces."},
    }
    return {
        "$schema": dialect,
        "$defs": definitions,
        "description": "A parameter file that says only what differs from another one.",
        "type": "object",
        "properties": {key: descriptions[key] for key in KEYS},
        "required": ["base"],
        "additionalProperties": False,
    }


def _plain(node: Any) -> Any:
    """Without titles, which repeat the keys; and no name in a roster but those of its pattern."""
    if isinstance(node, dict):
        kept = {key: _plain(inner) for key, inner in node.items() if key != "title" or not isinstance(inner, str)}
        return kept | ({"additionalProperties": False} if "patternProperties" in node else {})
    return [_plain(inner) for inner in node] if isinstance(node, list) else node


def _short_names(whole: Schema) -> Schema:
    """Definitions by the name of their class; settings of environments by the environment's."""
    names = {}
    for long in whole["$defs"]:
        parts = long.split("__")  # w2sg__environments__alfworld__settings__Settings
        names[long] = parts[-3].capitalize() if len(parts) > 1 else long
    text = json.dumps(whole)
    for long, short in names.items():
        text = text.replace(f'"#/$defs/{long}"', f'"#/$defs/{short}"').replace(f'"{long}": {{', f'"{short}": {{')
    renamed: Schema = json.loads(text)
    return renamed


def _partial(node: Any) -> Any:
    """The same without required keys; then a part of a section may fit two kinds of it."""
    if isinstance(node, dict):
        kept = {key: _partial(inner) for key, inner in node.items() if key != "required"}
        return {"anyOf" if key == "oneOf" else key: inner for key, inner in kept.items()}
    return [_partial(inner) for inner in node] if isinstance(node, list) else node


def page() -> str:
    """The text of docs/parameters.md.

    Raises:
        UserError: params.yaml is wrong.
    """
    whole, values = schema(), read_yaml(PARAMS)
    validated(values, source=PARAMS)
    definitions = whole["$defs"]
    uses = Counter(_references(whole))
    nested = [name for name, node in definitions.items() if list(_references(node))]
    shared = [name for name in definitions if uses[name] > 1 and name not in nested]
    lines = HEAD.splitlines()
    for name, node in whole["properties"].items():
        text, prefix, inner, found = node.get("description"), name, _target(node), values[name]
        if inner is None and (inner := _target(_entries(node))):
            lines += ["", f"## {name}", "", text, f"Here: {', '.join(f'`{entry}`' for entry in found)}."]
            prefix, found = f"{name}.NAME", {}
        elif inner:
            lines += ["", f"## {name}", "", *definitions[inner]["description"].splitlines()]
        else:
            lines += ["", f"## {name}", *_table(_rows({name: node}, values, definitions, shared))]
            continue
        lines += _table(_below(prefix, inner, found, definitions, shared))
    for name in shared:
        lines += ["", f"## {name}", "", *definitions[name]["description"].splitlines()]
        lines += _table(_rows(definitions[name]["properties"], {}, definitions, shared))
    return "\n".join(lines) + "\n"


def _rows(properties: Schema, values: Mapping[str, Any], definitions: Schema, shared: list[str]) -> Iterator[list[str]]:
    """Key, what is allowed, value in params.yaml, description; sections that are used once are gone into."""
    for key, node in properties.items():
        target = _target(node)
        whole = target is not None and target not in shared
        if not whole or "anyOf" in node:
            value = values.get(key)
            brief = "section" if whole and value else _value(value)
            yield [f"`{key}`", _allowed(node, shared), brief if key in values else "", node.get("description", "")]
        if target is not None and whole:
            yield from _below(key, target, values.get(key) or {}, definitions, shared)
        elif node.get("type") == "array" and (entry := _target(_entries(node))):
            yield from _below(f"{key}[]", entry, {}, definitions, shared)


def _below(
    prefix: str, section: str, values: Mapping[str, Any], definitions: Schema, shared: list[str]
) -> Iterator[list[str]]:
    inside = definitions[section]["properties"]
    yield from _rows(
        {f"{prefix}.{name}": node for name, node in inside.items()},
        {f"{prefix}.{name}": values[name] for name in inside if name in values},
        definitions,
        shared,
    )


def _table(rows: Iterator[list[str]]) -> list[str]:
    found = list(rows)
    valued = any(row[2] for row in found)
    head = ["key", "allowed", "params.yaml", "meaning"]
    keep = [0, 1, 2, 3] if valued else [0, 1, 3]
    picked = [[row[column].replace("|", "\\|") for column in keep] for row in (head, *found)]
    return [
        "",
        f"| {' | '.join(picked[0])} |",
        "|---" * len(keep) + "|",
        *(f"| {' | '.join(row)} |" for row in picked[1:]),
    ]


def _target(node: Mapping[str, Any]) -> str | None:
    """The section that a key holds, null or not; none where it holds something else, or one of several."""
    choices = [choice for choice in node.get("anyOf", [node]) if choice.get("type") != "null"]
    reference = choices[0].get("$ref") if len(choices) == 1 else None
    return reference.rpartition("/")[2] if reference else None


def _entries(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a list or a roster holds; empty for anything else."""
    if "patternProperties" in node:
        found: Mapping[str, Any] = next(iter(node["patternProperties"].values()))
        return found
    items: Mapping[str, Any] = node.get("items", {})
    return items


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].rpartition("/")[2]
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def _allowed(node: Mapping[str, Any], shared: list[str]) -> str:
    """Kind and bounds in words."""
    for choice in ("anyOf", "oneOf"):
        if choice in node:
            return " or ".join(_allowed(inner, shared) for inner in node[choice])
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if name in shared else "section"
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "patternProperties" in node:
        return "entries by name"
    if node["type"] == "array":
        least = "one or more" if node.get("minItems") else "list"
        return f"{least}: {_allowed(node['items'], shared)}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {node[bound]:g}" for bound, sign in signs.items() if bound in node]
    kinds = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true, false", "null": "null"}
    return " ".join([kinds[node["type"]], ", ".join(bounds)]).strip()


def _value(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{key} {_value(inner)}" for key, inner in value.items())
        case [dict(), *_]:
            return f"{len(value)} entries"
        case list():
            return ", ".join(map(_value, value))
        case float():
            return f"{value:g}"
        case str():
            return value
    return json.dumps(value)


def made() -> dict[Path, str]:
    """Every file with its text.

    Raises:
        UserError: see `page`.
    """
    return {
        SCHEMA: json.dumps(schema(), indent=1, ensure_ascii=False) + "\n",
        OVERLAY: json.dumps(overlay_schema(), indent=1, ensure_ascii=False) + "\n",
        PAGE: page(),
    }


def main() -> int:
    """Compare, or write."""
    return pages.main("parameters", made, source="src/w2sg/config and params.yaml", about=__doc__)


if __name__ == "__main__":
    sys.exit(main())
