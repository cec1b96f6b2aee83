"""Records: what was measured of whole cores, with the model's predictions, as CSV files.

``costmodel/holdout/<technology>.csv`` and ``costmodel/training/<technology>.csv`` have the cores in
the order of the drawn list (`costmodel.judge.samples`). Measured columns are data; predictions are
computed again whenever a record is written. A record in the user's folder is read in preference to
that of the package (`costmodel.catalog.data_file`); that of a user-defined technology is beside its
Liberty files.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from costmodel.catalog import data_destination, data_file, own_folder
from costmodel.judge.samples import Group, Sample, load_samples
from hwgen.base.files import write_atomically
from hwgen.spec.structure import Structure, structure

if TYPE_CHECKING:  # Pandas takes a third of a second, which a prediction does not need.
    import pandas as pd

HOLDOUT: tuple[Group, ...] = ("inside", "outside", "large")
TRAINING: tuple[Group, ...] = ("train",)
Columns = dict[str, Any]
"""Columns of one line of a record, by name."""
Rows = dict[str, Any]
"""Measured columns by the name of the core; a record may divide them further."""


class Record(ABC):
    """What was measured of some groups of cores in one technology."""

    suffix: ClassVar[str] = ""
    """Ending of the file's stem."""
    kept: ClassVar[tuple[str, ...]] = ("tool",)
    """Measured columns besides those whose names start with ``synthesised_``."""

    def __init__(self, technology: str, groups: Sequence[Group]) -> None:
        self.technology, self.groups = technology, tuple(groups)

    @cached_property
    def samples(self) -> list[Sample]:
        """The drawn cores of these groups, measured or not."""
        return load_samples().of(*self.groups)

    @property
    def path(self) -> Path:
        """The file to read; it may not exist."""
        own = own_folder(self.technology)
        return data_file(self._place) if own is None else own / self._own_name

    @property
    def destination(self) -> Path:
        """The file to write."""
        own = own_folder(self.technology)
        return data_destination(self._place) if own is None else own / self._own_name

    @property
    def _kind(self) -> str:
        return "training" if "train" in self.groups else "holdout"

    @property
    def _place(self) -> str:
        return f"{self._kind}/{self.technology}{self.suffix}.csv"

    @property
    def _own_name(self) -> str:
        return f"{self._kind}{self.suffix}.csv"

    def rows(self) -> Rows:
        """What was measured so far."""
        import pandas as pd

        if not self.path.exists():
            return {}
        rows: Rows = {}
        for line in pd.read_csv(self.path, keep_default_na=False).to_dict("records"):
            columns = {str(name): value for name, value in line.items()}
            measured = {name: value for name, value in columns.items() if self._is_measured(name)}
            self._add(rows, columns, measured)
        return rows

    def _is_measured(self, name: str) -> bool:
        return name.startswith("synthesised_") or name in self.kept

    def _add(self, rows: Rows, columns: Columns, measured: Columns) -> None:
        """Add the measured columns of a line to ``rows``."""
        rows[str(columns["name"])] = measured

    @abstractmethod
    def lines(self, spec: Structure, row: Any) -> Iterable[Columns]:
        """Lines of one core: predictions and measured columns."""

    def table(self, rows: Rows) -> pd.DataFrame:
        """All lines of the measured cores, in the order of the drawn list."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "name": sample.name,
                    "group": sample.group,
                    "beyond": sample.beyond or "",
                    "config": json.dumps(sample.core),
                    **columns,
                }
                for sample in self.samples
                if sample.name in rows
                for columns in self.lines(structure(sample.config), rows[sample.name])
            ]
        )

    def text(self, rows: Rows) -> str:
        """The text of the file."""
        return self.table(rows).to_csv(index=False, lineterminator="\n")

    def write(self, rows: Rows) -> None:
        """Write the file, with new predictions."""
        write_atomically({self.destination: self.text(rows)})


def predict_again(record: type[Record], technology: str) -> None:
    """Write new predictions into a technology's records, after its costs have changed."""
    for groups in (TRAINING, HOLDOUT):
        one = record(technology, groups)
        if rows := one.rows():
            one.write(rows)
