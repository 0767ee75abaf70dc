"""How intervals and p-values are written for people."""

from w2sg.evaluation.measures.statistics import Interval

MINUS = "\N{MINUS SIGN}"


def points(value: Interval) -> str:
    """A difference in points of task score with its interval."""
    return f"{100 * value.mean:+.1f} [{100 * value.low:+.1f}, {100 * value.high:+.1f}]".replace("-", MINUS)


def score(value: Interval) -> str:
    """A mean reward as a task score with its interval."""
    return f"{100 * value.mean:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def share(value: Interval) -> str:
    """A share in per cent with its interval."""
    return f"{100 * value.mean:.0f} % [{100 * value.low:.0f}, {100 * value.high:.0f}]".replace("-", MINUS)


def p_value(value: float) -> str:
    """A p-value, to three decimals."""
    return f"{value:.3f}" if value >= 0.0005 else "< 0.001"
