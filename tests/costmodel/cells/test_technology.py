"""Technologies: by hand, by property, and against the synthesis they were fitted to."""

import hashlib

import pytest

from costmodel.calibrate import areas as calibration
from costmodel.calibrate.areas import GRIDS, measure, verilog
from costmodel.calibrate.file import as_yaml
from costmodel.catalog import PACKAGE
from costmodel.cells.technology import (
    LinearArea,
    Residual,
    TableArea,
    Technology,
    UncalibratedError,
    UnitCost,
    load_technology,
)
from costmodel.synth.libraries import find_library
from costmodel.synth.yosys import GENERIC_LIBERTY
from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import load, validate
from hwgen.flow.calibrate.run import calibrate
from hwgen.spec.primitive import KINDS, Primitive

TABLE = TableArea(by="fan_in", sizes=[1, 5], widths=[2, 4], areas=[[3.0, 7.0], [11.0, 31.0]])
CHEAP = [
    Primitive("fetch_mux", 8, 13),
    Primitive("fetch_mux", 10, 40),
    Primitive("adder", 10),
    Primitive("adder_carry", 12),
    Primitive("multiplier", 16, 8),
    Primitive("clamp", 8, 12),
    Primitive("xor_row", 9),
    Primitive("equal", 6),
    Primitive("register", 10),
    Primitive("register_enable", 10),
    Primitive("register_reset", 3),
    Primitive("register_enable_reset", 2),
]


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def generic():
    return load_technology("generic")


def cost(area):
    return UnitCost(status="calibrated", method="by hand", residual=None, area=area)


def technology(**costs):
    return Technology(name="toy", area_unit="ge", tool="none", liberty=[], costs=costs)


def legal(kind, width, fan_in):
    if kind == "multiplier":
        return Primitive(kind, 2 * fan_in, fan_in)
    if kind == "clamp":
        return Primitive(kind, width, width + fan_in)
    sized = kind in ("fetch_mux", "mux") or kind.startswith(("fp_add", "fp_mul"))
    return Primitive(kind, width, fan_in if sized else 0)


@pytest.mark.parametrize(
    ("width", "fan_in", "area"),
    [(2, 1, 3), (4, 5, 31), (3, 1, 5), (3, 3, 13), (6, 1, 11), (2, 9, 19), (6, 9, 91), (1, 1, 3)],
    ids=["first", "last", "between_widths", "between", "wider", "larger", "beyond", "below"],
)
def test_table_by_hand(width, fan_in, area):
    assert TABLE.area(Primitive("fetch_mux", width, fan_in)) == area


def test_line_by_hand():
    toy = technology(gate=cost(LinearArea(constant=0.5, per_bit=1.5)))
    assert toy.unit_area(Primitive("gate", 3)) == 5
    assert toy.calibrated("gate")


def test_generic_flip_flops_are_their_cells(generic):
    assert generic.area_unit == "ge"
    assert generic.unit_area(Primitive("register", 10)) == 10 * 6
    assert generic.unit_area(Primitive("register_enable", 10)) == 10 * 9
    assert generic.unit_area(Primitive("fetch_mux", 8, 1)) == 8 * 1.5


@pytest.mark.parametrize("kind", KINDS)
def test_generic_is_calibrated_for_every_kind(generic, kind):
    assert kind in GRIDS
    assert generic.calibrated(kind)
    assert generic.cost(kind).residual is not None


@pytest.mark.parametrize("kind", KINDS)
def test_more_bits_or_entries_never_shrink_area(generic, kind):
    sizes = [*range(1, 33)]
    if kind in ("fetch_mux", "mux"):
        sizes += [*range(33, 70), 90, 121, 128, 200, 256, 364, 365, 600, 1093, 3280]
    for width in (*range(1, 24), 47, 48, 49, 64):
        column = [generic.unit_area(legal(kind, width, size)) for size in sizes]
        wider = [generic.unit_area(legal(kind, width + 1, size)) for size in sizes]
        assert column[0] > 0 or kind == "mux"  # A multiplexer of one word is a wire.
        assert column == sorted(column)
        assert all(a <= b for a, b in zip(column, wider, strict=True))


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("primitive", CHEAP, ids=[primitive.label for primitive in CHEAP])
def test_committed_costs_are_what_synthesis_gives(generic, primitive):
    measured = measure(primitive, find_library("generic"))
    allowed = generic.cost(primitive.kind).residual.max_relative + 1e-4
    assert generic.unit_area(primitive) == pytest.approx(measured, rel=allowed)


def test_committed_file_belongs_to_the_liberty_file(generic):
    digest = hashlib.sha256(GENERIC_LIBERTY.read_bytes()).hexdigest()
    assert [(source.file, source.sha256) for source in generic.liberty] == [("generic.lib", digest)]
    assert (PACKAGE / "tech" / "generic.yaml").read_text(encoding="utf-8") == as_yaml(generic)


def test_missing_cost_is_an_error_not_zero():
    with pytest.raises(UncalibratedError) as error:
        technology().unit_area(Primitive("adder", 8))
    assert str(error.value) == "toy: adder: has no unit cost; run `hwgen calibrate toy`"


@pytest.mark.parametrize("primitive", [Primitive("mux", 0, 2), Primitive("mux", 8)])
def test_illegal_sizes_are_refused(generic, primitive):
    with pytest.raises(ValueError, match="Primitive"):
        generic.unit_area(primitive)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("genric", "did you mean 'generic'?"),
        ("x", "HWGEN_LIBERTY_PATH is not set, so there are no user-defined ones"),
    ],
)
def test_unknown_technology(name, hint, monkeypatch):
    monkeypatch.delenv("HWGEN_LIBERTY_PATH", raising=False)
    with pytest.raises(ConfigError) as error:
        load_technology(name)
    assert str(error.value) == (
        "technology: should be one of generic, asap7, ihp-sg13g2, sky130hd or an FPGA family, "
        f"ecp5 or xcup, not {name!r}; {hint}"
    )


def test_unknown_kind_in_a_file():
    content = technology(gate=cost(TABLE)).model_dump()
    content["costs"]["gates"] = content["costs"].pop("gate")
    with pytest.raises(ConfigError, match=r"^toy.yaml: costs: 'gates' is no kind of primitive"):
        validate(Technology, content, "toy.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"areas": [[3.0, 7.0], [2.0, 31.0]]}, "areas: should never fall with width or size"),
        ({"areas": [[3.0, 7.0]]}, "areas: should be 2 rows of 2, one row per size"),
        ({"widths": [4, 2]}, "widths: should rise, not [4, 2]"),
    ],
    ids=["falls", "shape", "order"],
)
def test_faulty_table(change, message):
    with pytest.raises(ConfigError) as error:
        validate(TableArea, TABLE.model_dump() | change, "toy.yaml")
    assert str(error.value) == f"toy.yaml: {message}"


def test_a_primitive_of_no_known_kind_cannot_be_measured():
    with pytest.raises(ValueError, match=r"^memory cannot be measured$"):
        verilog(Primitive("memory", 8))


@pytest.mark.usefixtures("own_cache", "no_records")  # No training cores: no corrections.
def test_calibration_writes_what_it_measured(tmp_path, monkeypatch):
    row = GRIDS["xor_row"]._replace(widths=(1, 2), check_widths=(3,))
    clamp = GRIDS["clamp"]._replace(
        sizes=(1, 2), widths=(2, 3), check_sizes=(3,), check_widths=(4,)
    )
    monkeypatch.setattr(calibration, "GRIDS", {"xor_row": row, "clamp": clamp})
    seen = []
    path = calibrate("generic", tmp_path / "out" / "t.yaml", lambda *step: seen.append(step))
    result = load(Technology, path)
    assert seen == [("xor_row", i, 8) for i in (1, 2, 3)] + [("clamp", i, 8) for i in range(4, 9)]
    assert result.cost("xor_row").area == LinearArea(constant=0, per_bit=2.5)
    assert result.cost("xor_row").residual == Residual(max_relative=0, mean_relative=0, points=3)
    assert result.cost("clamp").residual.points == 1
    assert result.corrections is None
    text = path.read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert calibrate("generic", path).read_text(encoding="utf-8") == text


def test_a_technology_without_files_cannot_be_calibrated(monkeypatch):
    monkeypatch.delenv("HWGEN_LIBERTY_PATH", raising=False)
    with pytest.raises(ConfigError, match=r"^technology asap7: .*HWGEN_LIBERTY_PATH is not set"):
        calibrate("asap7")
