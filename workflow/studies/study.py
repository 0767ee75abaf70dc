"""Run a study and keep what it found: `python workflow/studies/study.py NAME --cores N`, or `make study STUDY=NAME`.

params/NAME.yaml is run in a workspace of its own, .NAME, which stays: stopped, the next call goes on where this one
was; called again after it is done, it runs only what has changed. It uses the project's DVC cache, so that what it has
in common with `make run` is not computed again. Its tables and claims are copied to docs/NAME with a page that says
what made them; of `study`, the one that the report of other runs shows, also figures and, if they are not too large to
be versioned, report and explorer. Those of others stay in .NAME/results.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from w2sg.contracts import files

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
LARGEST_REPORT = 3_000_000  # bytes
PAGE = """# {title}

Made by `{command}` from `{params}`: commit {commit}, {hours:.1f} hours on {cores} cores of {machine}.

- [table1.md](table1.md): rewards, success and completion of every method; the figures behind it: `table1.csv`
- [claims.md](claims.md): the paper's sentences, each beside what was measured, with a verdict
- [tables.md](tables.md): shares recovered, who solves what, and the paper's Tables 2 to 4
- `comparisons.csv`, `complement.csv`, `regime.csv`, `supervision.csv`, `recovered.csv`, `learning.csv`
- `tree_quality.csv`, `tree_gain.csv`, `theorem.csv`
- `params.yaml`: the settings{pages}
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


def main() -> int:
    """Run and copy; the exit code is Snakemake's where it fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("name", nargs="?", default="study", help="of the file in params, without .yaml")
    parser.add_argument("--cores", default="all", help="as of snakemake")
    arguments = parser.parse_args()
    study, cores = Study(arguments.name), arguments.cores
    made = subprocess.run([sys.executable, "workflow/studies/workspace.py", str(study.params), str(study.workspace)])
    if made.returncode:
        return made.returncode
    share_cache(study)
    snakemake = ["snakemake", "--cores", cores, "--keep-going"]
    code, seconds = run(snakemake, study.workspace, spent=study.workspace / "seconds.json")
    if code:
        print(f"{study.name}: not complete; call again to go on from here", file=sys.stderr)
        return code
    keep(study, study.workspace / "results", hours=seconds / 3600, cores=cores)
    print(f"{study.kept}: {', '.join(sorted(path.name for path in study.kept.iterdir()))}")
    return 0


def run(command: list[str], folder: Path, *, spent: Path, every: float = 30.0) -> tuple[int, float]:
    """Run a command; its exit code, and the seconds that it and earlier calls have taken.

    The seconds are written down every so often, because a machine that goes away does not say so before.
    """
    before = json.loads(spent.read_text()) if spent.exists() else 0.0
    start = time.monotonic()
    with subprocess.Popen(command, cwd=folder) as process:
        while True:
            try:
                code: int | None = process.wait(timeout=every)
            except subprocess.TimeoutExpired:
                code = None
            seconds = before + time.monotonic() - start
            files.write_text(spent, json.dumps(seconds))
            if code is not None:
                return code, seconds


def share_cache(study: Study) -> None:
    """Let the workspace keep its outputs in the project's own cache, and find there what `make run` has computed."""
    cache = os.path.relpath(".dvc/cache", study.workspace)
    subprocess.run(["dvc", "cache", "dir", "--local", "--quiet", cache], cwd=study.workspace, check=True)


def keep(study: Study, results: Path, *, hours: float, cores: str) -> None:
    """Replace the folder of an earlier call by what the results hold."""
    kept = study.kept
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for name in FILES:
        if (results / name).exists():
            shutil.copy2(results / name, kept / name)
    shutil.copy2(results.parent / "params.yaml", kept / "params.yaml")
    main_one = study == Study()
    if main_one:
        shutil.copytree(results / "figures", kept / "figures")
        if (results / "report.html").stat().st_size <= LARGEST_REPORT:
            shutil.copy2(results / "report.html", kept / "report.html")
        if not any((results / "explorer").iterdir()):  # its data are in the page, so they are not too large
            shutil.copy2(results / "explorer.html", kept / "explorer.html")
    pages = [f"\n- `{name}`: {words}" for name, words in ABOUT.items() if (kept / name).exists()]
    page = PAGE.format(
        title=f"The study: {study.name}" if not main_one else "The study",
        command="make study" if main_one else f"make study STUDY={study.name}",
        params=study.params,
        commit=commit(),
        hours=hours,
        cores=os.cpu_count() if cores == "all" else cores,
        machine=f"{platform.system()} {platform.machine()}",
        pages="".join(pages) or f"\n\nReport, explorer and figures: `{study.workspace}/results`, where it was run.",
    )
    (kept / "README.md").write_text(page, encoding="utf-8")


def commit() -> str:
    """Short name of the commit; says so where files differ from it."""
    words = ["git", "describe", "--always", "--dirty=, with changes", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
