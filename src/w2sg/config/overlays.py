"""Overlays: parameter files that say only what differs from another one.

    base: ../params.yaml             # beside this file: a complete parameter file, or an overlay again
    keep: [environments.alfworld]    # optional: keys of the base; what else their section has or will have goes
    drop: [preference.eto]           # optional: then, keys that go, with all below them
    set: {seeds: [0, 1, 2]}          # optional: then, mappings merge key by key, anything else replaces

What stays keeps its place. To replace a mapping as a whole, drop it and set it again.
"""

import copy
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import LONGEST_PATH, UserError, named, printable

KEYS = ("base", "keep", "drop", "set")


@dataclass(frozen=True, slots=True)
class Merged:
    """A complete configuration, not yet validated, and where it comes from.

    Attributes:
        files: that it was made of, each on the next; the last is complete by itself.
        changes: dotted keys in which it differs from the last file.
    """

    values: dict[str, Any]
    files: tuple[Path, ...]
    changes: tuple[str, ...]

    @property
    def made_of(self) -> str:
        """The files in words."""
        return " on ".join(file.as_posix() for file in self.files)

    def text(self) -> str:
        """The complete parameter file; a file that was one already keeps its own text."""
        if len(self.files) == 1:
            return self.files[0].read_text(encoding="utf-8")
        body = yaml.safe_dump(self.values, sort_keys=False, default_flow_style=None, width=200, allow_unicode=True)
        return f"# Made of {self.made_of}: change it there.\n{body}"

    def summary(self) -> str:
        """What was merged and what it changed, on one line."""
        if len(self.files) == 1:
            return f"{self.made_of}, a complete file"
        sections = Counter(key.partition(".")[0] for key in self.changes)
        listed = ", ".join(f"{section} {count}" for section, count in sections.items()) or "nothing"
        return f"{self.made_of}; keys that differ from {self.files[-1].as_posix()}: {listed}"


def merged(path: Path) -> Merged:
    """The configuration that an overlay stands for; a complete file stands for itself.

    Raises:
        UserError: a file is missing, is no overlay though it has keys of one, leads back to itself, or keeps or drops a
            key that its base does not have.
    """
    files, overlays = [path], []
    values = read_yaml(path)
    while any(key in values for key in KEYS):
        overlays.append(values)
        files.append(_base(files[-1], values))
        if files[-1].resolve() in [file.resolve() for file in files[:-1]]:
            raise UserError(
                f"{files[-2]}: base {named(values['base'])} leads back to {files[-1]}; end with a complete file"
            )
        values = read_yaml(files[-1])
    complete = copy.deepcopy(values)
    for file, overlay in reversed(list(zip(files[:-1], overlays, strict=True))):
        _keep(values, overlay.get("keep", []), file=file)
        for key in overlay.get("drop", []):
            section, name = _place(values, key, where=f"{file}: drop")
            del section[name]
        _merge(values, overlay.get("set", {}))
    return Merged(values, tuple(files), tuple(_differing(complete, values)))


def _base(file: Path, overlay: Mapping[str, Any]) -> Path:
    """The file that an overlay lies on; its own form is checked on the way."""
    base, changes = overlay.get("base"), overlay.get("set", {})
    if not isinstance(base, str):
        raise UserError(f"{file}: base: name the parameter file that this overlay lies on, such as ../params.yaml")
    if unknown := [str(key) for key in overlay if key not in KEYS]:
        raise UserError(
            f"{file}: {named(unknown[0])}: an overlay has the keys {', '.join(KEYS)} alone; put it below set"
        )
    if not isinstance(changes, dict):
        raise UserError(f"{file}: set: expected sections such as `explore:`, found {type(changes).__name__}")
    for action in ("keep", "drop"):
        keys = overlay.get(action, [])
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise UserError(f"{file}: {action}: expected a list of dotted keys such as [environments.webshop]")
    found = Path(os.path.normpath(file.parent / base))
    if "\0" in base or not found.is_file():
        raise UserError(
            f"{file}: base: no such file {printable(str(found))[:LONGEST_PATH]} (it is looked for beside this one)"
        )
    return found


def _keep(values: dict[str, Any], keys: Sequence[str], *, file: Path) -> None:
    """Of each section that one of the keys lies in, what is not named goes."""
    places = [_place(values, key, where=f"{file}: keep") for key in keys]
    for section, _ in places:
        kept = {name for other, name in places if other is section}
        for name in [name for name in section if name not in kept]:
            del section[name]


def _place(values: dict[str, Any], key: str, *, where: str) -> tuple[dict[str, Any], str]:
    """The section that a dotted key lies in, and its name there; `where` opens the complaint that it is not there."""
    *sections, last = key.split(".")
    here: Any = values
    for name in sections:
        here = here.get(name) if isinstance(here, dict) else None
    if not isinstance(here, dict) or last not in here:
        raise UserError(f"{where}: its base has no {named(key)}")
    return here, last


def _merge(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _merge(values[key], value)
        else:
            values[key] = copy.deepcopy(value)


def _differing(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted keys of what differs; of what only one of the two has, the key of the whole."""
    for key in dict.fromkeys((*one, *other)):
        inside = one.get(key), other.get(key)
        if isinstance(inside[0], dict) and isinstance(inside[1], dict):
            yield from _differing(inside[0], inside[1], f"{prefix}{key}.")
        elif key not in one or key not in other or inside[0] != inside[1]:
            yield f"{prefix}{key}"
