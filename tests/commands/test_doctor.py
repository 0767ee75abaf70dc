"""`w2sg doctor` on this machine, and on one where something is missing."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml
from transformers import GPTNeoConfig, LlamaConfig, LlamaForCausalLM

from w2sg.commands import __main__ as cli
from w2sg.commands import doctor
from w2sg.config import params
from w2sg.environments.alfworld import needs


@pytest.fixture
def call(monkeypatch, capsys, root):
    """Call `w2sg` in the project's folder: exit code and output."""

    def run(*arguments, folder=root):
        monkeypatch.chdir(folder)
        monkeypatch.setattr("sys.argv", ["w2sg", *arguments])
        code = cli.main()
        return code, capsys.readouterr().out

    return run


@pytest.mark.slow  # starts Java
def test_everything_works_here(call, tmp_path, root):
    shutil.copy(root / "params.yaml", tmp_path / "params.yaml")
    code, printed = call("doctor", folder=tmp_path)
    rows = {line.split("  ")[0].strip(): line for line in printed.splitlines()}
    assert code == 0, printed
    assert "MISSING" not in printed
    for name in ("Python", "git", "torch", "dvc", "alfworld", "scienceworld", "webshop"):
        assert " ok " in rows[name], name
    assert "spaCy" in printed and "java" in printed


def test_bad_parameters_and_a_missing_java_have_a_line(call, tmp_path, root):
    text = (root / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("beta:", "betta:"))
    code, printed = call("doctor", folder=tmp_path)
    assert code == 1
    assert "MISSING  params.yaml: dpo.betta: unknown key" in printed, "which is why dpo.beta is missing"
    assert "MISSING  params.yaml: dpo.beta: missing" in printed
    assert "java_home: null" in text
    (tmp_path / "params.yaml").write_text(text.replace("java_home: null", "java_home: nowhere"))
    settings = params.load(tmp_path / "params.yaml")
    findings = [
        *doctor.environment("scienceworld", settings=settings),
        *doctor.extras("scienceworld", settings=settings),
    ]
    assert [finding.good for finding in findings] == [False, False]
    assert all("nowhere/bin/java is no file" in finding.found for finding in findings)


def test_a_missing_package(monkeypatch):
    monkeypatch.setattr(doctor, "LIBRARIES", ("torch", "no-such-package"))
    assert [(finding.what, finding.good) for finding in doctor.packages()] == [
        ("torch", True),
        ("no-such-package", False),
    ]


def test_a_run_s_installation_lacks_only_what_no_run_needs(monkeypatch, root):
    monkeypatch.setattr(needs, "find_spec", lambda name: None if name == "textworld" else object())
    (finding,) = doctor.extras("alfworld", settings=params.load(root / "params.yaml"))
    assert (finding.good, finding.found) == (None, "without textworld")
    assert "make install-test" in finding.remedy


def test_without_git(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert {finding.what: finding.good for finding in doctor.machine()}["git"] is False


def test_what_a_kill_has_cut_is_named(monkeypatch, tmp_path):
    """dvc.lock and DVC's note of who uses what, which plain dvc writes in place."""
    monkeypatch.chdir(tmp_path)
    assert [(each.what, each.good) for each in doctor.records()] == [("dvc.lock", None)], "nothing has run yet"
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n  code:\n    cmd: x\n")
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / ".dvc/tmp/rwlock").write_text("{}")
    assert [(each.good, each.found) for each in doctor.records()] == [(True, "1 stages recorded")]
    (tmp_path / "dvc.lock").write_text("")
    (tmp_path / ".dvc/tmp/rwlock").write_text('{"write": ')
    lock, rwlock = doctor.records()
    assert lock.good is False and "dvc.lock: not a lock file of DVC's (empty); `git checkout dvc.lock`" in lock.found
    assert rwlock.good is False and "remove .dvc/tmp/rwlock while nothing runs" in rwlock.remedy


def test_it_survives_what_it_is_to_diagnose(tmp_path, root, values):
    """A half-installed torch, as a subprocess meets it."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("raise OSError('libcudnn.so.9: cannot open\\nshared object file')\n")
    values["environments"] = {"alfworld": values["environments"]["alfworld"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{root / 'src'}"}
    command = [sys.executable, "-m", "w2sg.commands", "doctor"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (1, "")
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("GPU")]
    assert " ".join(row.split()) == "GPU MISSING OSError: libcudnn.so.9: cannot open; run `make install`"
    assert any(line.startswith("alfworld") for line in done.stdout.splitlines())


def test_whatever_a_check_dies_of_is_a_row():
    def dying():
        yield doctor.Finding("first", True, "found")
        raise RuntimeError("x" * 500)

    first, second = doctor.tried("second", dying())
    assert first.good and (second.what, second.good) == ("second", False)
    assert second.found == f"RuntimeError: {'x' * 80}"


def own(values: dict, base: str, **sections: object) -> params.Params:
    """The default, its strong model a folder."""
    outside = {"strong": base}
    models = values["models"] | {"strong": {"base": base, "revision": None}}
    return params.validated(values | {"models": models, "outside": outside} | sections, source=params.Path("own.yaml"))


def test_a_published_model_has_a_row(root, tmp_path):
    """Its size, read without its weights; what is wrong with it, before a stage meets it."""
    values = yaml.safe_load((root / "params.yaml").read_text())
    assert list(doctor.models(params.validated(values, source=root))) == [], "sizes alone"
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "mine")
    base = str(tmp_path / "mine")
    (row,) = doctor.models(own(values, base))
    assert row.good and row.what == "strong model" and row.found.startswith(f"{base}, 0 M parameters, 0.0 GiB of ")
    lora = {"r": 2, "alpha": 4, "dropout": 0.0, "targets": ["c_attn"]}
    (row,) = doctor.models(own(values, base, dpo=values["dpo"] | {"lora": lora}))
    assert row.good is False and row.found.startswith("dpo.lora.targets: the model has no c_attn; its linear modules")
    (row,) = doctor.models(own(values, f"{base}/nowhere"))
    assert row.good is False and "no such folder" in row.found
    hub = values | {"models": values["models"] | {"weak": {"base": "acme/no", "revision": "0" * 40}}}
    (row,) = doctor.models(params.validated(hub, source=root))
    assert row.good is None and row.found == "acme/no is not in the hub's cache; the stage pretrain fetches it"


def test_a_model_that_cannot_play_many_conversations_is_said_before_it_is_trained(root, tmp_path):
    values = yaml.safe_load((root / "params.yaml").read_text())
    sizes = {"hidden_size": 32, "num_layers": 2, "attention_types": [[["global", "local"], 1]], "num_heads": 2}
    GPTNeoConfig(vocab_size=64, **sizes).save_pretrained(tmp_path / "neo")
    base = str(tmp_path / "neo")
    (row,) = doctor.models(own(values, base))
    assert row.good is False
    assert row.found.startswith(f"{base}: gpt_neo counts padding as tokens of a conversation and cannot play many")


def test_a_model_that_no_machine_holds(root, tmp_path):
    values = yaml.safe_load((root / "params.yaml").read_text())
    LlamaConfig(
        hidden_size=2**16, intermediate_size=2**18, num_attention_heads=64, num_hidden_layers=200
    ).save_pretrained(tmp_path)
    (row,) = doctor.models(own(values, str(tmp_path)))
    assert row.good is None and "M parameters" in row.found and row.remedy == "not on this machine"
