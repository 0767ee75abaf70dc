"""Snakemake's report: it carries the figures and tables that `meta.report` names, each with its caption."""

import zipfile
from pathlib import Path

import pytest

from snakemake_dvc import find_caption


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


@pytest.mark.slow
def test_figures_tables_and_captions_are_in_the_report(toy, tmp_path):
    toy.edit("dvc.yaml", 'report: ["out/report/*.svg"]', 'report: ["out/report/*.svg", "out/score/a.json"]')
    (toy.path / "workflow/report").mkdir(parents=True)
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
        assert "figure.svg" in page
        assert "What the figure of report shows." in page
        assert "What the table says." in page
