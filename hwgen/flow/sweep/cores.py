"""Rows of a sweep's results as core files: what of a row belongs into one, and what goes unsaid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hwgen.spec.config import CoreConfig, Pipeline
from hwgen.spec.number import FLOATS


def core_of(row: pd.Series | Mapping[str, Any]) -> CoreConfig:
    """The core of a row of results, from its columns alone."""
    said = core_files(pd.DataFrame([dict(row)])).iloc[0]
    content: dict[str, Any] = {"pipeline": {}}
    for key, value in said.items():
        if value is not None:
            head, _, tail = str(key).partition(".")
            plain = value if isinstance(value, str) else int(value)
            (content[head] if tail else content)[tail or head] = plain
    return CoreConfig.model_validate(content)


def core_keys(results: pd.DataFrame) -> dict[str, str]:
    """Keys of a core's file that columns of ``results`` hold, in the file's order."""
    fields = [name for name in CoreConfig.model_fields if name not in ("format", "name")]
    place = fields.index("pipeline")
    fields[place : place + 1] = [f"pipeline.{name}" for name in Pipeline.model_fields]
    columns = {name: name.replace(".", "_") for name in fields}
    return {key: column for key, column in columns.items() if column in results}


def core_files(results: pd.DataFrame) -> pd.DataFrame:
    """Of each row what its core's file says, a column per key; None where it says nothing.

    Results spell out what a file leaves to defaults: words of what a core does not have are empty,
    and a fixed point of full width, which no file may ask for, is the exact one.
    """
    files: dict[str, pd.Series] = {}
    for key, column in core_keys(results).items():
        values = results[column].astype(object)
        absent = results[column].isna() | (values == "")
        if key.startswith("pipeline."):
            absent |= values == 0
        if key == "fixed_bits":
            exact = (
                results["act"]
                .astype(object)
                .map({name: f.fixed_bits for name, f in FLOATS.items()})
            )
            absent |= (values == 0) | (values == exact)
        if key == "sum_format":
            absent |= values == results["act"].astype(object)
        if key == "mu" and "kind" in results:
            absent |= results["kind"] != "lut"
        files[key] = values.where(~absent, None)
    return pd.DataFrame(files, index=results.index)
