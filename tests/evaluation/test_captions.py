"""Every figure and table that Snakemake's report shows has a text of its own, and every text something to show."""

import glob
from pathlib import Path

import yaml

from evaluation.builders import inputs
from snakemake_dvc import find_caption
from w2sg.evaluation.report import report

ROOT = Path(__file__).parents[2]


def test_every_figure_and_table_of_the_project_has_a_caption(tmp_path, monkeypatch):
    report.build(inputs(tasks=2, resamples=10), folder=tmp_path / "results")
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    patterns = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["report"]["meta"]["report"]
    shown = [path for pattern in patterns for path in glob.glob(pattern, root_dir=tmp_path)]
    assert sorted(shown) == sorted(written - {"results/explorer.html", "results/report.html"})
    monkeypatch.chdir(ROOT)
    captions = {find_caption(path) for path in shown}
    assert None not in captions
    # Drawn where there is a grid, and where there is ScienceWorld (tests/evaluation/test_report.py has both).
    sometimes = {f"workflow/report/{name}.rst" for name in ("breadth", "task_types")}
    assert captions | sometimes == set(glob.glob("workflow/report/*.rst")), "a caption of something that is not there"
