"""Reader of Hugging Face BitNet checkpoints: layout by hand, and every refusal word for word."""

from __future__ import annotations

import json
import re
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from sim.checkpoints import (
    Reading,
    Scales,
    open_checkpoint,
    pack_rows,
    read_config,
    read_layer,
    read_tensor,
    unpack_rows,
)
from sim.nets.network import golden_matmul
from tests.support.packed_files import (
    CONFIG,
    QUANTIZATION,
    SCALE,
    TENSORS,
    TERNARY,
    quantized,
    refused,
    write,
)


def byte_of(file, tensor):
    """Where a tensor starts in a safetensors file, by the header alone."""
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return 8 + length + json.loads(data[8 : 8 + length])[tensor]["data_offsets"][0]


def list_layers(folder, partial=False):
    """The linear layers of a folder."""
    return open_checkpoint(folder, Reading(partial=partial)).matrices


def located(file, message):
    """The message after the file, "byte @5" in it as the place of that byte of the tensor."""
    if match := re.search(r"([\w.]+), byte @(\d+)", message):
        byte = byte_of(file, match[1]) + int(match[2])
        message = message.replace(match[0], f"{match[1]}, byte {byte}")
    return f"{file}: {message}"


def slow_unpack(packed, out_features):
    """Row by row, straight from the description of the format."""
    quarter = len(packed)
    rows = [[0] * packed.shape[1] for _ in range(4 * quarter)]
    for r, row in enumerate(packed.tolist()):
        for column, byte in enumerate(row):
            for i in range(4):
                rows[i * quarter + r][column] = (byte // 4**i) % 4 - 1
    return rows[:out_features]


def test_upstream_example():
    """The example in the docstring of unpack_weights in transformers/integrations/bitnet.py."""
    packed = np.array([[0b10100001, 0b00011000], [0b10010000, 0b00001010]], np.uint8)
    wanted = [[0, -1], [-1, 1], [-1, 1], [-1, 1], [1, 0], [0, -1], [1, -1], [1, -1]]
    assert unpack_rows(packed, 8).tolist() == wanted
    assert np.array_equal(pack_rows(wanted), packed)


@pytest.mark.parametrize("out_features", [1, 2, 3, 4, 5, 7, 8, 10, 13])
def test_rows_come_back(out_features):
    weights = np.random.default_rng(out_features).integers(-1, 2, (out_features, 6))
    packed = pack_rows(weights)
    assert packed.shape == (-(-out_features // 4), 6)
    assert packed.dtype == np.uint8
    assert slow_unpack(packed, out_features) == weights.tolist()
    back = unpack_rows(packed, out_features)
    assert back.dtype == np.int8
    assert np.array_equal(back, weights)


def test_filled_up_rows_have_code_0_and_may_hold_anything():
    assert pack_rows([[1], [1], [1], [1], [1]]).tolist() == [[0b101010], [0b1010]]
    assert unpack_rows(np.array([[0b11101010]], np.uint8), 3).tolist() == [[1], [1], [1]]


PACK_FAULTS = {
    "stray": ([[1], [2]], "weights must be -1, 0 or +1; found 2 at (1, 0)"),
    "float": ([[1.0]], "weights must be (M, N) integers, found float64 of shape (1, 1)"),
    "vector": ([1], "weights must be (M, N) integers, found int64 of shape (1,)"),
    "empty": (
        np.zeros((0, 2), int),
        "weights must be (M, N) integers, found int64 of shape (0, 2)",
    ),
}


@pytest.mark.parametrize(("weights", "message"), PACK_FAULTS.values(), ids=PACK_FAULTS)
def test_pack_rows_refuses(weights, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        pack_rows(weights)
    assert str(caught.value) == message


UNPACK_FAULTS = {
    "dtype": (np.zeros((1, 1), int), 4, "should be (rows, N) of uint8, not int64 of shape (1, 1)"),
    "vector": (np.zeros(1, np.uint8), 4, "should be (rows, N) of uint8, not uint8 of shape (1,)"),
    "rows": (np.zeros((3, 1), np.uint8), 8, "should have 2 packed rows for 8 outputs, not 3"),
    "code": (
        np.array([[0, 0], [0, 0b110000]], np.uint8),
        8,
        "codes should be 0, 1 or 2, not 3 at row 5, column 1",
    ),
}


@pytest.mark.parametrize(("packed", "M", "message"), UNPACK_FAULTS.values(), ids=UNPACK_FAULTS)
def test_unpack_rows_refuses(packed, M, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        unpack_rows(packed, M)
    assert str(caught.value) == message


def test_layer_with_padded_rows(tmp_path):
    """12 packed rows stand for 10: config.json knows."""
    (matrix,) = list_layers(write(tmp_path))
    info = matrix.tensor
    assert (info.file, info.name) == (tmp_path / "model.safetensors", "head")
    assert (info.out_features, info.in_features, info.format) == (10, 3, "packed")
    layer = read_layer(matrix)
    assert layer.name == "head"
    assert np.array_equal(layer.weights, TERNARY)
    assert layer.weights.dtype == np.int8
    assert not layer.weights.flags.writeable
    assert (layer.out_features, layer.in_features) == (10, 3)
    assert (layer.scales.values.tolist(), layer.scales.convention) == ([[0.25]], "multiply")
    assert layer.gain(0).tolist() == [0.25]


CONVENTIONS = {
    "autobitlinear": ({"linear_class": "autobitlinear"}, "multiply", 0.25),
    "bitlinear": ({"linear_class": "bitlinear"}, "divide", 4.0),
    "default": ({"quantization_mode": "offline"}, "divide", 4.0),
}


@pytest.mark.parametrize(("keys", "convention", "gain"), CONVENTIONS.values(), ids=CONVENTIONS)
def test_scale_convention(tmp_path, keys, convention, gain):
    config = CONFIG | {"quantization_config": {"quant_method": "bitnet"} | keys}
    (info,) = list_layers(write(tmp_path, config))
    layer = read_layer(info)
    assert (layer.scales.values.tolist(), layer.scales.convention) == ([[0.25]], convention)
    assert layer.gain(0).tolist() == [gain]


def test_layers_are_found_without_a_list_in_natural_order(tmp_path):
    config = {"quantization_config": QUANTIZATION}
    tensors = {"norm.weight": np.ones(3, np.float32), "mask": np.zeros((1, 3), np.uint8)}
    for name in ("model.layers.10.q", "model.layers.2.v", "model.layers.2.q"):
        tensors |= {f"{name}.weight": pack_rows(TERNARY[:8]), f"{name}.weight_scale": SCALE}
    infos = list_layers(write(tmp_path, config, tensors), partial=True)
    assert [info.tensor.name for info in infos] == [
        "model.layers.2.q",
        "model.layers.2.v",
        "model.layers.10.q",
    ]
    assert {(info.tensor.out_features, info.tensor.in_features) for info in infos} == {(8, 3)}
    assert np.array_equal(read_layer(infos[0]).weights, TERNARY[:8])


def test_config_values_and_defaults(tmp_path):
    config = read_config(write(tmp_path))
    assert (config.hidden_act, config.rms_norm_eps) == ("relu", 1e-5)
    config = read_config(write(tmp_path, {"quantization_config": QUANTIZATION}))
    assert (config.layers, config.hidden_act, config.rms_norm_eps) == (None, None, None)


SCALE_TYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64}


@pytest.mark.parametrize("shape", [(1,), ()])
@pytest.mark.parametrize("dtype", SCALE_TYPES.values(), ids=SCALE_TYPES)
def test_scale_types(tmp_path, dtype, shape):
    scale = np.full(shape, 1.5, dtype)
    (info,) = list_layers(write(tmp_path, tensors=TENSORS | {"head.weight_scale": scale}))
    assert read_layer(info).scales.values.tolist() == [[1.5]]


def write_bfloat16(file, values, before=b""):
    """A safetensors file written by hand: numpy has no bfloat16."""
    halves = b"".join(struct.pack("<f", value)[2:] for value in values)
    entries = {"pad": ("U8", [len(before)], 0), "head.weight_scale": ("BF16", [1], len(before))}
    header = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": [start, start + size]}
        for (name, (dtype, shape, start)), size in zip(
            entries.items(), (len(before), len(halves)), strict=True
        )
    }
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + before + halves)


def test_bfloat16_scale(tmp_path):
    file = tmp_path / "model.safetensors"
    write_bfloat16(file, [1.2109375], before=b"\1\2\3\4")  # exact in bfloat16
    scale = read_tensor(file, "head.weight_scale", "BF16")
    assert scale.dtype == np.float32
    assert scale.tolist() == [1.2109375]
    assert read_tensor(file, "pad", "U8").tolist() == [1, 2, 3, 4]


STRANGE = {  # values of a tensor, what is said of them
    "matrix": (np.array([[1, 2, 3], [4, 5, np.nan]], np.float32), "nan at [1, 2]"),
    "vector": (np.array([1, -np.inf, np.nan], np.float16), "-inf at [1]"),
    "scalar": (np.array(np.inf), "inf at []"),
}


@pytest.mark.parametrize(("values", "found"), STRANGE.values(), ids=STRANGE)
def test_a_tensor_with_nan_or_infinities_is_refused(tmp_path, values, found):
    file = tmp_path / "model.safetensors"
    save_file({"norm": values}, file)
    assert refused(read_tensor, file, "norm", "F16", "F32", "F64") == (
        f"{file}: norm, byte {byte_of(file, 'norm')}: should be finite, not {found}; "
        "check how the checkpoint was made"
    )


def test_a_bfloat16_nan_is_refused(tmp_path):
    file = tmp_path / "model.safetensors"
    write_bfloat16(file, [float("nan")])
    assert refused(read_tensor, file, "head.weight_scale", "BF16") == (
        f"{file}: head.weight_scale, byte {byte_of(file, 'head.weight_scale')}: "
        "should be finite, not nan at [0]; check how the checkpoint was made"
    )


def test_a_scale_too_small_to_divide_by(tmp_path):
    """Its inverse overflows; as a factor it is as good as any other."""
    tensors = TENSORS | {"head.weight_scale": np.array([1e-310])}
    (info,) = list_layers(write(tmp_path, tensors=tensors))
    assert read_layer(info).gain(0).tolist() == [1e-310]
    (info,) = list_layers(write(tmp_path, quantized(linear_class="bitlinear"), tensors))
    file = tmp_path / "model.safetensors"
    assert refused(read_layer, info) == (
        f"{file}: head.weight_scale, byte {byte_of(file, 'head.weight_scale')}: "
        "scale should be large enough to divide by, not 1e-310; check how the checkpoint was made"
    )


def test_missing_folder(tmp_path):
    folder = tmp_path / "none"
    assert refused(list_layers, folder).startswith(f"{folder}: no such file; give a folder with ")


def test_missing_model(tmp_path):
    write(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert refused(list_layers, tmp_path) == (
        f"{tmp_path / 'model.safetensors'}: no such file; give a folder with safetensors files"
    )


def test_unreadable_files(tmp_path):
    write(tmp_path)
    model, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    model.unlink()
    model.mkdir()
    assert refused(list_layers, tmp_path).startswith(f"{model}: cannot be read: ")
    config.unlink()
    config.mkdir()
    assert refused(list_layers, tmp_path) == f"{config}: cannot be read: Is a directory"


DAMAGE = {
    "empty": (lambda data: b"", "header too small"),
    "truncated_header": (lambda data: data[:20], "invalid header length"),
    "truncated_data": (lambda data: data[:-1], "incomplete metadata, file not fully covered"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_model(tmp_path, damage, reason):
    file = write(tmp_path) / "model.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    assert refused(list_layers, tmp_path) == (
        f"{file}: should be a whole safetensors file: {reason}; download it again"
    )


def test_a_pickle_is_not_read(tmp_path):
    file = write(tmp_path) / "model.safetensors"
    file.write_bytes(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01x\x94.")
    assert refused(list_layers, tmp_path) == (
        f"{file}: should be a folder with config.json and safetensors files, a .safetensors file, "
        "or a .gguf file with TQ1_0, TQ2_0, Q2_0 or I2_S tensors, not a pickle (.bin, .pt, .pkl), "
        "which could run any program when loaded; convert it or give another"
    )


LACKING = (
    "should have 1 ternary matrices by config.json, but 0 are as they should be: 1 missing (head)"
)
TENSOR_FAULTS = {  # changed tensors (None: removed), start of the message after file or folder
    "no_weight": ({"head.weight": None, "head.weight_scale": None, "norm.weight": SCALE}, LACKING),
    "many_others": (
        {"head.weight": None} | {f"mask.{i}": SCALE for i in range(9)},
        f"{LACKING}; 10 not expected (head.weight_scale, F32: of unknown meaning; mask.0, F32: of "
        "unknown meaning; mask.1, F32: of unknown meaning; mask.2, F32: of unknown meaning and 6 "
        "more); use the whole ternary release, or give --partial to go on with what is there",
    ),
    "no_scale": (
        {"head.weight_scale": None},
        "head.weight, byte @0: should have a weight_scale beside it, not nothing; use the release "
        "with packed weights",
    ),
    "rows": (
        {"head.weight": pack_rows(TERNARY[:8])},
        "head.weight, byte @0: should have shape [10, 3] (out, in) by config.json, not [8, 3]; "
        "the two do not belong together",
    ),
    "columns": (
        {"head.weight": pack_rows(TERNARY[:, :2])},
        "head.weight, byte @0: should have shape [10, 3] (out, in) by config.json, not [10, 2]; "
        "the two do not belong together",
    ),
    "scale_dtype": (
        {"head.weight_scale": np.array([1])},
        "head.weight_scale, byte @0: should be BF16 or F16 or F32 or F64, not I64; "
        "use the release with packed weights",
    ),
    "scale_shape": (
        {"head.weight_scale": np.ones(2, np.float32)},
        "head.weight_scale, byte @0: should have one scale, one for each of the 10 outputs, or "
        "[10, groups] with groups that divide the 3 inputs, not shape [2]",
    ),
    "empty": (
        {"head.weight": np.zeros((0, 3), np.uint8)},
        "head.weight, byte @0: should be a matrix of packed rows, not of shape [0, 3]",
    ),
}


@pytest.mark.parametrize(("change", "message"), TENSOR_FAULTS.values(), ids=TENSOR_FAULTS)
def test_unfit_tensors(tmp_path, change, message):
    tensors = {name: value for name, value in (TENSORS | change).items() if value is not None}
    write(tmp_path, tensors=tensors)
    where = tmp_path if message.startswith(LACKING) else tmp_path / "model.safetensors"
    assert refused(list_layers, tmp_path).startswith(located(where, message))


def test_a_layer_that_is_not_packed(tmp_path):
    """Integers that are ternary, with the scale beside them."""
    (matrix,) = list_layers(write(tmp_path, tensors=TENSORS | {"head.weight": TERNARY}))
    assert matrix.tensor.format == "unpacked I8"
    layer = read_layer(matrix)
    assert np.array_equal(layer.weights, TERNARY)
    assert layer.gain(0).tolist() == [0.25]


SCALE_SHAPES = {
    "rows": ((10,), (10, 1)),
    "column": ((10, 1), (10, 1)),
    "groups": ((10, 3), (10, 3)),
    "matrix_of_one": ((1, 1), (1, 1)),
}


@pytest.mark.parametrize(("stored", "read"), SCALE_SHAPES.values(), ids=SCALE_SHAPES)
@pytest.mark.parametrize("linear_class", ["bitlinear", "autobitlinear"])
def test_shapes_of_scales(tmp_path, stored, read, linear_class):
    scale = np.arange(1, 1 + np.prod(stored), dtype=np.float32).reshape(stored)
    folder = write(
        tmp_path, quantized(linear_class=linear_class), TENSORS | {"head.weight_scale": scale}
    )
    (matrix,) = list_layers(folder)
    found = matrix.tensor.scales()
    assert found.values.tolist() == scale.reshape(read).tolist()
    layer = read_layer(matrix)
    acts = np.array([[3, -5, 7], [1, 0, 2]])
    each = np.repeat(
        np.repeat(scale.reshape(read).astype(float), 10 // read[0], 0), 3 // read[1], 1
    )
    real = TERNARY * each if linear_class == "autobitlinear" else TERNARY / each
    products = golden_matmul(layer, acts)
    assert products.shape == (read[1], 2, 10)
    got = layer.outputs(products.astype(float), np.array([2.0, 4.0]))
    assert got == pytest.approx(acts @ real.T / [[2], [4]], rel=1e-12)


CODE_3 = TENSORS["head.weight"].copy()
CODE_3[1, 2] |= 0b1100  # Second quarter: row 1 * 3 + 1.
VALUE_FAULTS = {
    "code_3": (
        {"head.weight": CODE_3},
        "head.weight, byte @5: codes should be 0, 1 or 2, not 3 at row 4, column 2; "
        "download it again",
    ),
} | {
    f"scale_{value}": (
        {"head.weight_scale": np.array([value], np.float32)},
        f"head.weight_scale, byte @0: scale should be finite and above 0, not {value}; "
        "check how the checkpoint was made",
    )
    for value in (0.0, -1.5, float("nan"), float("inf"))
}


@pytest.mark.parametrize(("change", "message"), VALUE_FAULTS.values(), ids=VALUE_FAULTS)
def test_unfit_values(tmp_path, change, message):
    (info,) = list_layers(write(tmp_path, tensors=TENSORS | change))
    assert refused(read_layer, info) == located(tmp_path / "model.safetensors", message)


def test_only_zeros_are_weights_too(tmp_path):
    (matrix,) = list_layers(
        write(tmp_path, tensors=TENSORS | {"head.weight": pack_rows(np.zeros((10, 3), int))})
    )
    assert not read_layer(matrix).weights.any()


def test_scales_are_put_together_in_the_fewest_bands():
    """Equal ones are one; a 0, of weights that are all 0, goes with any."""
    two = [[2.0, 2.0, 3.0, 3.0], [2.0, 0.0, 3.0, 3.0], [4.0, 4.0, 0.0, 5.0], [4.0, 4.0, 5.0, 5.0]]
    for values, expected in (
        (np.full((6, 4), 0.5), [[0.5]]),
        (np.array(two), [[2.0, 3.0], [4.0, 5.0]]),
        (np.array([[1.0, 2.0, 2.0]]), [[1.0, 2.0, 2.0]]),
        (np.zeros((2, 2)), [[0.0]]),
    ):
        found = Scales(values, "divide").coarsest()
        assert found.values.tolist() == expected
        assert found.convention == "divide"
