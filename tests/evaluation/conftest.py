"""What tests of the report share."""

import pytest

from w2sg.evaluation.report import pictures
from w2sg.evaluation.report.figures.canvas import Chart, Panel


@pytest.fixture
def words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No chart is drawn, which takes most of a report's time."""
    nothing = Chart("Nothing", [Panel("<svg></svg>", 1, 1)])
    monkeypatch.setattr(
        pictures, "charts", lambda inputs, results: dict.fromkeys(("standings", "differences", "progress"), nothing)
    )
