"""Clocks of FPGA cores: paths counted by hand, the fit, and what has no clock."""

from __future__ import annotations

import pytest

from costmodel.cells.paths import Element, Path, paths
from costmodel.fit.residual import Residual
from costmodel.fpga import clock as fpgadelay
from costmodel.fpga.clock import FpgaDelays, NoFmaxError, core_fmax, fit_delays
from costmodel.fpga.resources import load_fpga
from costmodel.fpga.terms import TERMS, Terms, element_terms, path_terms
from costmodel.judge.samples import load_samples
from hwgen.spec.config import CoreConfig, Pipeline
from hwgen.spec.structure import structure
from tests.support.cases import CASES

EXACT = Residual(max_relative=0, mean_relative=0, points=1)
TRUTH = {"register": 1.5, "level": 0.7, "adder": 1.1, "bit": 0.06, "fanout": 0.3}


def delays(terms_ns):
    return FpgaDelays(method="by hand", tool="none", terms_ns=terms_ns, residual=EXACT)


def lut(**changes):
    core = {"kind": "lut", "mu": 3, "tables": 4, "ports": 4, "storage": "registers"}
    return CoreConfig.model_validate(core | changes)


def test_a_path_by_hand():
    """From a register through a table of 15 words and two adders of 9 and 10 bits."""
    path = Path(
        "fetch+reduce",
        (
            (Element("register", 0), 1),
            (Element("fetch_mux", 15), 1),
            (Element("adder_before", 0), 1),
            (Element("adder", 10), 1),
        ),
        sinks=8,
    )
    assert path_terms(path) == Terms(register=1, level=2.5, adder=2, bit=11, fanout=3)
    result = core_fmax(structure(CASES["signflip_smallest"]), delays(TRUTH), "ecp5")
    assert result.mhz > 0


def test_the_slowest_path_limits():
    spec = structure(lut())
    found = {
        path.stage: sum(a * TRUTH[n] for a, n in zip(path_terms(path), TERMS, strict=True))
        for path in paths(spec)
    }
    result = core_fmax(spec, delays(TRUTH), "ecp5")
    assert result.mhz == pytest.approx(1000 / max(found.values()))
    assert result.stage == max(found, key=found.__getitem__)


def test_registers_inside_an_adder_shorten_its_stages():
    levels = [element_terms(Element("fp_add_fp16", stages)).level for stages in range(1, 6)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 2 * levels[-1]
    assert element_terms(Element("fp_add_fp16", 2)).register == 1


def test_every_element_of_every_core_is_counted():
    cores = [sample.config for sample in load_samples().cores] + list(CASES.values())
    for core in cores:
        for path in paths(structure(core)):
            terms = path_terms(path)
            assert min(terms) >= 0 < sum(terms), (core, path)
    with pytest.raises(ValueError, match=r"^memory is no element of a path$"):
        element_terms(Element("memory", 1))


@pytest.mark.parametrize(
    ("slower", "faster"),
    [
        (lut(), lut(pipeline=Pipeline(fetch=1, reduce=1))),
        (lut(act="int16"), lut(act="int4")),
        (lut(tables=16), lut(tables=2)),
        (lut(reuse=64), lut(reuse=2)),
    ],
    ids=["registers", "bits", "tables", "reuse"],
)
def test_what_is_longer_is_never_faster(slower, faster):
    clocks = [core_fmax(structure(c), delays(TRUTH), "ecp5").mhz for c in (slower, faster)]
    assert clocks[0] <= clocks[1]


def test_the_fit_finds_the_delays_behind_exact_data(monkeypatch):
    monkeypatch.setattr(fpgadelay, "RIDGE", 1e-9)
    monkeypatch.setattr(fpgadelay, "ROUNDS", 300)
    specs = [structure(sample.config) for sample in load_samples().of("train")]
    clocks = [core_fmax(spec, delays(TRUTH), "ecp5").mhz for spec in specs]
    found = fit_delays(specs, clocks, "by hand", "none")
    assert found.terms_ns == pytest.approx(TRUTH, rel=0.02)
    assert found.residual.max_relative < 0.01


def test_a_family_without_place_and_route_has_no_clock():
    spec = structure(lut())
    with pytest.raises(NoFmaxError) as error:
        core_fmax(spec, load_fpga("xcup").delays, "xcup")
    assert str(error.value) == "xcup: Fmax is not available; no place and route is known for it"
    assert load_fpga("xcup").delays is None
    with pytest.raises(NoFmaxError) as error:
        core_fmax(spec, None, "ecp5")
    assert str(error.value) == (
        "ecp5: has no unit delays; run `hwgen calibrate ecp5 --training`, then "
        "`hwgen calibrate ecp5`"
    )
