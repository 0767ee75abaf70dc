"""Stage report: tables, figures and one self-contained report.html. Reads only what the parameters name."""

import sys

from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.evaluation.report import report
from w2sg.evaluation.report.inputs import gather


def main(params: Params) -> None:
    """Read episodes, trees, pairs, paths and learning curves; write results/."""
    for warning in report.build(gather(params), folder=layout.RESULTS):
        print(f"report: {warning}", file=sys.stderr)
