"""The text of this example: the King James Bible, without references, one verse per line.

Debian's package bible-kjv-text has it compressed, and the command ``bible`` of package bible-kjv
prints it, a verse per line after its reference: "Ge1:1 In the beginning …". Its copyright has
expired (README.md).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HELD_OUT = "Acts"
"""The book that is never trained on."""
EXCERPT_CHARACTERS = 20_000
_VERSE = re.compile(r"([1-3]?[A-Za-z]+)[0-9]+:[0-9]+ (.*)")


@dataclass(frozen=True)
class Corpus:
    """characters: all that occur, sorted; training, held_out: lines of text, each ended."""

    characters: str
    training: str
    held_out: str

    @property
    def excerpt(self) -> str:
        """The first whole lines of the held-out text, at most ``EXCERPT_CHARACTERS``."""
        return self.held_out[: self.held_out.rindex("\n", 0, EXCERPT_CHARACTERS) + 1]


def read_corpus(file: Path | None) -> Corpus:
    """Split the verses that ``file`` holds, or without one those that ``bible`` prints."""
    if file is not None:
        text = file.read_text()
    elif (bible := shutil.which("bible")) is not None:
        command = [bible, "-f", "gen1:1-rev22:21"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    else:
        sys.exit(
            "train.py: no command 'bible', which prints the text; run 'apt install bible-kjv', or "
            "give the output of 'bible -f gen1:1-rev22:21' from another machine as --corpus FILE"
        )
    training, held_out = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line:
            continue  # bible ends its output with an empty line.
        verse = _VERSE.fullmatch(line)
        if verse is None:
            sys.exit(
                f"train.py: {file or 'bible'}: line {number} should be a reference and a verse, "
                f"as in 'Ge1:1 In the beginning …', not {line[:40]!r}; print it with bible -f"
            )
        (held_out if verse[1] == HELD_OUT else training).append(verse[2] + "\n")
    if not held_out or not training:
        sys.exit(f"train.py: {file or 'bible'}: should hold {HELD_OUT} and other books; print all")
    everything = "".join(training) + "".join(held_out)
    return Corpus("".join(sorted(set(everything))), "".join(training), "".join(held_out))
