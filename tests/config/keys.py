"""Dotted keys of params.yaml."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def put(values, key, value):
    """Set a dotted key."""
    *parents, last = (int(part) if part.isdigit() else part for part in key.split("."))
    for part in parents:
        values = values[part]
    values[last] = value


def sections(values, key=""):
    """Dotted keys of all mappings, in lists too."""
    if isinstance(values, dict):
        yield key
    for name, inner in values.items() if isinstance(values, dict) else enumerate(values):
        if isinstance(inner, dict | list):
            yield from sections(inner, f"{key}.{name}" if key else str(name))


SECTIONS = list(sections(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))))
