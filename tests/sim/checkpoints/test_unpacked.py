"""Unpacked weights, scales beside them, and what a file is: round trips and refusals."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from sim.checkpoints import Reading, examine, open_checkpoint, pack_rows, read_layer
from sim.checkpoints.storage import open_file
from sim.checkpoints.unpacked import UnpackedTensor
from tests.support.checkpoint_files import (
    BITNET,
    LLAMA_SIZES,
    packed,
    refusal,
    ternary,
    write_folder,
)

ACCEPTED = (
    "a folder with config.json and safetensors files, a .safetensors file, or a .gguf file with "
    "TQ1_0, TQ2_0, Q2_0 or I2_S tensors"
)
PARTIAL = Reading(partial=True)
Q, DOWN = "model.layers.0.self_attn.q_proj", "model.layers.0.mlp.down_proj"


def byte_of(file, tensor):
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return 8 + length + json.loads(data[8 : 8 + length])[tensor]["data_offsets"][0]


def unpacked(folder, values, shards=None, **beside):
    """One matrix, written to a file."""
    file = write_folder(folder, {f"{Q}.weight": values, **beside}) / "model.safetensors"
    stored = open_file(file).entries[f"{Q}.weight"]
    return UnpackedTensor(file, stored.name, stored.offset, *stored.shape, stored, shards)


BANDS = {  # scales, axis: one of 0 (bands of rows) and 1 (bands of columns)
    "one": ([0.25], 0),
    "rows": ([0.25, 0.5, 0.125], 0),
    "columns": ([0.25, 0.5], 1),
    "every_row": ([i / 8 for i in range(1, 7)], 0),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("scales", "axis"), BANDS.values(), ids=BANDS)
def test_bands_of_scales(tmp_path, monkeypatch, scales, axis, dtype):
    for module in ("base", "unpacked"):
        monkeypatch.setattr(f"sim.checkpoints.{module}.BLOCK_WEIGHTS", 1)
    weights = ternary((6, 8), 1)
    wide = np.repeat(scales, weights.shape[axis] // len(scales))
    tensor = unpacked(tmp_path, (weights * np.expand_dims(wide, 1 - axis)).astype(dtype))
    assert (tensor.name, tensor.format) == (Q, f"unpacked F{8 * np.dtype(dtype).itemsize}")
    assert np.array_equal(tensor.weights(), weights)
    found = tensor.scales()
    assert found.convention == "multiply"
    assert found.values.shape == ((len(scales), 1) if axis == 0 else (1, len(scales)))
    assert found.values.ravel().tolist() == scales


@pytest.mark.parametrize("group", [32, 64, 128])
def test_groups_along_rows(tmp_path, monkeypatch, group):
    """A scale for each group of each row, as Sherry's and Bonsai's models have."""
    monkeypatch.setattr("sim.checkpoints.unpacked.BLOCK_WEIGHTS", 1)
    weights = ternary((6, 256), 1)
    weights[:, ::group] = 1  # No group without a magnitude.
    each = np.arange(1, 1 + 6 * 256 // group).reshape(6, -1) / 16
    tensor = unpacked(tmp_path, (weights * np.repeat(each, group, axis=1)).astype(np.float16))
    assert np.array_equal(tensor.weights(), weights)
    assert tensor.scales().values.tolist() == each.tolist()
    part = tensor.part("half", 2, 3)
    assert np.array_equal(part.weights(), weights[2:5])
    assert part.scales().values.tolist() == each[2:5].tolist()


def test_bfloat16(tmp_path):
    """Written by hand: numpy has no bfloat16."""
    weights = ternary((4, 4), 2)
    values = (weights * np.float32(0.40625)).astype("<f4")  # Exact in bfloat16.
    data = b"".join(struct.pack("<f", v)[2:] for v in values.ravel().tolist())
    entry = {"dtype": "BF16", "shape": [4, 4], "data_offsets": [0, len(data)]}
    header = json.dumps({f"{Q}.weight": entry}).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header + data)
    (tensor,) = open_checkpoint(file, PARTIAL).tensors
    assert np.array_equal(tensor.weights(), weights)
    assert tensor.scales().values.tolist() == [[0.40625]]


def test_fewest_bands_and_the_recorded_number(tmp_path):
    """Of six shards two by two are alike: three bands. Five shards cannot give three."""
    weights = ternary((12, 8), 1)
    values = (weights * np.repeat([1, 2, 3], 4)[:, None]).astype(np.float16)
    tensor = unpacked(tmp_path, values, 6)
    assert tensor.scales().values.ravel().tolist() == [1, 2, 3]
    file = tmp_path / "model.safetensors"
    assert refusal(examine, replace(tensor, shards=5)) == (
        f"{file}: {Q}.weight, byte {byte_of(file, f'{Q}.weight')}: should hold -s, 0 and +s, with "
        "one s or one for each of equal bands or groups, whose number divides "
        "pretraining_model_parallel 5, not 3 magnitudes in its rows"
    )


def test_weights_that_are_not_ternary(tmp_path):
    values = (ternary((4, 8), 1) * 0.5).astype(np.float32)
    values[2, 5] = 0.75
    values[2, 0] = 0.5
    tensor = unpacked(tmp_path, values)
    at = byte_of(tensor.file, f"{Q}.weight") + 4 * (2 * 8 + 5)
    assert refusal(examine, tensor) == (
        f"{tensor.file}: {Q}.weight, byte {at}: should hold -s, 0 and +s, with one s or one for "
        "each of equal bands or groups, not both 0.5 and 0.75 in row 2"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_unpacked_weights_that_are_not_finite(tmp_path, value):
    values = ternary((4, 8), 1).astype(np.float16)
    values[3, 6] = value
    tensor = unpacked(tmp_path, values)
    at = byte_of(tensor.file, f"{Q}.weight") + 2 * (3 * 8 + 6)
    for read in (examine, type(tensor).weights):
        assert refusal(read, tensor) == (
            f"{tensor.file}: {Q}.weight, byte {at}: should be finite, not {value} at [3, 6]; "
            "check how the checkpoint was made"
        )


def test_unpacked_zeros(tmp_path):
    report = examine(unpacked(tmp_path, np.zeros((4, 8), np.float16)))
    assert (report.zeros, report.zero_fraction) == (32, 1)
    assert report.scales.lowest == report.scales.highest == 0


BESIDE = {
    "one": np.array([0.5], np.float32),
    "scalar": np.array(0.25, np.float16),
    "rows": np.array([0.5, 1, 2, 4], np.float32),
    "column": np.array([[0.5], [1], [2], [4]], np.float32),
    "groups": np.arange(1, 9, dtype=np.float32).reshape(4, 2),
}


@pytest.mark.parametrize("convention", ["multiply", "divide"])
@pytest.mark.parametrize("scale", BESIDE.values(), ids=BESIDE)
def test_integers_with_scales_beside_them(tmp_path, scale, convention):
    weights = ternary((4, 8), 1)
    tensors = {f"{Q}.weight": weights, f"{Q}.weight_scale": scale}
    folder = write_folder(tmp_path, tensors)
    (tensor,) = open_checkpoint(folder, Reading(scale=convention, partial=True)).tensors
    assert np.array_equal(tensor.weights(), weights)
    found = tensor.scales()
    assert (found.convention, tensor.format) == (convention, "unpacked I8")
    assert found.values.ravel().tolist() == scale.ravel().tolist()
    assert found.values.shape == (scale.shape if scale.ndim == 2 else (scale.size, 1))


def test_integers_alone_have_scale_1(tmp_path):
    tensor = unpacked(tmp_path, ternary((4, 8), 1))
    assert tensor.scales().values.tolist() == [[1]]
    assert "should hold -1, 0 and +1" in refusal(examine, unpacked(tmp_path, 2 * ternary((4, 8))))


SCALE_FAULTS = {
    "shape": (np.ones((2, 4), np.float32), "should have one scale, one for each of the 4 outputs"),
    "groups": (np.ones((4, 3), np.float32), "with groups that divide the 8 inputs, not shape"),
    "type": (np.ones(1, np.int32), "should be BF16 or F16 or F32 or F64, not I32"),
    "negative": (-np.ones(4, np.float32), "scale should be finite and above 0, not -1.0"),
    "zero": (np.array([1, 1, 1, 0], np.float32), "scale should be finite and above 0, not 0.0"),
}


@pytest.mark.parametrize(("scale", "message"), SCALE_FAULTS.values(), ids=SCALE_FAULTS)
def test_scales_that_do_not_fit(tmp_path, scale, message):
    tensors = {f"{Q}.weight": ternary((4, 8), 1), f"{Q}.weight_scale": scale}
    folder = write_folder(tmp_path, tensors)
    assert message in refusal(open_checkpoint, folder, Reading(scale="multiply", partial=True))


def test_a_scale_of_0_where_all_weights_are_0(tmp_path):
    weights = ternary((4, 8), 1)
    weights[2] = 0
    scale = np.array([1, 2, 0, 3], np.float32)
    tensors = {f"{Q}.weight": weights, f"{Q}.weight_scale": scale}
    folder = write_folder(tmp_path, tensors)
    (tensor,) = open_checkpoint(folder, Reading(scale="divide", partial=True)).tensors
    assert tensor.scales().values.ravel().tolist() == scale.tolist()
    assert (tensor.scales().lowest, tensor.scales().highest) == (1, 3)


UNFIT = {
    "vector": (
        {f"{Q}.weight": np.ones(4, np.float16)},
        f"{Q}.weight, byte @: should be a matrix of at least one weight, not of shape [4]; use a "
        "model without experts",
    ),
    "empty": (
        {f"{Q}.weight": np.ones((0, 8), np.float16)},
        f"{Q}.weight, byte @: should be a matrix of at least one weight, not of shape [0, 8]; use "
        "a model without experts",
    ),
    "real_with_a_scale": (
        {f"{Q}.weight": np.full((4, 8), 0.5, "f2"), f"{Q}.weight_scale": np.ones(1, "f4")},
        None,
    ),
    "short_bias": (
        {f"{Q}.weight": np.ones((4, 8), np.float16), f"{Q}.bias": np.ones(3, np.float16)},
        f"{Q}.bias, byte @: should have shape [4], not [3]; it does not belong to {Q}.weight",
    ),
    "integer_bias": (
        {f"{Q}.weight": np.ones((4, 8), np.float16), f"{Q}.bias": np.ones(4, np.int8)},
        f"{Q}.bias, byte @: should be real numbers, not I8; convert the model again",
    ),
}


@pytest.mark.parametrize(("tensors", "message"), UNFIT.values(), ids=UNFIT)
def test_unfit_unpacked_tensors(tmp_path, tensors, message):
    file = write_folder(tmp_path, tensors) / "model.safetensors"
    how = Reading(scale="multiply" if message is None else None, partial=True)
    if message is None:  # In this case the matrix is left out, as one that is not ternary.
        assert "should have ternary matrices, not 1 F16 only" in refusal(
            open_checkpoint, tmp_path, how
        )
        return
    name, *_ = message.partition(", byte @")
    wanted = message.replace("byte @", f"byte {byte_of(file, name)}")
    assert refusal(open_checkpoint, tmp_path, how) == f"{file}: {wanted}"


def test_biases_come_along(tmp_path):
    bias = np.array([1.5, -2, 0, 4], np.float16)
    tensors = {f"{Q}.weight": np.ones((4, 8), np.float16), f"{Q}.bias": bias}
    (matrix,) = open_checkpoint(write_folder(tmp_path, tensors), PARTIAL).matrices
    layer = read_layer(matrix)
    assert layer.bias.tolist() == bias.tolist()
    products = layer.weights.sum(axis=1)[None, None].astype(float)
    assert layer.outputs(products, np.array([2.0])).tolist() == [(bias + 4).tolist()]


def test_shapes_that_disagree_with_config(tmp_path):
    values = ternary((256, 768)).astype(np.float16)
    folder = write_folder(tmp_path, {f"{DOWN}.weight": values}, LLAMA_SIZES)
    assert open_checkpoint(folder, PARTIAL).tensors[0].out_features == 256
    write_folder(tmp_path, {f"{DOWN}.weight": values}, LLAMA_SIZES | {"intermediate_size": 512})
    file = tmp_path / "model.safetensors"
    wanted = (
        f"{file}: {DOWN}.weight, byte {byte_of(file, f'{DOWN}.weight')}: should have shape "
        f"[256, 512] (out, in) by {tmp_path / 'config.json'}, not [256, 768]; the two do not "
        "belong together"
    )
    assert refusal(open_checkpoint, folder) == wanted
    assert refusal(open_checkpoint, file) == wanted  # The file alone, config.json beside it.
    tensors = {f"{DOWN}.weight": pack_rows(ternary((256, 764)))}
    tensors[f"{DOWN}.weight_scale"] = np.ones(1, np.float32)
    write_folder(tmp_path, tensors, LLAMA_SIZES | BITNET)
    assert refusal(open_checkpoint, folder).endswith(
        "not [256, 764]; the two do not belong together"
    )


def test_sizes_that_follow_from_others(tmp_path):
    """Without head_dim: hidden / heads; without key-value heads: as many as heads."""
    sizes = {k: v for k, v in LLAMA_SIZES.items() if k not in ("head_dim", "num_key_value_heads")}
    values = ternary((256, 256)).astype(np.float16)
    names = (Q, Q.replace("q_proj", "k_proj"))
    write_folder(tmp_path, {f"{name}.weight": values for name in names}, sizes)
    assert len(open_checkpoint(tmp_path, PARTIAL).tensors) == 2
    write_folder(tmp_path, {f"{name}.weight": values[:128] for name in names}, sizes)
    assert "should have shape [256, 256] (out, in) by" in refusal(
        open_checkpoint, tmp_path, PARTIAL
    )


@pytest.mark.parametrize(
    "key",
    ["hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers"],
)
def test_sizes_of_config_come_together(tmp_path, key):
    values = ternary((256, 768)).astype(np.float16)
    sizes = {k: v for k, v in LLAMA_SIZES.items() if k != key}
    write_folder(tmp_path, {f"{DOWN}.weight": values}, sizes)
    assert refusal(open_checkpoint, tmp_path).startswith(
        f"{tmp_path / 'config.json'}: {key}: should be an integer, not missing; the file has "
    )
    write_folder(tmp_path, {f"{DOWN}.weight": values}, sizes | {key: 0})
    assert refusal(open_checkpoint, tmp_path) == (
        f"{tmp_path / 'config.json'}: {key}: should be at least 1, not 0"
    )


def test_scale_conventions(tmp_path):
    """By config.json, or given where it does not say; never both, never guessed."""
    tensors = packed(["layer"])
    folder = write_folder(tmp_path, tensors, BITNET)
    multiply, divide = (Reading(scale=word, partial=True) for word in ("multiply", "divide"))
    assert open_checkpoint(folder, PARTIAL).tensors[0].scales().convention == "multiply"
    assert refusal(open_checkpoint, folder, multiply) == (
        f"{folder}: --scale should be left out for a checkpoint that has none of what it is for or "
        "records it, not 'multiply'; leave it out"
    )
    write_folder(tmp_path, tensors)
    assert refusal(open_checkpoint, folder, PARTIAL) == (
        f"{folder}: how scales apply should be in quantization_config of config.json, not missing; "
        "give --scale multiply (AutoBitLinear) or --scale divide (BitLinear)"
    )
    assert open_checkpoint(folder, divide).tensors[0].scales().convention == "divide"
    (folder / "config.json").unlink()
    file = folder / "model.safetensors"
    assert open_checkpoint(file, multiply).tensors[0].scales().convention == "multiply"


def zipped(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return stream.getvalue()


class Trap:
    """Its pickle would raise if anything loaded it."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('loaded')",))


KINDS = {
    "pickle": (
        pickle.dumps(Trap()),
        "a pickle (.bin, .pt, .pkl), which could run any program when loaded",
    ),
    "pytorch": (
        zipped("archive/data.pkl", "archive/data/0"),
        "a PyTorch file (.bin, .pt: a zip with a pickle, which could run any program)",
    ),
    "npz": (zipped("a.npy"), "numpy arrays (.npz)"),
    "zip": (zipped("readme"), "a zip archive"),
    "half_zip": (zipped("readme")[:20], "a damaged zip archive"),
    "onnx": (b"\x08\x08\x12\x07pytorch:\x00", "ONNX"),
    "numpy": (b"\x93NUMPY\x01\x00", "a numpy array"),
    "big_endian": (
        b"FUGG\x00\x00\x00\x03",
        "GGUF for big-endian machines (gguf-py's gguf_convert_endian converts it)",
    ),
    "ggml": (b"tjgg\x03\x00\x00\x00", "GGJT, older than GGUF"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "a Git LFS pointer, not the file itself (git lfs pull gets it)",
    ),
    "html": (b"<!DOCTYPE html><html>", "a web page (HTML)"),
    "json": (b'{"a": 1}', "JSON text"),
    "text": (("x" + "ä" * 4000).encode(), "plain text"),
    "noise": (bytes(range(255, 100, -1)), "a file of unknown kind"),
    "empty": (b"", "an empty file"),
}


@pytest.mark.parametrize(("content", "kind"), KINDS.values(), ids=KINDS)
def test_a_wrong_file_is_named(tmp_path, content, kind):
    file = tmp_path / "model.bin"
    file.write_bytes(content)
    assert refusal(open_checkpoint, file) == (
        f"{file}: should be {ACCEPTED}, not {kind}; convert it or give another"
    )


def test_onnx_by_its_name(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"\xff\xfe\xfd")
    assert "not ONNX;" in refusal(open_checkpoint, file)


def test_a_path_that_cannot_be(tmp_path):
    path = tmp_path / ("x" * 300)
    assert refusal(open_checkpoint, path) == f"{path}: cannot be read: File name too long"


def test_a_folder_without_safetensors(tmp_path):
    assert refusal(open_checkpoint, tmp_path / "none") == (
        f"{tmp_path / 'none'}: no such file; give {ACCEPTED}"
    )
    (tmp_path / "config.json").write_text("{}")
    file = tmp_path / "model.safetensors"
    assert refusal(open_checkpoint, tmp_path) == (
        f"{file}: no such file; give a folder with safetensors files"
    )
    (tmp_path / "pytorch_model.bin").write_bytes(zipped("archive/data.pkl"))
    assert refusal(open_checkpoint, tmp_path) == (
        f"{file}: no such file; the folder has 'pytorch_model.bin'; pickled weights could run any "
        "program when loaded and are never read: use the release with safetensors, or convert with "
        "safetensors.torch.save_file"
    )
    (tmp_path / "pytorch_model.bin").rename(tmp_path / "model.gguf")
    assert "give the .gguf file itself" in refusal(open_checkpoint, tmp_path)
