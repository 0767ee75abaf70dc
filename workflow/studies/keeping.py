"""What is kept of a study under version control: tables, claims, the seeds it was made of, and a page that says so."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from seeds import Record
from w2sg.config.yaml_files import read_yaml
from w2sg.contracts import files
from w2sg.contracts.errors import UserError
from w2sg.contracts.errors import shown as echoed

FILES = (
    "table1.csv",
    "table1.md",
    "tables.md",
    "learning.csv",
    "comparisons.csv",
    "complement.csv",
    "regime.csv",
    "supervision.csv",
    "recovered.csv",
    "claims.md",
    "tree_quality.csv",
    "theorem.csv",
    "tree_gain.csv",
)
PARAMS, README = "params.yaml", "README.md"
PAGES = ("report.html", "explorer.html")
MADE = "Made by `make study"  # in the page of every study
TEMPORARY = re.compile(r"\.(.+)\.\d+\.tmp")  # of files.replacing
LARGEST_PAGE = 3_000_000  # bytes of what git is to keep each version of
PAGE = """# {title}

Made by `{command}` from `{params}`: the report at commit {commit}, of what these seeds have played.

| seed | played at commit | hours | cores | machine |
|---|---|---|---|---|
{played}

Hours are those of the calls that played a seed, divided by the seeds that they played; what was in a cache took none.

- [table1.md](table1.md): rewards, success and completion of every method; the figures behind it: `table1.csv`
- [claims.md](claims.md): the paper's sentences, each beside what was measured, with a verdict
- [tables.md](tables.md): shares recovered, who solves what, and the paper's Tables 2 to 4
- `comparisons.csv`, `complement.csv`, `regime.csv`, `supervision.csv`, `recovered.csv`, `learning.csv`
- `tree_quality.csv`, `tree_gain.csv`, `theorem.csv`
- `params.yaml`: the settings
- `seeds`: episodes, trees, pairs, paths and learning curves of each; `{command} POOL=1` makes the report again{pages}
"""
ABOUT = {
    "figures": "the report's",
    "report.html": "all of it on one page",
    "explorer.html": "every tree and episode, for a browser",
}


@dataclass(frozen=True, slots=True)
class Study:
    """Where a study of this name has its parameters, its workspace, and what is kept of it."""

    name: str = "study"

    @property
    def params(self) -> Path:
        """An overlay or a complete file."""
        return Path("params") / f"{self.name}.yaml"

    @property
    def workspace(self) -> Path:
        """A project of its own."""
        return Path(f".{self.name}")

    @property
    def kept(self) -> Path:
        """A folder under version control."""
        return Path("docs") / self.name

    @property
    def seeds(self) -> Path:
        """The archives of the seeds that were played, and their records."""
        return self.kept / "seeds"

    @property
    def pool(self) -> Path:
        """A workspace with what all of them have played, for the report alone."""
        return self.workspace / ".pool"


def check(study: Study) -> None:
    """Refuse to write into a folder that is no study's.

    Raises:
        UserError: there is one, or the page in it is somebody else's.
    """
    kept, page = study.kept, study.kept / README
    for name in (*FILES, *PAGES, PARAMS, README):
        if (kept / name).is_dir() and not (kept / name).is_symlink():
            raise UserError(f"{kept / name}: is a folder, where a file of a study has its place; move it elsewhere")
    if study.seeds.exists() and not study.seeds.is_dir():
        raise UserError(f"{study.seeds}: is a file, where seeds are kept; move it elsewhere")
    if page.exists() and MADE not in page.read_text(encoding="utf-8", errors="replace"):
        raise UserError(f"{page}: not the page of a study; move it elsewhere, or name the study otherwise")
    if kept.exists() and not page.exists() and not study.seeds.is_dir():
        raise UserError(f"{kept}: is there, and no study's; move it elsewhere, or name the study otherwise")


def shown(study: Study) -> list[int]:
    """The seeds of the tables that an earlier call left.

    Raises:
        UserError: its parameters are none.
    """
    params = study.kept / PARAMS
    found = (read_yaml(params).get("seeds") or []) if params.exists() else []
    if not isinstance(found, list) or not all(isinstance(seed, int) for seed in found):
        raise UserError(f"{params}: seeds: expected a list of numbers, found {echoed(found)}; restore it from git")
    return found


def keep(study: Study, results: Path, played: Sequence[Record]) -> None:
    """Put what the results hold in the place of what the folder holds of an earlier call; all else in it stays.

    No file is missing meanwhile, as the report of any run reads some of them: all are written beside their places,
    then moved there, and what an earlier call alone has left goes last.
    """
    main_one = study == Study()
    found = {name: results / name for name in FILES if (results / name).exists()}
    found[PARAMS] = results.parent / PARAMS
    if main_one:
        found |= {f"figures/{path.name}": path for path in sorted((results / "figures").iterdir())}
        for name in PAGES:
            beside = name == "explorer.html" and any((results / "explorer").iterdir())  # data without which it is empty
            if not beside and (results / name).stat().st_size <= LARGEST_PAGE:
                found[name] = results / name
    figures = study.kept / "figures"
    if figures.is_symlink():
        figures.unlink()
    with ExitStack() as moving:
        for name, source in found.items():
            shutil.copyfile(source, moving.enter_context(files.replacing(study.kept / name)))
        page = moving.enter_context(files.replacing(study.kept / README))
        page.write_text(_page(study, [*found], played), encoding="utf-8")
    known = {*FILES, *PAGES} if main_one else {*FILES}
    stale = [study.kept / name for name in known - found.keys()]
    stale += [path for path in figures.glob("*.svg") if main_one and f"figures/{path.name}" not in found]
    for path in [*study.kept.glob(".*.tmp"), *figures.glob(".*.tmp")]:  # a killed call's
        written = TEMPORARY.fullmatch(path.name)
        if written and (written[1] in {*known, PARAMS, README} or path.parent == figures):
            stale.append(path)
    for path in stale:
        if path.is_symlink() or path.is_file():
            path.unlink()


def _page(study: Study, found: Sequence[str], played: Sequence[Record]) -> str:
    """The page that says what made the files with these names."""
    main_one = study == Study()
    there = {name.partition("/")[0] for name in found}
    pages = [f"\n- `{name}`: {words}" for name, words in ABOUT.items() if name in there]
    if pages and (large := [f"`{name}`" for name in ABOUT if name not in there]):
        pages.append(f"\n- too large for git: {', '.join(large)}, in `{study.pool}/results` after the same command")
    return PAGE.format(
        title=f"The study: {study.name}" if not main_one else "The study",
        command="make study" if main_one else f"make study STUDY={study.name}",
        params=study.params,
        commit=commit(),
        played="\n".join(f"| {r.seed} | {r.commit} | {r.hours:.1f} | {r.cores} | {r.machine} |" for r in played),
        pages="".join(pages) or f"\n\nReport, explorer and figures: `{study.pool}/results`, where it was made.",
    )


def over(seeds: Sequence[int]) -> str:
    """What the intervals of a page are over: of a single seed nothing can be said of others."""
    return "tasks and seeds" if len(seeds) > 1 else "tasks"


def commit() -> str:
    """Short name of the commit; says so where files differ from it, but for docs and dvc.lock, which a run writes."""
    try:
        found = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
        # New files too: a workspace is given them, and environments are found by theirs.
        differing = ["git", "status", "--porcelain", "--", ".", ":!docs", ":!dvc.lock"]
        changed = subprocess.run(differing, capture_output=True)
    except FileNotFoundError:  # a report can be made without git
        return "unknown"
    name = found.stdout.strip() if found.returncode == 0 else "unknown"
    return f"{name}, with changes" if name != "unknown" and changed.stdout else name
