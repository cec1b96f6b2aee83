"""The comparison of explanation/fp16.md: synthesised by one command, with a record of its cores.

``python -m scripts.comparison`` takes a quarter of an hour on two processors and needs the Liberty
files of all technologies. The numbers are current as long as the cores are those of the record.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from hwgen.flow.compare.file import load_comparison
from hwgen.flow.compare.run import compare
from hwgen.verilog.emit import emit
from scripts.blocks.compared import RECORD, TABLE
from scripts.blocks.compared import SOURCE as COMPARISON

SLICE = {"ports": 2}


def cores() -> dict[str, str]:
    """A hash of a slice of each compared core, as it is generated now, by its label.

    A slice of two ports has all the modules of a core, in a tenth of the time.
    """
    _, configs = load_comparison(COMPARISON)
    return {
        label: hashlib.sha256(emit(core.model_copy(update=SLICE)).rtlil.encode()).hexdigest()
        for label, core in configs.items()
    }


def main() -> None:
    """Synthesise all cores in all technologies, and keep the table and the record."""
    with tempfile.TemporaryDirectory() as folder:
        compare(COMPARISON, out=Path(folder))
        shutil.copyfile(Path(folder) / "comparison.csv", TABLE)
    RECORD.write_text(json.dumps(cores(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
