"""What `make study` found under several training seeds, to stand beside a run of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, get_type_hints

from w2sg.config.yaml_files import read_yaml
from w2sg.evaluation.measures import csv_files
from w2sg.evaluation.measures.metrics import Table1Row

AGAIN = "restore it from git, or run make study POOL=1"
KEPT = Path("docs/study")  # where `make study` keeps it, under version control


@dataclass(frozen=True, slots=True)
class Study:
    """A study that was kept.

    Attributes:
        rows: its table1.csv.
        params: its parameters, as plain values.
    """

    rows: Sequence[Table1Row]
    params: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read table1.csv and params.yaml.

        Raises:
            UserError: one of them is missing, or the table is not what the report writes.
        """
        kinds = get_type_hints(Table1Row)
        found = csv_files.read(folder / "table1.csv", kinds, table="Table 1", remedy=AGAIN)
        rows = [Table1Row(**row) for row in found]
        return cls(rows, read_yaml(folder / "params.yaml"))

    @property
    def seeds(self) -> list[int]:
        """The training seeds, ascending."""
        return sorted({row.seed for row in self.rows})

    def differing(self, params: Mapping[str, Any]) -> list[str]:
        """The sections of the parameters, but for the seeds and the report's own, in which a run differs."""
        names = dict.fromkeys([*params, *self.params])
        apart = ("seeds", "report")
        return [name for name in names if name not in apart and params.get(name) != self.params.get(name)]


def without_rows(params: str) -> dict[str, str]:
    """What the report reads of a study that nothing is kept of, by name.

    Args:
        params: its parameters.
    """
    head = ",".join(get_type_hints(Table1Row))
    return {str(KEPT / "table1.csv"): f"{head}\n", str(KEPT / "params.yaml"): params}
