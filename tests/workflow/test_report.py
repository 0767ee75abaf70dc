"""Snakemake's report: it carries the figures and tables that `meta.report` names, each with its caption."""

import glob
import zipfile
from pathlib import Path

import pytest
import yaml

from dvc_bridge import find_caption

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("figure", "caption"),
    [
        ("results/figures/tree_quality.svg", "workflow/report/tree_quality.rst"),
        ("results/figures/tree_alf_world.svg", "workflow/report/tree.rst"),
        ("trees.svg", None),
        ("results/other_tree.svg", None),
        ("tree/_x.svg", None),
    ],
)
def test_find_caption(figure, caption, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("workflow/report").mkdir(parents=True)
    for name in ("tree", "tree_quality"):
        Path(f"workflow/report/{name}.rst").touch()
    assert find_caption(figure) == caption


def test_every_figure_and_table_of_the_project_has_a_caption(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests")
    from evaluation.builders import inputs
    from w2sg.evaluation.report import report

    report.build(inputs(tasks=2, resamples=10), folder=tmp_path / "results")
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    patterns = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["report"]["meta"]["report"]
    shown = [path for pattern in patterns for path in glob.glob(pattern, root_dir=tmp_path)]
    assert sorted(shown) == sorted(written - {"results/report.html"})
    monkeypatch.chdir(ROOT)
    captions = {find_caption(path) for path in shown}
    assert None not in captions
    # Drawn where there is a grid, and where there is ScienceWorld (tests/evaluation/test_report.py has both).
    sometimes = {f"workflow/report/{name}.rst" for name in ("breadth", "task_types")}
    assert captions | sometimes == set(glob.glob("workflow/report/*.rst")), "a caption of something that is not there"


@pytest.mark.slow
def test_figures_tables_and_captions_are_in_the_report(toy, tmp_path):
    toy.edit("dvc.yaml", 'report: ["out/report/*.svg"]', 'report: ["out/report/*.svg", "out/score/a.json"]')
    (toy.path / "workflow/report").mkdir()
    (toy.path / "workflow/report/figure.rst").write_text("What the figure of {{ snakemake.rule }} shows.\n")
    (toy.path / "workflow/report/a.rst").write_text("What the table says.\n")
    log = toy.snakemake("--report", str(tmp_path / "report.zip"))
    assert "Missing metadata" not in log
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        files = {Path(name).name: archive.read(name) for name in archive.namelist()}
    assert files["figure.svg"] == (toy.path / "out/report/figure.svg").read_bytes()
    assert files["a.json"] == (toy.path / "out/score/a.json").read_bytes()
    toy.snakemake("--report", str(tmp_path / "report.html"))
    for page in (files["report.html"].decode(), (tmp_path / "report.html").read_text()):
        assert "What the figure of report shows." in page
        assert "What the table says." in page
