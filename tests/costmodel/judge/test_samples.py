"""The drawn list of cores: legal, as many as said, apart where they should be, reproducible."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from costmodel.cells.technology import load_technology
from costmodel.judge import samples as sampling
from costmodel.judge.samples import as_json, draw_samples, load_samples
from hwgen.spec.structure import structure


@pytest.fixture(scope="module")
def samples():
    return load_samples()


def tables_and_ports(core):
    """A size that needs no unit costs."""
    return 40.0 * core.tables * core.ports * core.mu * core.act_bits / 8


def test_groups_are_as_large_as_said(samples):
    assert Counter(sample.group for sample in samples.cores) == sampling.SIZES
    assert len({sample.name for sample in samples.cores}) == len(samples.cores)
    assert sampling.CORES_FILE.read_text(encoding="utf-8") == as_json(samples)


def test_every_core_is_legal_and_has_a_structure(samples):
    generic = load_technology("generic")
    for sample in samples.cores:
        counts = structure(sample.config).total
        assert sum(generic.unit_area(p) * n for p, n in counts.items()) > 0


def test_no_core_is_drawn_twice(samples):
    cores = [sample.config.model_copy(update={"name": None}) for sample in samples.cores]
    assert len(set(cores)) == len(cores)


def test_training_and_inside_stay_in_range(samples):
    for sample in samples.of("train", "inside"):
        core = sample.config
        assert core.mu < sampling.UNSEEN_MU
        assert core.act in (*sampling.INTEGERS, *sampling.FLOATS)
        assert core.reuse <= sampling.MOST_REUSE
        assert core.fixed_bits in (None, *sampling.FIXED_BITS)
        assert sample.cells <= sampling.HIGHEST_CELLS * (1 + sampling.TOLERANCE)


def test_outside_goes_beyond_in_the_respect_it_names(samples):
    beyond = {
        "mu": lambda core: core.mu == sampling.UNSEEN_MU,
        "integer": lambda core: core.act in sampling.UNSEEN_INTEGERS,
        "format": lambda core: core.act == sampling.UNSEEN_FLOAT,
        "fixed_bits": lambda core: core.fixed_bits == sampling.UNSEEN_FIXED_BITS,
        "reuse": lambda core: core.reuse == sampling.UNSEEN_REUSE,
    }
    outside = samples.of("outside")
    assert Counter(sample.beyond for sample in outside) == dict.fromkeys(beyond, 3)
    assert all(beyond[sample.beyond](sample.config) for sample in outside)


def test_every_kind_and_arithmetic_is_there(samples):
    for group in ("train", "inside"):
        cores = [sample.config for sample in samples.of(group)]
        assert {core.kind for core in cores} == {"lut", "signflip", "multiplier"}
        assert {core.arith for core in cores} == {None, "float", "fixed"}
        assert {core.mu for core in cores if core.kind == "lut"} == {1, 2, 3, 4, 5}


def test_drawing_again_gives_the_same(monkeypatch):
    monkeypatch.setattr(sampling, "SIZES", {"train": 4, "outside": 2})
    once, again, other = (draw_samples(seed, tables_and_ports) for seed in (1, 1, 2))
    assert once == again != other
    for sample in once.of("train"):
        assert math.isclose(sample.cells, tables_and_ports(sample.config), abs_tol=1)


def test_the_kept_list_is_what_its_seed_draws(samples):
    assert draw_samples(samples.seed, sampling.estimated_cells) == samples
