"""Results of a sweep as numbered part files, so that a stopped sweep goes on where it was.

A part is the points of some blocks that follow each other: what is kept of them, as Parquet, and
what became of the others, in the file's metadata. It appears whole or not at all. Parts joined in
order are the same, whoever made them and in which order.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hwgen.base.errors import HwgenError
from hwgen.base.files import write_atomically
from hwgen.flow.sweep.evaluate import BLOCK, Evaluator, Kept, Tally, boxes
from hwgen.flow.sweep.plan import SweepPlan
from hwgen.space.space import Space

MANIFEST = "manifest.json"
MOST_BLOCKS = 128
"""Of a part: seconds of work, if every block has a shape of its own."""
ROW_GROUP = 1 << 18
AGAIN = "run the same command again to go on"


class PartError(HwgenError):
    """A part file cannot be read or written; the others stay."""


class Layout:
    """The blocks of a space, and which of them make a part."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.boxes = boxes(space.sizes)
        self.blocks = len(space.shapes) * len(self.boxes)
        largest = -(-space.grid // len(self.boxes))
        self.each = max(1, min(MOST_BLOCKS, BLOCK * 2 // largest))
        self.parts = -(-self.blocks // self.each)

    def __getitem__(self, part: int) -> Iterator[tuple[int, Any]]:
        """Shape and box of every block of a part."""
        for block in range(part * self.each, min((part + 1) * self.each, self.blocks)):
            place, box = divmod(block, len(self.boxes))
            yield place, self.boxes[box]

    def points(self, part: int) -> int:
        """Combinations of a part."""
        sizes = ([s.stop - s.start for s in box] for _, box in self[part])
        return sum(int(np.prod(size)) for size in sizes)


def evaluate(evaluator: Evaluator, layout: Layout, part: int) -> tuple[pa.Table, Tally]:
    """The rows of a part, with what became of its points. ``candidate``: on the front so far."""
    tally, kept = Tally(), []
    for place, box in layout[part]:
        block = evaluator.block(place, box, tally)
        if block is not None:
            kept.append(block)
    return table_of(evaluator, kept), tally


def table_of(evaluator: Evaluator, kept: list[Kept]) -> pa.Table:
    """Rows of what is kept, ``candidate`` if on the evaluator's front so far."""
    space = evaluator.plan.space
    if not kept:
        return pa.table({"point": pa.array([], pa.int64())})
    numbers = np.concatenate([one.numbers for one in kept])
    first = int(numbers.min())
    candidate = np.isin(numbers, evaluator.front.ids[evaluator.front.ids >= first])
    places = [one.shape for one in kept]
    lengths = [len(one.numbers) for one in kept]
    shapes = [space.shapes[place].columns for place in places]
    columns: dict[str, Any] = {"point": numbers}
    for name, first_value in shapes[0].items():
        values = [shape[name] for shape in shapes]
        if isinstance(first_value, str):
            words, codes = np.unique(values, return_inverse=True)
            indices = np.repeat(codes.astype(np.int32), lengths)
            columns[name] = pa.DictionaryArray.from_arrays(indices, words.astype(str).tolist())
        else:
            columns[name] = np.repeat(np.array(values, np.int32), lengths)
    for name in kept[0].columns:
        parts = [np.broadcast_to(one.columns[name], len(one.numbers)) for one in kept]
        column = np.concatenate(parts)
        # Sizes are small; cycles of a first token need not be.
        small = column.dtype == np.int64 and not name.endswith("cycles")
        columns[name] = column.astype(np.int32) if small else column
    if evaluator.plan.config.keep == "all":
        columns["feasible"] = np.concatenate([one.feasible for one in kept])
    table = pa.table(columns | {"candidate": candidate})
    return table.filter(candidate) if evaluator.plan.config.keep == "front" else table


class PartFiles:
    """The part files of a sweep in a folder."""

    def __init__(self, folder: Path, plan: SweepPlan, layout: Layout) -> None:
        self.folder, self.layout = folder, layout
        self.manifest: dict[str, str | int] = {
            "format": "hwgen.parts/1",
            "plan": plan.digest,
            "parts": layout.parts,
            "blocks": layout.each,
        }

    def open(self) -> list[int]:
        """The parts that are there; those of another sweep, and broken ones, are removed."""
        path = self.folder / MANIFEST
        try:
            known = json.loads(path.read_text())
        except (OSError, ValueError):
            known = None
        if known != self.manifest:
            shutil.rmtree(self.folder, ignore_errors=True)
            write_atomically({path: json.dumps(self.manifest) + "\n"})
            return []
        for stray in self.folder.glob(".part-*"):
            stray.unlink(missing_ok=True)
        return [part for part in range(self.layout.parts) if self._whole(part)]

    def path(self, part: int) -> Path:
        return self.folder / f"part-{part:06d}.parquet"

    def _whole(self, part: int) -> bool:
        path = self.path(part)
        if not path.exists():
            return False
        try:
            _facts(pq.read_schema(path))
        except (OSError, ValueError):
            path.unlink()
            return False
        return True

    def write(self, part: int, table: pa.Table, tally: Tally) -> None:
        """A whole part; PartError if there is no room for it."""
        path = self.path(part)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        facts = json.dumps(_as_json(tally)).encode()
        metadata = {b"hwgen": facts, b"crc32": b"%d" % zlib.crc32(facts)}
        try:
            pq.write_table(
                table.replace_schema_metadata(metadata),
                temporary,
                compression="lz4",
                use_dictionary=_words(table.schema),
                write_statistics=False,
                write_page_checksum=True,
            )
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise PartError(_unwritten(path, error)) from None

    def tally(self, part: int) -> Tally:
        """What became of a part's points."""
        return _facts(self._open(part).schema_arrow)

    def read(self, part: int, columns: list[str] | None = None) -> pa.Table:
        """Rows of a part; PartError, and the part is removed, if it is damaged."""
        file = self._open(part)
        try:
            names = None if columns is None or not file.metadata.num_rows else columns
            return file.read(columns=names)
        except (OSError, ValueError) as error:
            raise self._broken(part, error) from None

    def remove(self) -> None:
        """All parts: the results have them."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _open(self, part: int) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path(part), page_checksum_verification=True)
        except (OSError, ValueError) as error:
            raise self._broken(part, error) from None

    def _broken(self, part: int, error: Exception) -> PartError:
        path = self.path(part)
        path.unlink(missing_ok=True)
        reason = str(error).splitlines()[0]
        return PartError(f"{path}: is damaged ({reason}) and was removed; {AGAIN}")


class ResultsWriter:
    """Writes the final table, row groups of one size whatever the parts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}")
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        """More rows."""
        if not table.num_rows:
            return
        self._waiting.append(table)
        self._rows += table.num_rows
        if self._rows >= ROW_GROUP:
            self._flush()

    def _flush(self, last: bool = False) -> None:
        table = pa.concat_tables(self._waiting).combine_chunks()
        whole = len(table) if last else len(table) // ROW_GROUP * ROW_GROUP
        rest = table.slice(whole)
        self._waiting, self._rows = [rest], rest.num_rows
        try:
            if self._writer is None:
                self._writer = pq.ParquetWriter(
                    self.temporary,
                    table.schema.remove_metadata(),
                    compression="zstd",
                    compression_level=1,
                    use_dictionary=_words(table.schema),
                )
            for start in range(0, whole, ROW_GROUP):
                self._writer.write_table(table.slice(start, min(ROW_GROUP, whole - start)))
        except OSError as error:
            self.drop()
            raise PartError(_unwritten(self.path, error)) from None

    def finish(self) -> None:
        """The file is whole, but not yet in its place."""
        self._flush(last=True)
        assert self._writer is not None
        try:
            self._writer.close()
        except OSError as error:
            self.drop()
            raise PartError(_unwritten(self.path, error)) from None

    def drop(self) -> None:
        """Leave nothing."""
        self.temporary.unlink(missing_ok=True)


def _words(schema: pa.Schema) -> list[str] | bool:
    """Columns worth a dictionary: few words, repeated."""
    names = [
        field.name
        for field in schema
        if pa.types.is_dictionary(field.type) or pa.types.is_string(field.type)
    ]
    return names or False


def _unwritten(path: Path, error: OSError) -> str:
    reason = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
    more = "make room and " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return f"{path}: cannot be written: {reason}; the parts before it are kept: {more}{AGAIN}"


def _as_json(tally: Tally) -> dict[str, Any]:
    return {
        "points": tally.points,
        "feasible": tally.feasible,
        "dropped": dict(tally.dropped),
        "excluded": dict(tally.excluded),
        "nearest": tally.nearest,
    }


def _facts(schema: pa.Schema) -> Tally:
    """ValueError if they are not as written."""
    metadata = schema.metadata or {}
    content = metadata.get(b"hwgen", b"")
    if metadata.get(b"crc32") != b"%d" % zlib.crc32(content):
        raise ValueError("checksum of metadata")
    facts = json.loads(content)
    nearest = facts.pop("nearest")
    dropped, excluded = Counter(facts.pop("dropped")), Counter(facts.pop("excluded"))
    return Tally(**facts, dropped=dropped, excluded=excluded, nearest=nearest and tuple(nearest))
