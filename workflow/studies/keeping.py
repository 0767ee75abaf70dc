"""What is kept of a study under version control: tables, claims, the seeds it was made of, and a page that says so."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seeds import Record
from w2sg.config.yaml_files import read_yaml

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


def shown(study: Study) -> list[int]:
    """The seeds of the tables that an earlier call left."""
    params = study.kept / "params.yaml"
    return list(read_yaml(params).get("seeds") or []) if params.exists() else []


def keep(study: Study, results: Path, played: Sequence[Record]) -> None:
    """Replace what the folder holds of an earlier call by what the results hold; its seeds stay."""
    kept = study.kept
    kept.mkdir(parents=True, exist_ok=True)
    for path in kept.iterdir():
        if path.is_dir() and path != study.seeds:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()
    for name in FILES:
        if (results / name).exists():
            shutil.copy2(results / name, kept / name)
    shutil.copy2(results.parent / "params.yaml", kept / "params.yaml")
    main_one = study == Study()
    if main_one:
        shutil.copytree(results / "figures", kept / "figures")
        for name in ("report.html", "explorer.html"):
            beside = name == "explorer.html" and any((results / "explorer").iterdir())  # data without which it is empty
            if not beside and (results / name).stat().st_size <= LARGEST_PAGE:
                shutil.copy2(results / name, kept / name)
    pages = [f"\n- `{name}`: {words}" for name, words in ABOUT.items() if (kept / name).exists()]
    if pages and (large := [f"`{name}`" for name in ABOUT if not (kept / name).exists()]):
        pages.append(f"\n- too large for git: {', '.join(large)}, in `{study.pool}/results` after the same command")
    page = PAGE.format(
        title=f"The study: {study.name}" if not main_one else "The study",
        command="make study" if main_one else f"make study STUDY={study.name}",
        params=study.params,
        commit=commit(),
        played="\n".join(f"| {r.seed} | {r.commit} | {r.hours:.1f} | {r.cores} | {r.machine} |" for r in played),
        pages="".join(pages) or f"\n\nReport, explorer and figures: `{study.pool}/results`, where it was made.",
    )
    (kept / "README.md").write_text(page, encoding="utf-8")


def over(seeds: Sequence[int]) -> str:
    """What the intervals of a page are over: of a single seed nothing can be said of others."""
    return "tasks and seeds" if len(seeds) > 1 else "tasks"


def commit() -> str:
    """Short name of the commit; says so where files differ from it, but for docs and dvc.lock, which a run writes."""
    found = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", ".", ":!docs", ":!dvc.lock"], capture_output=True)
    name = found.stdout.strip() if found.returncode == 0 else "unknown"
    return f"{name}, with changes" if name != "unknown" and changed.returncode else name
