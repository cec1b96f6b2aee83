"""GGUF: round trips through the reference quantisers and by hand, and every refusal."""

from __future__ import annotations

import struct

import gguf
import numpy as np
import pytest

from sim.checkpoints import LAYOUTS, examine, open_checkpoint
from tests.support import checkpoint_files
from tests.support.checkpoint_files import (
    F32,
    I2_S,
    SHAPES,
    i2s_bytes,
    open_partly,
    refusal,
    ternary,
)

NAMELESS = "tester"
"""An architecture that nobody knows: every ternary matrix counts."""
KINDS = ["TQ1_0", "TQ2_0"]
QTYPE = {kind: gguf.GGMLQuantizationType[kind] for kind in KINDS}
BLOCK_BYTES = {"TQ1_0": 54, "TQ2_0": 66}


def gguf_bytes(tensors, **options):
    return checkpoint_files.gguf_bytes(tensors, **{"name": NAMELESS} | options)


def write_tq(path, kind, tensors, name=NAMELESS):
    return checkpoint_files.write_tq(path, kind, tensors, name=name)


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_come_back_from_the_reference_quantiser(tmp_path, kind):
    """Every weight and every scale; one row's scales differ, one block is all 0."""
    trits = ternary((3, 768), 1)
    trits[1, 256:512] = 0
    scales = np.array([[1, 2, 4], [8, 0, 16], [0.5, 0.25, 0.125]])
    values = trits * np.repeat(scales, 256, axis=1)
    (tensor,) = open_partly(write_tq(tmp_path / "m.gguf", kind, {"x": values})).tensors
    assert (tensor.name, tensor.format) == ("x", kind)
    assert (tensor.out_features, tensor.in_features) == (3, 768)
    assert np.array_equal(tensor.weights(), trits)
    assert np.array_equal(tensor.scales().values, scales)
    assert tensor.scales().convention == "multiply"
    report = examine(tensor)
    assert report.zeros == np.count_nonzero(trits == 0)
    assert (report.scales.lowest, report.scales.highest) == (0.125, 16)


@pytest.mark.parametrize("kind", KINDS)
def test_all_legal_blocks_decode_as_by_the_reference(tmp_path, kind):
    """Every byte that an encoder can write, at every place, against gguf.quants.dequantize."""
    if kind == "TQ1_0":
        five = [-(-v * 256 // 243) for v in range(243)]
        four = [-(-v * 256 // 243) for v in range(0, 243, 3)]
        rows = [
            [five[(i + j) % 243] for j in range(48)] + [four[(i + j) % 81] for j in range(4)]
            for i in range(243)
        ]
    else:
        legal = [b for b in range(256) if all(b >> s & 3 != 3 for s in (0, 2, 4, 6))]
        rows = [[legal[(i + j) % 81] for j in range(64)] for i in range(81)]
    scale = np.full(1, 0.75, np.float16).tobytes()
    data = np.array([list(bytes(row) + scale) for row in rows], np.uint8)
    shape = (len(rows), 256)
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf_bytes({"x": (shape, QTYPE[kind], data.tobytes())}))
    (tensor,) = open_partly(file).tensors
    wanted = gguf.quants.dequantize(data, QTYPE[kind])
    assert np.array_equal(tensor.weights() * np.float32(0.75), wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_model_with_metadata(tmp_path, kind):
    tensors = {f"blk.0.{name}": ternary(shape, i) for i, (name, shape) in enumerate(SHAPES.items())}
    checkpoint = open_checkpoint(write_tq(tmp_path / "m.gguf", kind, tensors, "llama"))
    assert {tensor.name for tensor in checkpoint.tensors} == set(tensors)
    for tensor in checkpoint.tensors:
        assert np.array_equal(tensor.weights(), tensors[tensor.name])
    assert checkpoint.others == {"F32": 1}


# Runs of 128 and of 64 weights end in the middle of rows.
I2S_SHAPES = {"x86": (6, 192), "arm": (16, 60), "interleaved": (8, 3)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_i2s_layouts_by_hand(tmp_path, layout):
    matrices = {"a": ternary((8, 256), 1), "b": ternary(I2S_SHAPES[layout], 2)}
    file = tmp_path / "m.gguf"
    file.write_bytes(
        gguf_bytes({n: (w.shape, I2_S, i2s_bytes(w, layout, 1.5)) for n, w in matrices.items()})
    )
    for tensor in open_partly(file, layout).tensors:
        assert tensor.format == f"I2_S {layout}"
        assert np.array_equal(tensor.weights(), matrices[tensor.name])
        assert tensor.scales().values.tolist() == [[1.5]]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rows_of_an_i2s_matrix(tmp_path, layout):
    """From any row to any row, though rows are stored four by four or across runs."""
    weights = ternary((16, 192), 4)
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf_bytes({"a": (weights.shape, I2_S, i2s_bytes(weights, layout, 1.5))}))
    (tensor,) = open_partly(file, layout).tensors
    for first, count in ((0, 3), (3, 2), (5, 11), (13, 3)):
        part = tensor.part("part", first, count)
        assert np.array_equal(part.weights(), weights[first : first + count])
        assert part.scales().values.tolist() == [[1.5]]


def test_i2s_layouts_differ(tmp_path):
    """A wrong layout is legal everywhere and gives other weights: only the option can tell."""
    weights = ternary((8, 256), 1)
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf_bytes({"a": ((8, 256), I2_S, i2s_bytes(weights, "x86", 1.0))}))
    read = {layout: open_partly(file, layout).tensors[0].weights() for layout in LAYOUTS}
    assert np.array_equal(read["x86"], weights)
    for layout in ("arm", "interleaved"):
        assert not np.array_equal(read[layout], weights)
        assert np.count_nonzero(read[layout]) == np.count_nonzero(weights)


PIECES = {"x86": (8, 48), "arm": (8, 24), "interleaved": (12, 5)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_i2s_in_several_pieces(tmp_path, monkeypatch, layout):
    """Pieces of four rows, whose ends fall into the middle of runs."""
    monkeypatch.setattr("sim.checkpoints.base.BLOCK_WEIGHTS", 1)
    weights = ternary(PIECES[layout], 3)
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf_bytes({"a": (weights.shape, I2_S, i2s_bytes(weights, layout, 1.0))}))
    (tensor,) = open_partly(file, layout).tensors
    blocks = list(tensor.rows())
    assert len(blocks) == -(-len(weights) // 4)
    assert np.array_equal(np.concatenate(blocks), weights)


@pytest.mark.parametrize("kind", [I2_S, 35])
def test_an_outer_scale_multiplies(tmp_path, kind):
    """What older converters wrote: ternary weights of scale 1, and the scale apart."""
    weights = ternary((4, 256))
    data = gguf.quants.quantize(weights.astype(np.float32), 35).tobytes()
    if kind == I2_S:
        data = i2s_bytes(weights, "x86", 2.0)
    layout = "x86" if kind == I2_S else None
    file = tmp_path / "m.gguf"

    def write(scale, shape=(1,)):
        tensors = {"x.weight": ((4, 256), kind, data), "x.scale": (shape, F32, scale)}
        file.write_bytes(gguf_bytes(tensors | {"y.scale": ((1,), F32, bytes(4))}, suffix=""))

    write(struct.pack("<f", 0.125))
    checkpoint = open_partly(file, layout)
    (tensor,) = checkpoint.tensors
    assert set(tensor.scales().values.ravel()) == {0.25 if kind == I2_S else 0.125}
    assert checkpoint.others == {"F32": 1}  # y.scale: of nothing.
    write(struct.pack("<f", float("nan")))
    at = file.read_bytes().index(struct.pack("<f", float("nan")))
    assert refusal(examine, open_partly(file, layout).tensors[0]) == (
        f"{file}: x.scale, byte {at}: should be finite and above 0, not nan; "
        "check how the checkpoint was made"
    )
    write(bytes(8), (2,))
    assert refusal(open_partly, file, layout).endswith(
        "should be one number of F32, not F32 of shape [2]; convert the model again"
    )


def one(kind, data, shape=(4, 256), **options):
    return gguf_bytes({"x": (shape, kind, data)}, **options)


def data_start(content: bytes, data: bytes) -> int:
    return content.index(data)


def test_an_illegal_code_of_tq2(tmp_path):
    data = bytearray(gguf.quants.quantize(ternary((4, 256)).astype(np.float32), 35).tobytes())
    data[2 * 66 + 32 + 5] |= 0b1100  # Row 2, second half, byte 5, field 1: column 128 + 5 + 32.
    content = one(35, bytes(data))
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    at = data_start(content, bytes(data)) + 2 * 66 + 37
    (tensor,) = open_partly(file).tensors
    assert refusal(examine, tensor) == (
        f"{file}: x.weight, byte {at}: codes should be 0, 1 or 2, not 3 at row 2, column 165; "
        "download it again"
    )


def code(*trits):
    """The byte of five trits, the first one highest."""
    return -(-sum((t + 1) * 3 ** (4 - i) for i, t in enumerate(trits)) * 256 // 243)


# 20 is between the codes of 18 and 19; the four trits of bytes 48 … 51 have no fifth one.
ILLEGAL_BYTES = [(0, 0, 20), (37, 165, 20), (48 + 3, 243, 20), (48 + 3, 243, code(1, 0, -1, 1, 0))]


@pytest.mark.parametrize(("byte", "column", "value"), ILLEGAL_BYTES)
def test_an_illegal_byte_of_tq1(tmp_path, byte, column, value):
    data = bytearray(gguf.quants.quantize(ternary((4, 256)).astype(np.float32), 34).tobytes())
    data[54 + byte] = value
    content = one(34, bytes(data))
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    at = data_start(content, bytes(data)) + 54 + byte
    (tensor,) = open_partly(file).tensors
    assert refusal(examine, tensor) == (
        f"{file}: x.weight, byte {at}: should be the code of some trits, not {value} at row "
        f"1, column {column}; download it again"
    )


def test_an_illegal_code_in_a_later_piece(tmp_path, monkeypatch):
    """Row 6 of interleaved rows, read four at a time: the second lowest field of byte 4 + 3."""
    monkeypatch.setattr("sim.checkpoints.base.BLOCK_WEIGHTS", 1)
    data = bytearray(i2s_bytes(ternary((8, 4)), "interleaved", 1.0))
    data[4 + 3] |= 0b1100
    content = one(I2_S, bytes(data), (8, 4))
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    at = data_start(content, bytes(data)) + 7
    (tensor,) = open_partly(file, "interleaved").tensors
    assert refusal(examine, tensor) == (
        f"{file}: x.weight, byte {at}: codes should be 0, 1 or 2, not 3 at row 6, column 3; "
        "download it again"
    )


def test_a_strange_scale_of_zeros(tmp_path):
    """A block of zeros has the scale 0; NaN there is no encoder's work."""
    values = ternary((2, 512)).astype(np.float32)
    values[1, 256:] = 0
    data = bytearray(gguf.quants.quantize(values, 35).tobytes())
    assert data[-2:] == b"\0\0"
    data[-2:] = np.float16("nan").tobytes()
    file = tmp_path / "m.gguf"
    file.write_bytes(one(35, bytes(data), (2, 512)))
    (tensor,) = open_partly(file).tensors
    said = refusal(examine, tensor)
    assert said.startswith(f"{file}: x.weight, block 1 of row 1, byte ")
    assert "scale should be finite and above 0, not nan" in said


def test_an_illegal_code_of_i2s(tmp_path):
    data = bytearray(i2s_bytes(ternary((4, 256)), "x86", 1.0))
    data[32 + 7] |= 0b11  # Second run, lowest field: weight 128 + 96 + 7.
    content = one(I2_S, bytes(data))
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    at = data_start(content, bytes(data)) + 39
    (tensor,) = open_partly(file, "x86").tensors
    assert refusal(examine, tensor) == (
        f"{file}: x.weight, byte {at}: codes should be 0, 1 or 2, not 3 at row 0, column 231; "
        "download it again"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
@pytest.mark.parametrize("kind", [*KINDS, "I2_S"])
def test_scales_that_cannot_be_applied(tmp_path, kind, value):
    weights = ternary((4, 256))
    if kind == "I2_S":
        data, offset = bytearray(i2s_bytes(weights, "arm", value)), 256
        place, type_id = "", I2_S
    else:
        size, type_id = BLOCK_BYTES[kind], int(QTYPE[kind])
        data = bytearray(gguf.quants.quantize(weights.astype(np.float32), type_id).tobytes())
        offset = 3 * size - 2
        data[offset : offset + 2] = np.float16(value).tobytes()
        place = ", block 0 of row 2"
    content = one(type_id, bytes(data))
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    at = data_start(content, bytes(data)) + offset
    (tensor,) = open_partly(file, "arm" if kind == "I2_S" else None).tensors
    assert refusal(examine, tensor) == (
        f"{file}: x.weight{place}, byte {at}: scale should be finite and above 0, not {value}; "
        "check how the checkpoint was made"
    )


@pytest.mark.parametrize("kind", [34, 35, I2_S])
def test_all_zeros(tmp_path, kind):
    """Weights like others; blocks have the scale 0 then."""
    zeros = np.zeros((4, 256), np.int8)
    data = i2s_bytes(zeros, "x86", 1.0)
    if kind != I2_S:
        data = gguf.quants.quantize(zeros.astype(np.float32), kind).tobytes()
    file = tmp_path / "m.gguf"
    file.write_bytes(one(kind, data))
    (tensor,) = open_partly(file, "x86" if kind == I2_S else None).tensors
    report = examine(tensor)
    assert report.zeros == 1024
    assert report.scales.highest == (1 if kind == I2_S else 0)
    assert not tensor.weights().any()


@pytest.mark.parametrize(("kind", "size"), [(34, 216), (35, 264), (I2_S, 288)])
def test_cut_off_data(tmp_path, kind, size):
    """One byte less than the last matrix needs."""
    weights = ternary((4, 256))
    if kind == I2_S:
        data = i2s_bytes(weights, "x86", 1.0)
    else:
        data = gguf.quants.quantize(weights.astype(np.float32), kind).tobytes()
    assert len(data) == size
    content = one(kind, data)
    start = data_start(content, data)
    file = tmp_path / "m.gguf"
    layout = "x86" if kind == I2_S else None
    file.write_bytes(content[: start + size])
    examine(open_partly(file, layout).tensors[0])  # The padding after it is not missed.
    file.write_bytes(content[: start + size - 1])
    name = {34: "TQ1_0", 35: "TQ2_0", I2_S: "I2_S"}[kind]
    assert refusal(open_partly, file, layout) == (
        f"{file}: x.weight, byte {start}: should have {size} bytes of {name}, not {size - 1}; "
        "the file is cut off or damaged: download it again"
    )


def test_overlapping_tensors(tmp_path):
    """A tensor of the fork in the room of another size: its data would be the next one's."""
    data = i2s_bytes(ternary((4, 256)), "x86", 1.0)[:256]
    content = gguf_bytes({"x": ((4, 256), I2_S, data), "y": ((4,), F32, bytes(16))})
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    assert refusal(open_partly, file, "x86").endswith(
        "should have 288 bytes of I2_S, not 256; the file is cut off or damaged: download it again"
    )


def test_a_cut_before_the_last_tensor(tmp_path):
    """The first matrix is cut off, although the header gives it room."""
    data = i2s_bytes(ternary((4, 256)), "x86", 1.0)
    content = gguf_bytes(dict.fromkeys("xy", ((4, 256), I2_S, data)))
    file = tmp_path / "m.gguf"
    file.write_bytes(content[: data_start(content, data) + 200])
    assert "x.weight, byte" in refusal(open_partly, file, "x86")
    assert "should have 288 bytes of I2_S, not 200;" in refusal(open_partly, file, "x86")


OTHER_FILES = {
    "q8_0": (
        gguf_bytes({"x": ((1, 32), 8, bytes(34)), "y": ((1,), F32, bytes(4))}),
        "should have ternary matrices, not 1 Q8_0, 1 F32 only; use the ternary release",
    ),
    "tl1": (
        gguf_bytes({"x": ((1, 32), 38, bytes(34))}),
        "should have ternary matrices, not 1 TL1 only; use the ternary release",
    ),
    "nothing": (
        gguf_bytes({}),
        "should have ternary matrices, not no tensors only; use the ternary release",
    ),
    "unknown": (
        gguf_bytes({"x": ((1, 32), 99, bytes(34))}),
        "should have ternary matrices, not 1 type 99 only; use the ternary release",
    ),
    "version_1": (
        gguf_bytes({}, version=1),
        "header, byte 4: version should be 2 or 3, not 1; convert the model again with a current "
        "llama.cpp",
    ),
    "big_endian": (
        b"GGUF" + struct.pack(">I", 3) + bytes(20),
        "header, byte 4: should be little-endian, not big-endian; convert it with gguf-py's "
        "gguf_convert_endian",
    ),
    "odd_rows": (
        gguf_bytes({"x": ((2, 128), 35, bytes(66))}),
        "x.weight, byte 416: TQ2_0 should have rows of a multiple of 256 weights, not 128; convert "
        "the model again",
    ),
    "empty": (
        gguf_bytes({"x": ((0, 256), 35, b"")}),
        "x.weight, byte 416: should be a matrix of at least one weight, not of shape [0, 256]; use "
        "a model without experts",
    ),
    "vector": (
        gguf_bytes({"x": ((256,), 35, bytes(66))}),
        "x.weight, byte 416: should be a matrix of at least one weight, not of shape [256]; use a "
        "model without experts",
    ),
}


@pytest.mark.parametrize(("content", "message"), OTHER_FILES.values(), ids=OTHER_FILES)
def test_files_of_no_use(tmp_path, content, message):
    """Data of 66 bytes, padded to 96, start at byte 416."""
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    assert refusal(open_partly, file) == f"{file}: {message}"


SIZES = {"x86": ((4, 16), "128 weights, not 64"), "arm": ((4, 8), "64 weights, not 32")}
SIZES["interleaved"] = ((6, 64), "4 rows, not 6")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_shapes_that_a_layout_cannot_have(tmp_path, layout):
    shape, found = SIZES[layout]
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf_bytes({"x": (shape, I2_S, bytes(200))}))
    assert refusal(open_partly, file, layout).endswith(
        f"I2_S in layout {layout} should have a multiple of {found}; give another layout"
    )


def test_options_without_use_are_refused(tmp_path):
    file = write_tq(tmp_path / "m.gguf", "TQ2_0", {"x": ternary((1, 256))})
    for option, (layout, scale) in {"i2s-layout": ("x86", None), "scale": (None, "divide")}.items():
        assert refusal(open_partly, file, layout, scale) == (
            f"{file}: --{option} should be left out for a checkpoint that has none of what it is "
            f"for or records it, not {layout or scale!r}; leave it out"
        )


Q2_TYPES = {"upstream": (42, 64), "first of PrismML": (42, 128), "PQ2_0": (142, 128)}


def q2_bytes(weights, scales, block):
    """Q2_0, weight by weight from the description of the layout."""
    data = b""
    for row, of_row in zip(weights.tolist(), scales.tolist(), strict=True):
        for start, scale in zip(range(0, len(row), block), of_row, strict=True):
            packed = [0] * (block // 4)
            for i, weight in enumerate(row[start : start + block]):
                packed[i // 4] |= (weight + 1) << i % 4 * 2
            data += np.float16(scale).tobytes() + bytes(packed)
    return data


@pytest.mark.parametrize(("kind", "block"), Q2_TYPES.values(), ids=Q2_TYPES)
def test_q2_0_of_both_block_sizes(tmp_path, kind, block):
    """One type number stands for two sizes: the room that a tensor takes tells which."""
    weights = ternary((6, 1024), 1)
    scales = np.arange(1, 1 + 6 * 1024 // block).reshape(6, -1) / 8
    data = q2_bytes(weights, scales, block)
    file = tmp_path / "m.gguf"
    matrix = ((6, 1024), kind, data)
    file.write_bytes(gguf_bytes({"x": matrix, "y": matrix}))
    for tensor in open_partly(file).tensors:
        assert tensor.format == f"Q2_0, blocks of {block}"
        assert np.array_equal(tensor.weights(), weights)
        assert tensor.scales().values.tolist() == scales.tolist()
        part = tensor.part("part", 3, 2)
        assert np.array_equal(part.weights(), weights[3:5])
        assert part.scales().values.tolist() == scales[3:5].tolist()


def test_q2_0_with_weight_2(tmp_path):
    data = bytearray(q2_bytes(ternary((2, 64)), np.ones((2, 1)), 64))
    data[18 + 2 + 5] |= 0b110000
    content = gguf_bytes({"x": ((2, 64), 42, bytes(data))})
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    (tensor,) = open_partly(file).tensors
    at = data_start(content, bytes(data)) + 25
    assert refusal(examine, tensor) == (
        f"{file}: x.weight, byte {at}: should be ternary, not +2 times its scale at row 1, "
        "column 22; download it again"
    )


def test_a_scale_beside_a_matrix_of_which_nobody_says_how_it_applies(tmp_path):
    data = i2s_bytes(ternary((4, 256)), "x86", 2.0)
    scale = struct.pack("<f", 8.0)
    tensors = {"x.weight": ((4, 256), I2_S, data), "x.weight_scale": ((1,), F32, scale)}
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf_bytes(tensors, suffix=""))
    assert "x.weight_scale, byte" in refusal(open_partly, file, "x86")
    assert "give --scale multiply (AutoBitLinear) or --scale divide (BitLinear)" in refusal(
        open_partly, file, "x86"
    )
    for option, value in {"multiply": 16, "divide": 0.25}.items():
        (tensor,) = open_partly(file, "x86", option).tensors
        assert tensor.scales().values.tolist() == [[value]]
