"""Names of ports: made and recognised in one place."""

from __future__ import annotations

import pytest

from hwgen.spec.config import check_identifier
from hwgen.spec.ports import STREAMS, is_port, port_name
from tests.support.cases import CASES
from tests.support.emitted import emitted


def test_names_of_ports():
    assert port_name("acts", "payload") == "acts__payload"
    assert port_name("array", 3) == "array__3"


@pytest.mark.parametrize("name", CASES)
def test_every_port_of_a_core_is_recognised_and_no_core_can_be_called_so(name):
    manifest = emitted(CASES[name]).manifest
    assert tuple(manifest["streams"]) == STREAMS
    names = [port["name"] for port in manifest["ports"]]
    assert len(names) == 2 + 3 * len(STREAMS)
    for port in names:
        assert is_port(port)
        with pytest.raises(ValueError, match="should be other than a port of the core"):
            check_identifier(port)


def test_other_names_are_no_ports():
    assert not any(map(is_port, ("acts", "acts_", "sums_out", "clock", "core")))
