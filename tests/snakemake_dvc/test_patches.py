"""What reaches into DVC stands in patches.py and writes.py, and everything it reaches for is still there."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest
from dvc.repo import Repo

PACKAGE = Path(__file__).parents[2] / "src/snakemake_dvc"

# Module, then the name in it that a patch replaces or uses; and a parameter, where the patch gives one.
NAMES = [
    ("dvc.lock", "DEFAULT_TIMEOUT"),
    ("dvc.utils.serialize._yaml", "parse_yaml"),
    ("dvc.utils.serialize._yaml", "parse_yaml_for_update"),
    ("dvc.utils.strictyaml", "parse_yaml"),
    ("dvc.utils.serialize._common", "_dump_data"),
    ("dvc.utils.serialize._json", "_dump_data"),
    ("dvc.utils.serialize._py", "_dump_data"),
    ("dvc.utils.serialize._toml", "_dump_data"),
    ("dvc.utils.serialize._yaml", "_dump_data"),
    ("dvc.rwlock", "_edit_rwlock"),
    ("dvc.rwlock", "_release_read"),
    ("dvc.rwlock", "_release_write"),
    ("dvc.rwlock", "SCHEMA"),
    ("dvc_data.hashfile.transfer", "_log_exception"),
    ("scmrepo.git", "Git._add_entry_to_gitignore"),
    ("dvc_objects.fs.local", "copyfile"),
    ("dvc_objects.fs.local", "tmp_fname"),
    ("dvc_objects.fs.utils", "tmp_fname"),
    ("dvc_objects.fs.system", "reflink"),
    ("dvc_data.hashfile.db.local", "tmp_fname"),
    ("dvc.stage.run", "cmd_run"),
    ("dvc.stage.run", "subprocess.Popen"),
    ("dvc.stage", "Stage.save_deps"),
    ("dvc.output", "Output.get_hash"),
    ("dvc.repo", "Repo._reset"),
    ("dvc.stage.cache", "_can_hash"),
    ("dvc.stage.cache", "StageCache._load"),
    ("dvc.stage.cache", "StageCache._load_cache"),
    ("dvc.stage.cache", "StageCache._get_cache_dir"),
    ("dvc.stage.cache", "_get_stage_hash"),
    ("dvc.stage.cache", "StageCache._create_stage"),
    ("dvc.stage.serialize", "to_single_stage_lockfile"),
]


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_the_name_still_exists(module, name):
    found = importlib.import_module(module)
    for part in name.split("."):
        assert hasattr(found, part), f"{module} has no {name}"
        found = getattr(found, part)


def test_the_repository_can_still_be_told_to_wait():
    assert "_wait_for_lock" in inspect.signature(Repo.__init__).parameters


def private_names(source: str) -> set[str]:
    """Names with a leading underscore that code takes from other objects or modules, or assigns to them."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self"):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            found.update(part for part in (node.module or "").split("."))
            found.update(name.name for name in node.names)
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


def test_no_other_module_uses_a_private_name():
    used = {file.name: private_names(file.read_text()) for file in PACKAGE.glob("*.py")}
    assert {name for name, names in used.items() if names} == {"patches.py", "writes.py"}
    listed = {part for module, name in NAMES for part in (*module.split("."), *name.split("."))}
    assert used["patches.py"] | used["writes.py"] <= listed, "and these none that the list above lacks"
