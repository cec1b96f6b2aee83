"""One process at a time in a folder of results."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from hwgen.base.errors import HwgenError

FILE = ".lock"
_held: set[Path] = set()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Within it, no other process is, for the same folder, which is made if it is not there.

    The lock goes with the process that holds it, however that ends; the one that holds it may take
    it again. HwgenError that names the holder, and for a folder that cannot be written.
    """
    file = folder.absolute() / FILE
    if file in _held:
        yield
        return
    with _locked(file) as stream:
        _held.add(file)
        stream.truncate(0)
        stream.write(f"process {os.getpid()}, {_command()}, since {time.strftime('%H:%M:%S')}\n")
        stream.flush()
        try:
            yield
        finally:
            _held.discard(file)
            file.unlink(missing_ok=True)


def _locked(file: Path) -> TextIO:
    """The file, open and locked."""
    while True:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            stream = file.open("a+")
        except OSError as error:
            raise HwgenError(
                f"{file.parent}: cannot be written: {error.strerror or error}"
            ) from None
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "another process"
            stream.close()
            raise HwgenError(
                f"{file.parent}: in use by {holder}; wait until it has ended, or give another "
                "folder"
            ) from None
        # Whoever held it before may have removed the file after it was opened here.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(stream.fileno()), file.stat()):
                return stream
        stream.close()


def _command() -> str:
    """How this process was started, in short."""
    words = [Path(sys.argv[0]).name or "python", *sys.argv[1:]]
    text = " ".join(words)
    return text if len(text) <= 80 else f"{text[:77]}..."
