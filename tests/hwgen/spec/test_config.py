"""Configurations: what is refused, in which words, and what a legal one means."""

from __future__ import annotations

from math import ceil, floor, log2
from pathlib import Path

import pytest
from pydantic import ValidationError

from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import load
from hwgen.spec.codebook import CODEBOOKS
from hwgen.spec.config import CoreConfig, Pipeline, load_core
from hwgen.spec.structure import structure
from tests.support.cases import CASES

FORMATS = "int2 … int16, fp16, bf16, fp8_e4m3, fp8_e5m2"
LUT = "kind: lut\ntables: 2\nports: 2\n"
SIGNFLIP = "kind: signflip\ntables: 2\nports: 2\n"
MULTIPLIER = "kind: multiplier\ntables: 2\nports: 2\n"
KEYS = (
    "format, name, kind, act, arith, fixed_bits, sum_format, codebook, mu, tables, ports, reuse, "
    "table, storage, builder, pipeline, acc_bits, acc_overflow, max_in_features, max_out_features"
)
NAME_RULE = "should be a Verilog identifier (letters, digits, _; no keyword)"


def refusal(path: Path) -> str:
    """What is said of the file, which lines name with its folder, as the user did."""
    with pytest.raises(ConfigError) as error:
        load_core(path)
    lines = str(error.value).splitlines()
    assert all(line.startswith(str(path)) for line in lines)
    return "\n".join(line.removeprefix(f"{path.parent}/") for line in lines)


def write(folder: Path, content: str | bytes, name: str = "core.yaml") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


FIELD_FAULTS = {
    "missing": ("tables: 1\nports: 1\n", "kind: is required; add it"),
    "unknown_close": (LUT + "prots: 1\n", "unknown key 'prots'; did you mean 'ports'?"),
    "unknown_far": (LUT + "zzz: 1\n", f"unknown key 'zzz'; known: {KEYS}"),
    "unknown_nested_close": (
        LUT + "pipeline: {fetsh: 1}\n",
        "unknown key 'pipeline.fetsh'; did you mean 'fetch'?",
    ),
    "unknown_nested_far": (
        LUT + "pipeline: {zzz: 1}\n",
        "unknown key 'pipeline.zzz'; known: build, fetch, reduce, fp_add, fp_mul",
    ),
    "key_not_a_string": (LUT + "1: 2\n", "1: keys should be strings, not 1"),
    "format": (
        LUT + "format: hwgen.core/2\n",
        "format: input should be 'hwgen.core/1', not 'hwgen.core/2'",
    ),
    "kind": (
        "kind: lutt\ntables: 1\nports: 1\n",
        "kind: input should be 'lut', 'signflip' or 'multiplier', not 'lutt'",
    ),
    "act_too_narrow": (
        LUT + "act: int1\n",
        f"act: should be one of {FORMATS}, not 'int1'",
    ),
    "act_too_wide": (
        LUT + "act: int17\n",
        f"act: should be one of {FORMATS}, not 'int17'",
    ),
    "act_unsigned": (
        LUT + "act: uint8\n",
        f"act: should be one of {FORMATS}, not 'uint8'",
    ),
    "act_a_number": (LUT + "act: 8\n", "act: input should be a valid string, not 8"),
    "codebook": (
        LUT + "codebook: trits\n",
        f"codebook: should be one of {', '.join(CODEBOOKS)}, not 'trits'",
    ),
    "codebook_of_another_mu": (
        LUT + "codebook: sherry34\nmu: 3\nmax_out_features: 1\n",
        "mu: should be 4 for codebook sherry34, not 3\n"
        "core.yaml: max_out_features: should be at least ports = 2, not 1",
    ),
    "codebook_without_mu": (
        LUT + "codebook: sherry34\n",
        "mu: should be 4 for codebook sherry34, not 1",
    ),
    "table": (LUT + "table: both\n", "table: input should be 'half' or 'full', not 'both'"),
    "storage": (
        LUT + "storage: ram\n",
        "storage: input should be 'wires' or 'registers', not 'ram'",
    ),
    "builder": (
        LUT + "builder: best\n",
        "builder: input should be 'minimal', 'chain' or 'naive', not 'best'",
    ),
    "acc_overflow": (
        LUT + "acc_overflow: trap\n",
        "acc_overflow: input should be 'wrap' or 'saturate', not 'trap'",
    ),
    "text_for_number": (LUT + "mu: '3'\n", "mu: input should be a valid integer, not '3'"),
    "float_for_number": (LUT + "mu: 3.0\n", "mu: input should be a valid integer, not 3.0"),
    "bool_for_number": (LUT + "mu: true\n", "mu: input should be a valid integer, not True"),
    "name_not_an_identifier": (LUT + "name: my core\n", f"name: {NAME_RULE}, not 'my core'"),
    "name_keyword": (LUT + "name: endmodule\n", f"name: {NAME_RULE}, not 'endmodule'"),
    "name_empty": (LUT + "name: ''\n", f"name: {NAME_RULE}, not ''"),
}
RANGES = {
    "mu": (1, 8),
    "tables": (1, 4096),
    "ports": (1, 4096),
    "reuse": (1, 4096),
    "acc_bits": (2, 64),
    "max_in_features": (1, 1 << 20),
    "max_out_features": (1, 1 << 20),
    "pipeline.build": (0, 8),
    "pipeline.fetch": (0, 1),
    "pipeline.reduce": (0, 12),
    "pipeline.fp_add": (0, 4),
    "pipeline.fp_mul": (0, 4),
}
COMBINATIONS = {
    "build_cuts_of_wires": (
        LUT + "pipeline: {build: 1}\n",
        "pipeline.build: tables on wires have no registers to cut; should be 0 "
        "(or storage: registers), not 1",
    ),
    "build_cuts_of_explicit_wires": (
        LUT + "storage: wires\npipeline: {build: 2}\n",
        "pipeline.build: tables on wires have no registers to cut; should be 0 "
        "(or storage: registers), not 2",
    ),
    "too_large": (
        "kind: lut\nmu: 2\ntables: 4096\nports: 1024\n",
        "tables × ports × (entries + 1): should be at most 16777216, not 20971520; "
        "make mu, tables or ports smaller",
    ),
    "fewer_inputs_than_a_tile": (
        LUT + "mu: 3\nmax_in_features: 5\n",
        "max_in_features: should be at least tables × mu = 6, not 5",
    ),
    "fewer_outputs_than_a_tile": (
        LUT + "max_out_features: 1\n",
        "max_out_features: should be at least ports = 2, not 1",
    ),
    "accumulator_below_half_term": (
        LUT + "mu: 3\nacc_bits: 9\nacc_overflow: wrap\n",
        "acc_bits: should hold at least one fetched term, 10 bits, not 9",
    ),
    "accumulator_below_full_term": (
        LUT + "mu: 2\ntable: full\nacc_bits: 9\nacc_overflow: wrap\n",
        "acc_bits: should hold at least one fetched term, 10 bits, not 9",
    ),
    "accumulator_below_product": (
        MULTIPLIER + "acc_bits: 15\nacc_overflow: wrap\n",
        "acc_bits: should hold at least one fetched term, 16 bits, not 15",
    ),
    "overflow_of_the_exact_default": (
        LUT + "acc_overflow: wrap\n",
        "acc_overflow: the default accumulator is exact and never overflows; remove it or give "
        "acc_bits",
    ),
    "overflow_unsaid": (
        LUT + "acc_bits: 23\n",
        "acc_bits: 23 bits can overflow (exact is 24); say acc_overflow: wrap or saturate",
    ),
    "overflow_of_an_exact_width": (
        LUT + "acc_bits: 24\nacc_overflow: saturate\n",
        "acc_overflow: 24 bits never overflow (exact is 24); remove it",
    ),
    "signflip_build_cuts": (
        SIGNFLIP + "pipeline: {build: 1}\n",
        "pipeline.build: a signflip core builds nothing; should be 0, not 1",
    ),
    "multiplier_build_cuts": (
        MULTIPLIER + "pipeline: {build: 1}\n",
        "pipeline.build: a multiplier core builds nothing; should be 0, not 1",
    ),
}
LUT_ONLY = {
    "mu": 2,
    "codebook": "ternary",
    "table": "half",
    "storage": "wires",
    "builder": "minimal",
}
YAML_FAULTS = {
    "empty": (b"", "core.yaml: should be a mapping of keys to values, not None"),
    "list": (b"- 1\n", "core.yaml: should be a mapping of keys to values, not [1]"),
    "text": (b"lut\n", "core.yaml: should be a mapping of keys to values, not 'lut'"),
    "duplicate": (
        LUT.encode() + b"ports: 3\n",
        "core.yaml:4: is not YAML: key 'ports' is given twice",
    ),
    "nested_duplicate": (
        LUT.encode() + b"pipeline: {fetch: 1, fetch: 0}\n",
        "core.yaml:4: is not YAML: key 'fetch' is given twice",
    ),
    "syntax": (
        b"kind: [lut\n",
        "core.yaml:2: is not YAML: expected ',' or ']', but got '<stream end>'",
    ),
    "tab": (
        b"\tkind: lut\n",
        "core.yaml:1: is not YAML: found character '\\t' that cannot start any token",
    ),
    "tag": (
        LUT.encode() + b"mu: !!python/int 2\n",
        "core.yaml:4: is not YAML: could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/int'",
    ),
    "octal": (
        LUT.encode() + b"mu: 010\n",
        "core.yaml:4: should be an integer without leading zeros and colons, not 010, which YAML "
        "reads as 8",
    ),
    "negative_octal": (
        LUT.encode() + b"mu: -0_7\n",
        "core.yaml:4: should be an integer without leading zeros and colons, not -0_7, which YAML "
        "reads as -7",
    ),
    "base_60": (
        LUT.encode() + b"pipeline: {reduce: 1:01}\n",
        "core.yaml:4: should be an integer without leading zeros and colons, not 1:01, which YAML "
        "reads as 61",
    ),
    "unhashable_key": (b"{[1]: 2}\n", "core.yaml:1: is not YAML: found unhashable key"),
}


@pytest.mark.parametrize(("text", "said"), FIELD_FAULTS.values(), ids=FIELD_FAULTS)
def test_field_fault(text, said, tmp_path):
    assert refusal(write(tmp_path, text)) == f"core.yaml: {said}"


@pytest.mark.parametrize(("field", "ends"), RANGES.items(), ids=RANGES)
def test_out_of_range(field, ends, tmp_path):
    lowest, highest = ends
    group, _, key = field.rpartition(".")
    for value, bound in (
        (lowest - 1, f"greater than or equal to {lowest}"),
        (highest + 1, f"less than or equal to {highest}"),
    ):
        rest = "".join(f"{k}: 2\n" for k in ("tables", "ports") if k != field)
        entry = f"{group}: {{{key}: {value}}}\n" if group else f"{key}: {value}\n"
        said = refusal(write(tmp_path, f"kind: lut\n{rest}{entry}"))
        assert said == f"core.yaml: {field}: input should be {bound}, not {value}"


@pytest.mark.parametrize(("text", "said"), COMBINATIONS.values(), ids=COMBINATIONS)
def test_combination(text, said, tmp_path):
    assert refusal(write(tmp_path, text)) == f"core.yaml: {said}"


@pytest.mark.parametrize("field", LUT_ONLY)
@pytest.mark.parametrize("kind", ["signflip", "multiplier"])
def test_baselines_have_no_tables(kind, field, tmp_path):
    value = LUT_ONLY[field]
    text = f"kind: {kind}\ntables: 2\nports: 2\n{field}: {value}\n"
    assert refusal(write(tmp_path, text)) == (
        f"core.yaml: {field}: belongs to kind lut, a {kind} core has no tables; remove it, "
        f"not {value!r}"
    )


@pytest.mark.parametrize(("content", "said"), YAML_FAULTS.values(), ids=YAML_FAULTS)
def test_yaml_fault(content, said, tmp_path):
    assert refusal(write(tmp_path, content)) == said


def test_other_integers_of_yaml(tmp_path):
    core = load_core(write(tmp_path, "kind: lut\nmu: 0x3\ntables: +2\nports: 1_0\nreuse: 0b10\n"))
    assert (core.mu, core.tables, core.ports, core.reuse) == (3, 2, 10, 2)
    assert load_core(write(tmp_path, LUT + "pipeline: {fetch: 0}\n")).pipeline.fetch == 0


def test_file_that_cannot_be_read(tmp_path):
    assert refusal(tmp_path / "core.yaml") == "core.yaml: no such file"
    assert refusal(tmp_path) == f"{tmp_path.name}: cannot be read: Is a directory"
    path = write(tmp_path, b"kind: l\xfct\n")
    assert refusal(path) == "core.yaml: cannot be read: is not UTF-8 text"


def test_every_fault_is_reported_at_once(tmp_path):
    text = "kind: lut\nact: int99\nmu: 9\nports: 0\nmux: 1\npipeline: {build: -1, fetch: 2}\n"
    assert refusal(write(tmp_path, text)).splitlines() == [
        f"core.yaml: act: should be one of {FORMATS}, not 'int99'",
        "core.yaml: mu: input should be less than or equal to 8, not 9",
        "core.yaml: tables: is required; add it",
        "core.yaml: ports: input should be greater than or equal to 1, not 0",
        "core.yaml: pipeline.build: input should be greater than or equal to 0, not -1",
        "core.yaml: pipeline.fetch: input should be less than or equal to 1, not 2",
        "core.yaml: unknown key 'mux'; did you mean 'mu'?",
    ]


def test_name_defaults_to_the_stem(tmp_path):
    assert load_core(write(tmp_path, LUT, "tiny_1.yaml")).name == "tiny_1"
    assert load_core(write(tmp_path, LUT + "name: mine\n", "2b-core.yaml")).name == "mine"
    assert load(CoreConfig, write(tmp_path, LUT)).name is None


@pytest.mark.parametrize("stem", ["module", "always_comb", "2b", "my-core"])
def test_stem_that_cannot_be_a_name(stem, tmp_path):
    assert refusal(write(tmp_path, LUT, f"{stem}.yaml")) == (
        f"{stem}.yaml: name: {NAME_RULE}, not {stem!r} (taken from the file's name); give name"
    )


def test_a_configuration_is_frozen_and_defaults_are_the_documented_ones(tmp_path):
    core = load_core(write(tmp_path, LUT))
    with pytest.raises(ValidationError, match="Instance is frozen"):
        core.mu = 2
    assert (core.number.bits, core.mu, core.reuse, core.pipeline) == (8, 1, 1, Pipeline())
    assert (core.half_table, core.registered_table, core.builder_name) == (True, False, "minimal")
    assert (core.max_in_features, core.max_out_features) == (32768, 32768)


@pytest.mark.parametrize("core", CASES.values(), ids=CASES)
def test_text_and_back(core, tmp_path):
    assert CoreConfig.model_validate_json(core.model_dump_json()) == core
    assert load(CoreConfig, write(tmp_path, core.model_dump_json())) == core  # JSON is YAML.


@pytest.mark.parametrize("mu", range(1, 9))
def test_term_widths(mu):
    half, full = (
        CoreConfig(kind="lut", act="int6", mu=mu, tables=1, ports=1, table=table)
        for table in ("half", "full")
    )
    assert half.term_bits == 6 + ceil(log2(mu))
    assert full.term_bits == 6 + floor(log2(mu)) + 1


@pytest.mark.parametrize("core", CASES.values(), ids=CASES)
def test_exact_accumulator_holds_the_extremes_and_is_no_wider(core):
    low, high = -(1 << (core.number.bits - 1)), (1 << (core.number.bits - 1)) - 1
    weights = (low, high) if core.kind == "multiplier" else (-1, 1)
    groups, rest = divmod(core.max_in_features, core.mu)
    zeros = [entry.count(0) for entry in core.book.entries]
    zeros_of_rest = [entry[:rest].count(0) for entry in core.book.entries]
    terms = core.max_in_features - groups * min(zeros) - min(zeros_of_rest)
    sums = [terms * act * weight for act in (low, high) for weight in weights]
    bits = core.exact_acc_bits
    assert -(1 << (bits - 1)) <= min(sums) <= max(sums) < 1 << (bits - 1)
    assert max(sums) >= 1 << (bits - 2)


def test_json_schema_tells_editors_what_is_legal():
    schema = CoreConfig.model_json_schema()
    assert schema["required"] == ["kind", "tables", "ports"]
    assert ", ".join(schema["properties"]) == KEYS
    assert schema["additionalProperties"] is False
    assert schema["properties"]["kind"]["enum"] == ["lut", "signflip", "multiplier"]
    pipeline = schema["$defs"]["Pipeline"]
    assert pipeline["additionalProperties"] is False
    described = {
        **schema["properties"],
        **{f"pipeline.{key}": field for key, field in pipeline["properties"].items()},
    }
    del described["pipeline"]
    assert all(field["description"] for field in described.values())
    for name, ends in RANGES.items():
        field = described[name]
        field = next((f for f in field.get("anyOf", ()) if f["type"] == "integer"), field)
        assert (field["minimum"], field["maximum"]) == ends


def test_widths_of_a_codebook_with_fewer_non_zeros():
    half, full = (
        CoreConfig(
            kind="lut",
            codebook="sherry34",
            mu=4,
            tables=5,
            ports=1,
            table=table,
            max_in_features=most,
        )
        for table, most in (("half", 20), ("full", 23))
    )
    assert half.term_bits == 8 + 2  # 3 · 128 = 384 to 383, as a one's complement.
    assert full.term_bits == 8 + 2  # 384 to -384; any four weights would take 11 bits.
    reduce = structure(half).reduce
    assert [nodes[0].bits for nodes in reduce.levels] == [10, 11, 12, 12]  # 15 · 128 < 2^11
    assert half.exact_acc_bits == 12  # 15 terms of 20 inputs, or 1920.
    assert full.exact_acc_bits == 13  # 18 terms of 23 inputs, or 2304.


def test_the_shared_cases_cover_every_axis():
    cores = CASES.values()
    luts = [core for core in cores if core.kind == "lut"]
    assert {core.kind for core in cores} == {"lut", "signflip", "multiplier"}
    assert {core.mu for core in luts} == {1, 2, 3, 4, 5}
    assert {(core.half_table, core.registered_table) for core in luts} == {
        (half, registered) for half in (True, False) for registered in (True, False)
    }
    assert {core.builder_name for core in luts if core.mu > 2} == {"minimal", "chain", "naive"}
    assert {core.codebook_name for core in luts} == {*CODEBOOKS}
    assert {1, 2, 3, 5} <= {core.reuse for core in cores}
    assert {core.pipeline.build for core in cores} >= {0, 1, 2, 3}
    assert {core.pipeline.fetch for core in cores} == {0, 1}
    assert {core.pipeline.reduce for core in cores} >= {0, 1, 2, 3}
    assert {core.pipeline.fp_add for core in cores} == {0, 1, 2, 3, 4}
    assert {core.pipeline.fp_mul for core in cores} >= {0, 2}
    assert {core.sum_format for core in cores} >= {None, "fp16", "bf16", "fp32"}
    assert {core.acc_overflow for core in cores} == {None, "wrap", "saturate"}
    assert {2, 16} <= {core.number.bits for core in cores}
    assert {1, 3, 5, 7} <= {core.tables for core in cores}
    assert {1, 2, 3} <= {core.ports for core in cores}
