"""hwgen generate: a core's Verilog and manifest on disk."""

from __future__ import annotations

from pathlib import Path

from hwgen.base.files import write_atomically
from hwgen.spec.config import load_core
from hwgen.verilog.emit import Emitted, emit


def generate(core: Path, out: Path | None = None) -> Path:
    """Emit the core in ``core`` into ``out`` (default rtl_out/<name>) and return that folder."""
    emitted = emit(load_core(core))
    folder = out or Path("rtl_out") / emitted.name
    write(emitted, folder)
    return folder


def write(emitted: Emitted, folder: Path) -> None:
    """All files of a core at once, or none."""
    write_atomically({folder / name: content for name, content in emitted.files.items()})
