"""`snakemake --use-conda` on a channel made here: packages, solver and installer are real, only the command is not."""

import asyncio
import hashlib
import io
import json
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import rattler
import yaml
from rattler.index import index_fs

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE_PACKAGES = f"lib/python{PYTHON}/site-packages"

# The environment's python: says that it was called, then goes on as the interpreter beside it.
WRAPPER = f"""#!/bin/sh
echo "$1" >> "$TRACE"
exec "$(dirname "$0")/python{PYTHON}" "$@"
"""

STAGE = """
import json, os, sys
import toy_library, toy_base, toy_pin
found = [sys.prefix, os.environ["PYTHONPATH"], toy_library.version, toy_base.version, toy_pin.version]
print(json.dumps(found), file=open("found.json", "w"))
"""


def make_package(
    channel: Path, name: str, version: str, files: Mapping[str, str | Path], depends: list[str], *, noarch: bool = True
) -> None:
    """A package NAME-VERSION-0.tar.bz2; a file is given as its text or as the path it links to."""
    subdir = channel / ("noarch" if noarch else str(rattler.Subdir.current()))
    subdir.mkdir(parents=True, exist_ok=True)
    index = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": depends}
    paths = [
        {
            "_path": path,
            "path_type": "hardlink" if isinstance(content, str) else "softlink",
            "sha256": hashlib.sha256(content.encode() if isinstance(content, str) else b"").hexdigest(),
            "size_in_bytes": len(content) if isinstance(content, str) else 0,
        }
        for path, content in files.items()
    ]
    about = {
        "info/index.json": json.dumps(index | {"subdir": subdir.name} | ({"noarch": "python"} if noarch else {})),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}),
        "info/link.json": json.dumps({"noarch": {"type": "python"}, "package_metadata_version": 1}),
    }
    with tarfile.open(subdir / f"{name}-{version}-0.tar.bz2", "w:bz2") as archive:
        for path, content in (about | dict(files)).items():
            member = tarfile.TarInfo(path)
            member.mode = 0o755
            if isinstance(content, str):
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content.encode()))
            else:
                member.type, member.linkname = tarfile.SYMTYPE, str(content)
                archive.addfile(member)


async def make_channel(channel: Path) -> None:
    """Python (the running one), a library in two versions, and what it needs in two versions."""
    interpreter = Path(sys.executable).resolve()
    make_package(
        channel,
        "python",
        sys.version.split()[0],
        {
            "bin/python": WRAPPER,
            f"bin/python{PYTHON}": interpreter,
            "pyvenv.cfg": f"home = {interpreter.parent}\n",
            # DVC and pip come from where they are; a real environment has them from its pip list.
            f"{SITE_PACKAGES}/running.pth": sysconfig.get_path("purelib") + "\n",
        },
        [],
        noarch=False,
    )
    for version in ("1", "2"):
        for name, depends in (("toy_base", []), ("toy_library", [f"toy_base {version}.*"])):
            code = {f"site-packages/{name}/__init__.py": f'version = "{version}"\n'}
            make_package(channel, name, version, code, ["python >=3.11", *depends])
    await index_fs(channel)


def make_wheel(folder: Path) -> None:
    """The wheel of toy_pin 1.0, for pip."""
    folder.mkdir()
    about = "toy_pin-1.0.dist-info"
    with zipfile.ZipFile(folder / "toy_pin-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("toy_pin.py", 'version = "1.0"\n')
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: toy_pin\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")


@pytest.fixture
def conda_toy(unbuilt, tmp_path):
    """The toy with an environment file of its own and the stand-in as its `conda`, in BASE/bin."""
    base = tmp_path / "base"
    (base / "bin").mkdir(parents=True)
    (base / "bin/conda").write_text(f'#!/bin/sh\nexec {sys.executable} {HERE}/conda_command.py {base} "$@"\n')
    (base / "bin/conda").chmod(0o755)
    (base / "bin/activate").write_text('export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n')
    asyncio.run(make_channel(base / "channel"))
    make_wheel(base / "wheels")
    unbuilt.env |= {
        "PATH": f"{base}/bin:{unbuilt.env['PATH']}",
        "PIP_FIND_LINKS": str(base / "wheels"),
        "PIP_NO_INDEX": "1",
        "PYTHONPATH": f"{unbuilt.env['PYTHONPATH']}:{HERE}",  # must not get into the environment
        "TRACE": str(base / "trace"),
    }
    environment = {
        "channels": [f"file://{base}/channel"],
        "dependencies": [f"python={PYTHON}", "toy_library=1", {"pip": ["toy_pin==1.0"]}],
    }
    (unbuilt.path / "environment.yml").write_text(yaml.safe_dump(environment))
    (unbuilt.path / "stage.py").write_text(STAGE)
    unbuilt.edit("dvc.yaml", "cmd: sh stage.sh prepare", "cmd: PYTHONPATH=src python stage.py && sh stage.sh prepare")
    unbuilt.base = base
    return unbuilt


def test_stages_run_in_the_environment(conda_toy):
    call = ("snakemake", "--cores", "2", "--use-conda", "prepare")
    conda_toy.run(*call, "--conda-create-envs-only")
    assert conda_toy.ran() == []
    (first,) = (conda_toy.base / "created").read_text().split()
    assert Path(first).parent == conda_toy.path / ".snakemake/conda"

    (conda_toy.base / "trace").unlink()
    conda_toy.run(*call)
    assert conda_toy.ran() == ["prepare-a", "prepare-b"]
    assert found(conda_toy) == [first, "src", "1", "1", "1.0"]
    scripts = (conda_toy.base / "trace").read_text().split()
    assert sorted(scripts) == ["src/snakemake_dvc/__main__.py"] * 2 + ["stage.py"] * 2, "DVC runs there too"

    conda_toy.edit("params.yaml", "count: 10", "count: 11")
    conda_toy.run(*call)
    assert conda_toy.ran() == ["prepare-a", "prepare-b"]
    assert (conda_toy.base / "created").read_text().split() == [first], "the environment is made once"

    conda_toy.edit("environment.yml", "toy_library=1", "toy_library=2")
    assert "Nothing to be done" in conda_toy.run(*call).stdout, "an environment makes no stage stale"
    conda_toy.edit("params.yaml", "count: 11", "count: 12")
    conda_toy.run(*call)
    assert conda_toy.ran() == ["prepare-a", "prepare-b"]
    (_, second) = (conda_toy.base / "created").read_text().split()
    assert second != first
    assert found(conda_toy) == [second, "src", "2", "2", "1.0"], "what a library needs follows it"


def test_what_is_first_runs_before_there_is_an_environment(conda_toy):
    """By the interpreter of Snakemake, whatever the stages' own is to be."""
    prefix = "import sys\nopen('prefix', 'w').write(sys.prefix)\n"
    (conda_toy.path / "prefix.py").write_text(prefix)
    stage = "{cmd: python prefix.py, deps: [prefix.py], outs: [prefix], meta: {first: true}}"
    (conda_toy.path / "dvc.yaml").write_text(f"stages:\n  prefix: {stage}\n")
    screen = conda_toy.run("snakemake", "--cores", "1", "--use-conda", "prefix").stdout
    assert screen.index("running first: prefix") < screen.index("Creating conda environment")
    assert "Nothing to be done" in screen
    assert (conda_toy.path / "prefix").read_text() == sys.prefix


def found(toy) -> list[str]:
    """What the last stage found: its prefix, its PYTHONPATH and the versions of library, base and pin."""
    return json.loads((toy.path / "found.json").read_text())
