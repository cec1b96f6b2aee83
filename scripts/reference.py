"""The parts of the documentation that are made from the code: written into the pages, or compared.

A page marks such a part with two comments; what stands between them is replaced:

    <!-- generated: NAME ARGUMENT … -->
    <!-- end -->

``python -m scripts.reference`` rewrites all pages, ``--check`` only says which are not current.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from scripts.blocks import commands, compared, files, numbers, schemas, technologies

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "docs/**/*.md", "notebooks/README.md")
BLOCK = re.compile(r"(<!-- generated: ([^\n]+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
BLOCKS: dict[str, Callable[..., Iterable[str]]] = {
    "accuracy": technologies.accuracy,
    "accuracy-line": technologies.accuracy_line,
    "columns": files.columns,
    "commands": commands.commands,
    "comparison": compared.comparison,
    "examples": files.examples,
    "extras": files.extras,
    "float-formats": numbers.float_formats,
    "float-limits": numbers.float_limits,
    "groups": technologies.groups,
    "manifest": files.manifest,
    "models": files.models,
    "primitives": technologies.primitives,
    "quantities": files.quantities,
    "schema": schemas.schema,
    "short-block": numbers.short_block,
    "support": technologies.support,
    "sweep-files": files.sweep_files,
    "table-levels": numbers.table_levels,
}
"""What makes the lines of each kind of part."""


def pages() -> list[Path]:
    """Every page that may hold generated parts."""
    return sorted({path for pattern in PAGES for path in ROOT.glob(pattern)})


def current(text: str) -> str:
    """A page with all its generated parts made anew; KeyError for a part of an unknown name."""

    def made(found: re.Match[str]) -> str:
        name, *arguments = found[2].split()
        lines = "\n".join(BLOCKS[name](*arguments))
        return f"{found[1]}{lines}\n{found[4]}"

    return BLOCK.sub(made, text)


def main(arguments: list[str]) -> int:
    """Rewrite the pages; with --check, print the names of those that are not current."""
    os.environ.pop("HWGEN_LIBERTY_PATH", None)  # No user-defined technology in the tables.
    stale = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (new := current(text)) != text:
            stale.append(page.relative_to(ROOT).as_posix())
            if "--check" not in arguments:
                page.write_text(new, encoding="utf-8")
    print(*stale, sep="\n", end="\n" if stale else "")
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
