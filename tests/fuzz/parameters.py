"""Parameter files and overlays: every key that the classes of the parameters have, and YAML that is none."""

import copy
import json
import random
from pathlib import Path
from typing import Any

import yaml

from w2sg.config import params
from w2sg.config.overlays import merged
from w2sg.config.params import Params
from w2sg.config.yaml_files import read_yaml

from . import hostile
from .outcomes import Case

ROOT = Path(__file__).parents[2]
MARKS = (
    ":", "- ", "[", "]", "{", "}", "&a ", "*a", "!!binary ", "!!python/name:os.system ", "|", ">-", "<<: ", '"', "#",
    "? ", "0x", "010", "1e", ".nan", "%YAML 1.1\n---\n", "...\n", "\r\n",
)  # fmt: skip


class Kind:
    """See the package."""

    weight = 3

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._schema = Params.model_json_schema()
        self._values = read_yaml(ROOT / "params.yaml")
        (folder / "base.yaml").write_text((ROOT / "params.yaml").read_text())

    def case(self, rng: random.Random) -> Case:
        path = self._folder / "params.yaml"
        action = rng.choice(["setting", "setting", "setting", "structure", "text", "bytes", "overlay"])
        what = action
        if action == "setting":
            values, what = self._setting(rng)
            path.write_text(json.dumps(values))  # JSON is YAML, half characters and all
        elif action == "structure":
            values = hostile.changed(rng, copy.deepcopy(self._values), times=rng.choice([1, 2, 5]))
            path.write_text(
                json.dumps(values) if rng.random() < 0.5 else yaml.dump(values, allow_unicode=True), errors="replace"
            )
        elif action == "text":
            text = rng.choice(["[" * 3000, "{a: " * 3000, "- " * 3000, hostile.misspelt(rng, self._yaml(), MARKS)])
            path.write_text(text, errors="replace")
        elif action == "bytes":
            path.write_bytes(hostile.damaged(rng, self._yaml().encode()))
        else:
            overlay: Any = {"base": "base.yaml", "keep": ["environments.alfworld"], "drop": ["preference.eto"]}
            overlay["set"] = {"tree": {"breadth": 4}}
            path.write_text(json.dumps(hostile.changed(rng, overlay, times=rng.choice([1, 2]))))
        if action == "overlay" or rng.random() < 0.1:
            return Case(what, lambda: params.validated(merged(path).values, source=path).model_dump(), str(path))
        return Case(what, lambda: params.load(path).model_dump(), str(path))

    def _setting(self, rng: random.Random) -> tuple[Any, str]:
        """The parameters with a hostile value for one key, which the schema names."""
        values = copy.deepcopy(self._values)
        way = self.drawn(rng)
        here = values
        for key in way[:-1]:
            if not isinstance(here.get(key), dict):
                here[key] = {}
            here = here[key]
        here[way[-1]] = new = hostile.value(rng)
        return values, f"{'.'.join(way)}: {new!r}"

    def drawn(self, rng: random.Random) -> list[str]:
        """The way to a key, drawn from the schema."""
        node, way = self._schema, list[str]()
        while True:
            node = self._within(rng, node)
            if properties := node.get("properties"):
                name = rng.choice(sorted(properties))
                node = properties[name]
            elif patterns := node.get("patternProperties"):
                name, node = rng.choice(["w2s_dpo", "w2s_mcts", "mine", "Ä", "a.b"]), next(iter(patterns.values()))
            else:
                return way
            way.append(name)
            if rng.random() < 0.1:
                return way

    def _within(self, rng: random.Random, node: dict[str, Any]) -> dict[str, Any]:
        """A node of the schema with its references followed and a choice made."""
        while "$ref" in node or "anyOf" in node or "oneOf" in node:
            if "$ref" in node:
                node = self._schema["$defs"][node["$ref"].rpartition("/")[2]]
            else:
                node = rng.choice(node.get("anyOf") or node["oneOf"])
        return node

    def _yaml(self) -> str:
        return (ROOT / "params.yaml").read_text(encoding="utf-8")
