"""What `make study` found under several training seeds, to stand beside a run of one."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, get_type_hints

from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures.metrics import Table1Row

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
        table, kinds = folder / "table1.csv", get_type_hints(Table1Row)
        try:
            with table.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                if reader.fieldnames != list(kinds):
                    raise UserError(f"{table}: other columns than Table 1 has; restore it from git, or run make study")
                rows = [Table1Row(**{name: kinds[name](text) for name, text in row.items()}) for row in reader]
        except OSError as error:
            raise UserError(f"{table}: {error.strerror}; restore it from git, or run make study") from None
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{table}: a row that is none of Table 1; restore it from git, or run make study") from None
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
