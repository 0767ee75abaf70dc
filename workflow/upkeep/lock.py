"""Write requirements.lock and environment.yml: every package of this environment with its version, without hashes.

environment.yml repeats the lock file instead of naming it: Snakemake hands conda a copy that lies in another folder,
where the name would lead nowhere, and makes a new environment only when the text of environment.yml itself changes.
The version of torch stays plain: which build it is (CPU here, CUDA there) is the registry's choice.
"""

import os
import sys
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

LEFT_OUT = {"w2sg", "pip", "setuptools", "wheel"}
LOCK = """\
# Made by `make lock`; versions pinned, without hashes. Installed by `make`.
{pins}
"""
ENVIRONMENT = """\
# Made by `make lock`, for `snakemake --use-conda`: Python from conda, all else by pip as in requirements.lock.
name: w2sg
channels:
  - conda-forge
dependencies:
  - python={python}
  - pip
  - git
  - pip:
{pins}
"""


def find_pins() -> list[str]:
    """`name==version` for each installed package, names sorted; setuptools first, as others build with it."""
    found = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in distributions()}
    pinned = ["setuptools", *sorted(name for name in found if name not in LEFT_OUT)]
    return [f"{name}=={found[name].split('+')[0]}" for name in pinned]


def format_lock(pins: Iterable[str]) -> str:
    """The text of requirements.lock."""
    return LOCK.format(pins="\n".join(pins))


def format_environment(pins: Iterable[str], *, python: str) -> str:
    """The text of environment.yml; `python` is a version such as 3.11."""
    return ENVIRONMENT.format(python=python, pins="\n".join(f"      - {pin}" for pin in pins))


def main() -> None:
    """Write both files into the working folder."""
    pins = find_pins()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    for name, text in {
        "requirements.lock": format_lock(pins),
        "environment.yml": format_environment(pins, python=python),
    }.items():
        new = Path(f"{name}.new")
        new.write_text(text)
        os.replace(new, name)


if __name__ == "__main__":
    main()
