"""Pages that are made of other files: what they are made of is checked first, and they are whole or as they were."""

import errno
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import invalidation
import parameters
import presets

ROOT = Path(__file__).parents[2]
MODULES = (invalidation, parameters, presets)


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """A function that calls a module in a copy of the parameters and pages: its exit code and what it says."""
    for folder in ("params", "docs"):
        (tmp_path / folder).mkdir()
    for path in (*(ROOT / "params").glob("*"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("params.*")):
        shutil.copy(path, tmp_path / path.relative_to(ROOT))
    monkeypatch.chdir(tmp_path)

    def call(module: ModuleType, *words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [f"{module.__name__}.py", *words])
        try:
            code = module.main()
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().err

    return call


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_word_that_is_no_option_is_refused(run: Callable[..., tuple[int, str]], module: ModuleType) -> None:
    name = f"{module.__name__}.py"
    assert run(module, "--wirte") == (2, f"{name}: unrecognized arguments: --wirte; see {name} --help\n")
    assert run(module, "--help") == (0, "")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_wrong_parameters_are_written_into_no_page(run: Callable[..., tuple[int, str]], module: ModuleType) -> None:
    pages = {path: path.read_bytes() for path in Path().rglob("*") if path.suffix in (".md", ".json")}
    right = Path("params.yaml").read_text()
    source = "params/recommended.yaml" if module is presets else "params.yaml"
    for wrong in (right.replace("  beta:", "  betta:", 1), "seeds: 5\n", "x: [", ""):
        Path("params.yaml").write_text(wrong)
        code, said = run(module, "--write")
        assert code == 2
        for line in said.splitlines():
            assert line.startswith((f"{module.__name__}: {source}: ", f"{module.__name__}: params.yaml: ")), line
    assert pages == {path: path.read_bytes() for path in pages}


def test_a_wrong_overlay_is_written_into_no_page(run: Callable[..., tuple[int, str]]) -> None:
    before = presets.PAGE.read_bytes()
    for name in ("paper", "paper_llama3"):
        path = Path(f"params/{name}.yaml")
        right = path.read_text()
        path.write_text("base: ../params.yaml\nset: {nonsense: {a: 1}}\n")
        code, said = run(presets, "--write")
        assert (code, said.count("\n")) == (2, 1) and said.startswith(f"presets: params/{name}.yaml: nonsense"), said
        path.write_text(right)
    assert presets.PAGE.read_bytes() == before


@pytest.mark.parametrize("module", (parameters, presets), ids=lambda module: module.__name__)
def test_a_page_that_is_none_is_told_or_written(run: Callable[..., tuple[int, str]], module: ModuleType) -> None:
    assert run(module) == (0, "")
    right = module.PAGE.read_bytes()
    module.PAGE.write_bytes(b"\xff")
    code, said = run(module)
    assert code == 1 and said.startswith(f"{module.PAGE}: differs from ") and said.count("\n") == 1
    assert run(module, "--write") == (0, "")
    assert module.PAGE.read_bytes() == right
    module.PAGE.unlink()
    assert run(module)[0] == 1
    module.PAGE.mkdir()
    for words in ((), ("--write",)):
        assert run(module, *words) == (2, f"{module.__name__}: {module.PAGE}: is a directory; name a file\n")


def test_a_full_disk_leaves_the_page_as_it_was(
    run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    presets.PAGE.write_text("an older page")

    def full(self: Path, text: str, **how: object) -> None:
        with self.open("w") as file:
            file.write(text[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert run(presets, "--write") == (2, f"presets: {presets.PAGE}: no space left on device; make room\n")
    assert presets.PAGE.read_bytes() == b"an older page"
    assert not list(presets.PAGE.parent.glob(".*"))
