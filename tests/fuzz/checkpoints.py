"""Folders of models: settings, tokenizer, weights, adapters and references."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import torch

from w2sg.config.models import FromScratch
from w2sg.config.training import Lora
from w2sg.training import adapters, bases
from w2sg.training.tokenizer import train_tokenizer

from . import hostile
from .outcomes import Case

# A size of a million would be built, layer by layer: what fits the memory is asked of the parameters, before.
SIZES = (0, -1, 1, 2, 3, 64, 0.5, -0.0, float("nan"), 1e300)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"


class Kind:
    """See the package."""

    weight = 1

    def __init__(self, folder: Path) -> None:
        from peft import get_peft_model

        self._sound, self._folder, self._base = folder / "sound", folder / "given", folder / "base"
        texts = ["You see a mug on the shelf.", "Thought: a mug\nAction: take mug"]
        tokenizer = train_tokenizer(texts, vocabulary=300, context=128)
        sizes = FromScratch(hidden=16, layers=1, heads=2, feedforward=16)
        model = bases.create(sizes, tokenizer=tokenizer, context=128, seed=0)
        bases.save(model, tokenizer, self._base)
        settings = Lora(r=2, alpha=2, dropout=0.0, targets=("q_proj",))
        bases.save(
            get_peft_model(model, adapters.lora_config(settings, model)), tokenizer, self._sound, base=self._base
        )

    def case(self, rng: random.Random) -> Case:
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(rng.choice([self._base, self._base, self._base, self._sound]), self._folder)
        file = rng.choice(sorted(self._folder.iterdir()))
        action = rng.choice(
            ["settings", "settings", "settings", "bytes", "bytes", "remove", "pointer", "empty", "hub", "folder"]
        )
        what = f"{file.name}: {action}"
        if action == "settings" and file.suffix != ".json":
            file = next(iter(sorted(self._folder.glob("*config.json"))))
        if action == "settings":
            content = json.loads(file.read_bytes())
            old = json.dumps(content, sort_keys=True)
            file.write_text(json.dumps(hostile.changed(rng, content, times=rng.choice([1, 1, 3]), new=_setting)))
            what = f"{file.name}: {_difference(old, file.read_text())}"
        elif action == "bytes":
            file.write_bytes(hostile.damaged(rng, file.read_bytes()))
        elif action == "remove":
            file.unlink()
        elif action == "pointer":
            file.write_bytes(POINTER)
        elif action == "empty":
            file.write_bytes(b"")
        elif action == "hub":
            reference: Any = {"base": "owner/name", "revision": "a" * 40, "sha256": {"config.json": "0" * 64}}
            (self._folder / "hub.json").write_text(json.dumps(hostile.changed(rng, reference)))
        elif action == "folder":
            shutil.rmtree(self._folder)
            if rng.random() < 0.5:
                self._folder.mkdir()
        name = rng.choice([str(self._folder), self._folder])
        return Case(what, lambda: self._read(name), str(self._folder))

    def _read(self, name: str | Path) -> None:
        """A model that is read answers."""
        model, tokenizer = bases.load(name)
        text = [{"role": "user", "content": "You see a mug."}]
        ids = tokenizer.apply_chat_template(text, return_dict=True, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            model(ids)


def _setting(rng: random.Random) -> Any:
    return rng.choice(SIZES) if rng.random() < 0.5 else rng.choice([*hostile.OTHERS, *hostile.TEXTS])


def _difference(old: str, new: str) -> str:
    one, other = json.loads(old), json.loads(new)
    if not isinstance(one, dict) or not isinstance(other, dict):
        return new[:200]
    return str({key: other.get(key) for key in {*one, *other} if one.get(key) != other.get(key)})[:200]
