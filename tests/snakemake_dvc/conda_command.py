"""Stands in for the `conda` command in tests: it is not conda, which has no channel to reach there.

It understands exactly the calls that Snakemake makes, and does them for real with rattler, another implementation of
the same solver problem and package format; a `pip:` list goes to the new environment's own pip, from the folder of the
environment file, as with conda. Called through a file BASE/bin/conda; logs what it made to BASE/created.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import rattler
import yaml


async def create(file: Path, prefix: Path, base: Path) -> None:
    """Solve the environment file and install what comes out."""
    environment = yaml.safe_load(file.read_text())
    specs = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    pins = [pin for entry in environment["dependencies"] if isinstance(entry, dict) for pin in entry["pip"]]
    records = await rattler.solve(environment["channels"], specs, virtual_packages=rattler.VirtualPackage.detect())
    await rattler.install(records, prefix, cache_dir=base / "packages", show_progress=False)
    if pins:
        with tempfile.NamedTemporaryFile("w", suffix=".requirements.txt", dir=file.parent) as requirements:
            requirements.write("\n".join(pins))
            requirements.flush()
            pip = [prefix / "bin/python", "-m", "pip", "install", "--quiet", "-U", "-r", requirements.name]
            subprocess.run(pip, cwd=file.parent, check=True)
    with (base / "created").open("a") as created:
        print(prefix, file=created)


def main(base: Path, arguments: list[str]) -> None:
    match arguments:
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": str(base), "platform": str(rattler.Subdir.current())}))
        case ["--version"]:
            print("conda 25.1.0")
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", "--quiet", "--no-default-packages", "--file", file, "--prefix", prefix]:
            asyncio.run(create(Path(file), Path(prefix), base))
        case ["clean", "-y", "--tarballs"]:
            pass  # rattler keeps none
        case _:
            sys.exit(f"this stand-in does not know: conda {' '.join(arguments)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
