"""hwgen generate: a core's Verilog and manifest on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgen.base.files import write_atomically
from hwgen.base.record import Record
from hwgen.base.yamlfile import Source
from hwgen.spec.config import CoreConfig, load_core
from hwgen.verilog.emit import Emitted, emit


@dataclass(frozen=True)
class Generated(Record):
    """A core that was written. top: its Verilog module. files: their names in ``folder``."""

    drawn_in = "generate"
    folder: Path
    top: str
    files: tuple[str, ...]
    manifest: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Where the files are, and the manifest."""
        return {
            "folder": str(self.folder),
            "top": self.top,
            "files": list(self.files),
            "manifest": self.manifest,
        }


def generate(core: Source | CoreConfig, out: str | Path | None = None) -> Generated:
    """Emit a core's Verilog and manifest into ``out``, by default ``rtl_out/<name>``.

    core: a core file, YAML text, a mapping, or a core. Raises ConfigError for a faulty core,
    HwgenError if the files cannot be written.
    """
    emitted = emit(load_core(core))
    folder = Path("rtl_out") / emitted.name if out is None else Path(out)
    write(emitted, folder)
    return Generated(folder, emitted.name, tuple(emitted.files), emitted.manifest)


def write(emitted: Emitted, folder: Path) -> None:
    """All files of a core at once, or none."""
    write_atomically({folder / name: content for name, content in emitted.files.items()})
