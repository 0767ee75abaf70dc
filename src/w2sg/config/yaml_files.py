"""YAML files as DVC reads them, with one clear line for each way they can be wrong."""

import re
from pathlib import Path
from typing import Any

import yaml

from w2sg.contracts.errors import UserError, named, of_system, reason

DEEPEST = 100  # levels of sections
LARGEST = 2**63  # DVC writes larger numbers, but no stage can hold them


class _Loader(yaml.CSafeLoader):
    """YAML 1.2, as DVC reads it, and no key twice: PyYAML takes 1e-05 for a text, 010 for 8 and yes for true."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """A value; what its tag says and it is not, as `!!int abc`, is an error with its place."""
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(None, None, reason(error), node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping, each of whose keys is there once."""
        seen: set[object] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):  # refused below
                continue
            if (name := self.construct_object(key, deep=True)) in seen:
                where = key.start_mark
                raise yaml.constructor.ConstructorError(None, None, f"the key {named(str(name))} is there twice", where)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _integer(loader: yaml.CSafeLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    value = int(text, 0) if text.lstrip("+-").lower().startswith(("0x", "0o", "0b")) else int(text)
    if not -LARGEST <= value < LARGEST:
        raise ValueError(f"a number of more than 64 bits, {named(text)}")
    return value


def _truth(loader: yaml.CSafeLoader, node: yaml.ScalarNode) -> bool:
    if (text := loader.construct_scalar(node)).lower() not in ("true", "false"):
        raise ValueError(f"{named(text)} is neither true nor false")
    return text.lower() == "true"


# Values that DVC's templates and the tables cannot hold: bytes, dates, sets, ordered mappings.
_Loader.yaml_constructors = {
    tag: construct
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in ("null", "bool", "int", "float", "str", "seq", "map")
}


_Loader.yaml_implicit_resolvers = {}  # not those of YAML 1.1
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:bool", _truth)
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)", "-+0123456789"),
    ("float", r"[-+]?(\d[\d_]*\.[\d_]*([eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.[\d_]+([eE][-+]\d+)?)", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def parse(text: str) -> Any:
    """The values of a YAML text.

    Raises:
        yaml.YAMLError, ValueError, RecursionError: it is none.
    """
    return yaml.load(text, _Loader)


def needs_quotes(text: str) -> bool:
    """Whether DVC would read a text as something else where it stands without quotes: an md5 of digits and one e."""
    resolvers = _Loader.yaml_implicit_resolvers.get(text[:1], [])
    return any(pattern.match(text) for _, pattern in resolvers)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of sections.

    Raises:
        UserError: `path` is missing, is not YAML, has aliases, is nested too deep, or is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        depth = 0
        for event in yaml.parse(text, yaml.CSafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise UserError(
                    f"{path}: has aliases (*name), whose values `dvc exp run -S` cannot set; write them out"
                )
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:  # libyaml's loader, which calls itself, would end the process
                raise UserError(f"{path}: sections within sections, more than {DEEPEST} deep")
        values = parse(text)
    except UserError:
        raise
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such file; run this in the folder of the project") from None
    except OSError as error:
        raise UserError(of_system(error)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # bytes that are no text, digits that are no number
        raise UserError(f"{path}: not valid YAML: {_problem(error)}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected sections such as `explore:`, found {type(values).__name__}")
    return values


def _problem(error: Exception) -> str:
    """What is wrong and where, in a few words of PyYAML's, which quotes the file at length."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark or error.context_mark):
        what = error.problem or error.context or "no YAML"
        return f"{named(what)} in line {mark.line + 1}, column {mark.column + 1}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"a character that YAML does not allow, number {error.character}, at position {error.position}"
    return reason(error)
