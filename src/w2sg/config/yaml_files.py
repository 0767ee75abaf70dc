"""YAML files as DVC reads them, with one clear line for each way they can be wrong."""

import re
from pathlib import Path
from typing import Any

import yaml

from w2sg.contracts.errors import UserError


class _Loader(yaml.SafeLoader):
    """Numbers as in YAML 1.2, which DVC reads and writes: PyYAML alone takes 1e-05 for a text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of sections.

    Raises:
        UserError: `path` is missing, is not YAML, has aliases, or is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise UserError(f"{path}: has aliases (*name), whose values `dvc exp run -S` cannot set; write them out")
        values = yaml.load(text, _Loader)
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such file; run this in the folder of the project") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected sections such as `explore:`, found {type(values).__name__}")
    return values
