"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hwgen.base.errors import ConfigError, HwgenError


def write_atomically(files: dict[Path, str | bytes]) -> None:
    """Write all files, or, if one cannot be written, leave every one as it was.

    Contents go to temporary files beside their targets first; HwgenError names what failed.
    """
    pending: list[tuple[str, Path]] = []
    target = Path()
    try:
        for target, content in files.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            data = content.encode() if isinstance(content, str) else content
            handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            pending.append((temporary, target))
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).chmod(0o666 & ~_umask())
        for temporary, target in list(pending):
            Path(temporary).replace(target)
            pending.remove((temporary, target))
    except OSError as error:
        raise HwgenError(f"{target}: cannot be written: {error.strerror or error}") from None
    finally:
        for temporary, _ in pending:
            Path(temporary).unlink(missing_ok=True)


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_figure(path: Path) -> None:
    """ConfigError for a file that is no picture, or in no folder."""
    if path.suffix not in (".png", ".svg"):
        raise ConfigError(f"--figure: should end in .png or .svg, not {path.name!r}")
    if not path.parent.is_dir():
        raise ConfigError(f"--figure: {path.parent} should be a folder; make it")
