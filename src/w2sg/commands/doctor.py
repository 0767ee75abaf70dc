"""`w2sg doctor`: what works on this machine, found by trying it, and the remedy for what does not."""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from w2sg.commands.run import lock_file
from w2sg.config import params, threads
from w2sg.config.data import ROLES
from w2sg.config.fields import Splits
from w2sg.config.models import Pretrained
from w2sg.config.packages import PACKAGES
from w2sg.config.params import Params, adapters_on
from w2sg.config.training import Lora
from w2sg.contracts.errors import UserError, of_library, told
from w2sg.environments.opener import opener
from w2sg.environments.optional import optional
from w2sg.environments.tasks import make_tasks
from w2sg.training import package_files

LIBRARIES = ("torch", "transformers", "trl", "peft", "sentence-transformers", "snakemake", "dvc")
GIBIBYTE = 2**30
LONGEST = 80  # characters of somebody else's message
RWLOCK = Path(".dvc/tmp/rwlock")  # DVC's note of who uses which output


class Finding(NamedTuple):
    """One row of the table. `good` is None where something is missing that nothing needs by default."""

    what: str
    good: bool | None
    found: str
    remedy: str = ""


def run() -> int:
    """Print the table; 1 if anything that a run needs is missing."""
    threads.limit(1)
    findings = [
        *tried("machine", machine()),
        *tried("GPU", accelerator()),
        *tried("packages", packages()),
        *tried("records", records()),
    ]
    try:
        settings = params.load()
    except UserError as error:
        findings += [Finding("params.yaml", False, line, "") for line in told(error)]
    else:
        findings += tried("models", models(settings))
        for name in settings.environments.names:
            findings += tried(name, environment(name, settings=settings))
            findings += tried(f"  {name}", extras(name, settings=settings))
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        mark = {True: "ok     ", False: "MISSING", None: "-      "}[finding.good]
        remedy = f"; {finding.remedy}" if finding.remedy and not finding.good else ""
        print(f"{finding.what:{width}}  {mark}  {finding.found}{remedy}")
    return 1 if any(finding.good is False for finding in findings) else 0


def tried(what: str, rows: Iterator[Finding]) -> Iterator[Finding]:
    """The rows of a check; what it dies of is a row too, as that is what it was to find."""
    try:
        yield from rows
    except BaseException as error:  # a half-installed library may raise anything
        if not of_library(error):
            raise
        text = str(error).strip().partition("\n")[0][:LONGEST]
        yield Finding(what, False, f"{type(error).__name__}: {text}", "run `make install`")


def machine() -> Iterator[Finding]:
    """Interpreter, memory, disk and git."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", sys.version_info >= (3, 11), python, "use Python 3.11 or newer")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIBIBYTE
    yield Finding("memory", memory >= 6, f"{memory:.0f} GiB, {os.cpu_count()} cores", "the default run needs 6 GiB")
    free = shutil.disk_usage(".").free / GIBIBYTE
    yield Finding("disk", free >= 3, f"{free:.0f} GiB free", "make room: the default run needs 3 GiB")
    git = shutil.which("git")
    yield Finding(
        "git", git is not None, "found" if git else "not on PATH", "install git: DVC asks it about the project"
    )


def accelerator() -> Iterator[Finding]:
    """The GPU that torch sees."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    yield Finding("GPU", True if gpu != "none" else None, gpu)


def packages() -> Iterator[Finding]:
    """The libraries that the stages call, in the versions that are installed."""
    for name in LIBRARIES:
        try:
            yield Finding(name, True, version(name))
        except PackageNotFoundError:
            yield Finding(name, False, "not installed", "run `make install`")


def models(settings: Params) -> Iterator[Finding]:
    """Published models, as far as they are here: their files, their size, and the adapters that stages are to train."""
    for role in ROLES:
        given = getattr(settings.models, role)
        if not isinstance(given, Pretrained):
            continue
        what = f"{role} model"
        if package := PACKAGES.get(given.base):
            here = package_files.is_here(package)
            found = f"{given.base}, {package.parameters / 1e6:.0f} M parameters"
            yield Finding(what, True if here else None, found if here else f"{found}, fetched by the stage pretrain")
            continue
        try:
            yield Finding(what, *_published(given, adapters_on(settings, role)))
        except UserError as error:
            yield Finding(what, False, told(error)[0])


def _published(given: Pretrained, loras: Mapping[str, Lora]) -> tuple[bool | None, str, str]:
    """What is to be said of a folder, or of a model of the hub, without reading its weights.

    Raises:
        UserError: it cannot be used here.
    """
    import torch
    from huggingface_hub import try_to_load_from_cache
    from transformers import AutoConfig, AutoModelForCausalLM

    from w2sg.agents.windows import Windows
    from w2sg.training import adapters, memory, sources
    from w2sg.training.bases import device

    where = sources.folder_of(given.base)
    if where is None:
        cached = try_to_load_from_cache(given.base, "config.json", revision=given.revision)
        if not isinstance(cached, str):
            return None, f"{given.base} is not in the hub's cache; the stage pretrain fetches it", ""
        where = Path(cached).parent
    else:
        sources.check_folder(where, stage=False)
    if (where / adapters.SETTINGS).is_file():
        return True, f"{given.base}, adapters", ""
    with sources.loading(given.base):
        config = AutoConfig.from_pretrained(where, local_files_only=True)
        sources.check_config(config, name=given.base)
        Windows(config)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config.get_text_config())
    for key, lora in loras.items():
        adapters.check_targets(lora, model, key=f"{key}.targets")
    count = sum(weight.numel() for weight in model.parameters())
    # In half precision, the least that is held.
    need, free = 2 * count / GIBIBYTE, memory.available(device()) / GIBIBYTE
    found = f"{given.base}, {count / 1e6:,.0f} M parameters, {need:.1f} GiB of {free:.1f} in half precision"
    return need < free or None, found, "not on this machine"


def records() -> Iterator[Finding]:
    """What DVC notes in this folder; a process killed while it wrote can leave a file that it cannot read."""
    try:
        count = len(lock_file.read())
        yield Finding("dvc.lock", True if count else None, f"{count} stages recorded")
    except UserError as error:
        yield Finding("dvc.lock", False, str(error))
    try:
        if RWLOCK.exists():
            json.loads(RWLOCK.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        remedy = f"remove {RWLOCK} while nothing runs (snakemake does without)"
        yield Finding(str(RWLOCK), False, "cannot be read, so plain dvc stops at it", remedy)


def environment(name: str, *, settings: Params) -> Iterator[Finding]:
    """Make a few tasks as the parameters say, reset to one and act."""
    section = settings.environment(name)
    few = section.model_copy(update={"tasks": Splits(train=1, seen=1, unseen=1)})
    settings = settings.model_copy(update={"environments": settings.environments.model_copy(update={name: few})})
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            tasks = make_tasks(name, settings, folder=Path(folder))
            made = time.monotonic()
            world = opener(name, settings, folder=Path(folder))()
            world.reset(tasks[0])
            world.step("look around")
            world.close()
        except UserError as error:
            yield Finding(name, False, str(error).splitlines()[0])
            return
    yield Finding(
        name, True, f"tasks made in {made - start:.1f} s, opened and acted in {time.monotonic() - made:.1f} s"
    )


def extras(name: str, *, settings: Params) -> Iterator[Finding]:
    """What else an environment can use here, as its needs.py finds."""
    if (needs := optional(f"w2sg.environments.{name}.needs")) is not None:
        for what, good, found, remedy in needs.needs(settings.environment(name)):
            yield Finding(f"  {what}", good, found, remedy)
