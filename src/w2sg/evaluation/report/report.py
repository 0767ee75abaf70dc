"""The report: Table 1, comparisons, tree quality, charts and one HTML page that needs nothing beside itself."""

from dataclasses import asdict
from pathlib import Path

from w2sg.contracts import files
from w2sg.evaluation.measures import csv_files, explorations, learning
from w2sg.evaluation.paper import claims
from w2sg.evaluation.report import csv_rows, pictures, tables
from w2sg.evaluation.report.explorer import page as explorer
from w2sg.evaluation.report.inputs import ReportInputs
from w2sg.evaluation.report.page import page
from w2sg.evaluation.report.results import other_tables, work_out


def build(inputs: ReportInputs, *, folder: Path) -> list[str]:
    """Write tables (CSV, Markdown), claims.md, figures/*.svg, report.html and the explorer; equal inputs, equal bytes.

    Returns a line for every environment that left little to learn.

    Rewards and rates are fractions in the CSV files and 100 times that, the paper's task score, for people to read.

    Raises:
        UserError: there are no episodes, or models were not evaluated on the same tasks (`metrics.check`).
    """
    results = work_out(inputs)
    drawn = pictures.drawn_trees(inputs)
    charts = pictures.charts(inputs, results)
    figures = {name: chart.sheet() for name, chart in charts.items()}
    figures |= {f"tree_{tree.environment}": svg for tree, svg in drawn}
    table1 = tables.table1_markdown(
        results.cells,
        resampling=inputs.resampling,
        binary=results.binary,
        served=results.served,
        after=[tables.learning_table(results.learning)] if results.learning else [],
    )

    csv_files.write(folder / "table1.csv", [asdict(row) for row in results.table1])
    files.write_text(folder / "table1.md", table1)
    csv_files.write(folder / "learning.csv", [csv_rows.learning(each) for each in results.learning])
    others = [table.markdown() for table in other_tables(inputs, results).values()]
    files.write_text(folder / "tables.md", "\n".join(others))
    csv_files.write(folder / "comparisons.csv", [csv_rows.comparison(c) for c in results.compared])
    csv_files.write(folder / "recovered.csv", [csv_rows.recovered(r) for r in results.recovered])
    complements = [line for each in results.complements for line in csv_rows.complement(each)]
    csv_files.write(folder / "complement.csv", complements)
    csv_files.write(folder / "regime.csv", [csv_rows.regime_cell(each) for each in results.regime])
    csv_files.write(folder / "supervision.csv", [asdict(line) for line in inputs.supervision])
    files.write_text(folder / "claims.md", claims.markdown(results.judged))
    csv_files.write(folder / "theorem.csv", [csv_rows.theorem(r) for r in results.theorem])
    csv_files.write(folder / "tree_gain.csv", [csv_rows.tree_gain(p) for p in results.points])
    csv_files.write(folder / "tree_quality.csv", [explorations.row(e) for e in inputs.explorations])
    with files.replacing(folder / "figures") as temporary:
        temporary.mkdir()
        for name, svg in sorted(figures.items()):
            (temporary / f"{name}.svg").write_text(svg + "\n", encoding="utf-8")
    files.write_text(folder / "report.html", page(inputs, results, charts=charts, drawn=drawn))
    explorer.write(inputs, results, folder=folder)
    return learning.warnings(results.learning)
