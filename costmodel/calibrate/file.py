"""Calibrated unit costs as the text of their file."""

from __future__ import annotations

import yaml

from costmodel.cells.technology import Technology
from costmodel.fpga.resources import FpgaTechnology


def as_yaml(costs: Technology | FpgaTechnology) -> str:
    """``costs`` with a comment on how to make them again; equal costs give equal text."""
    head = (
        f"# {costs.title} {costs.name}, from synthesis; do not edit.\n"
        f"# To make it again: hwgen calibrate {costs.name}\n"
    )
    content = {
        key: value for key, value in costs.model_dump(mode="json").items() if value is not None
    }
    return head + yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=96)


class Dumper(yaml.SafeDumper):
    """Rows of numbers on one line, everything else in blocks."""


def _represent_list(dumper: yaml.SafeDumper, values: list[object]) -> yaml.Node:
    flow = all(isinstance(value, int | float) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flow)


Dumper.add_representer(list, _represent_list)
