"""Free texts show, and what is echoed of them is short."""

import re
from pathlib import Path

import pytest
import yaml

from w2sg.config import params
from w2sg.contracts.errors import UserError


@pytest.mark.parametrize("text", ["", " ", "a\\0b", "a\\nb", "\\e[2J", "\\u202e"])
@pytest.mark.parametrize("key", ["embed.model", "environments.alfworld.data_dir", "sft.lora", "outside"])
def test_free_texts_are_texts_that_show(values, text, key, tmp_path):
    """Half of a character had ended with code 2 and not a word; a NUL in the operating system's words."""
    path = tmp_path / "params.yaml"
    *sections, name = key.split(".")
    here = values
    for section in sections:
        here = here[section]
    odd = {"sft.lora": {"r": 1, "alpha": 1, "dropout": 0.0, "targets": ["TEXT"]}, "outside": {"a": "TEXT"}}
    here[name] = odd.get(key, "TEXT")
    path.write_text(yaml.safe_dump(values).replace("TEXT", f'"{text}"'))
    with pytest.raises(UserError) as caught:
        params.load(path)
    wrong = "is blank" if not text.strip() else "has characters that do not show"
    (line,) = [line for line in str(caught.value).splitlines() if f"{wrong}; write a text on one line" in line]
    assert line.startswith(f"{path}: {key}") and line.isprintable()


def test_half_of_a_character_is_named(values, tmp_path):
    values["embed"]["model"] = "a mug \ud83d"
    with pytest.raises(
        UserError, match=r"(?m)^params\.yaml: embed\.model: 'a mug \\ud83d' has characters that do not show; "
    ):
        params.validated(values, source=Path("params.yaml"))
    path = tmp_path / "params.yaml"
    path.write_text('embed: {model: "\\ud83d"}')
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: not valid YAML: .* in line 1, column \d+$"):
        params.load(path)


def test_what_is_echoed_is_cut(values, tmp_path):
    values["embed"]["batch"] = "x" * 5000
    values["y" * 5000] = 1
    with pytest.raises(UserError) as caught:
        params.validated(values, source=Path("params.yaml"))
    assert all(len(line) < 500 for line in str(caught.value).splitlines())
