"""Headers and metadata of GGUF files: every fault by tensor and byte."""

from __future__ import annotations

import struct

import pytest

from sim.checkpoints import Reading, open_checkpoint
from tests.sim.checkpoints.gguf.test_file import one
from tests.support.checkpoint_files import (
    I2_S,
    METADATA,
    SHAPES,
    gguf_bytes,
    i2s_bytes,
    open_partly,
    refusal,
    ternary,
)


def replaced(old, new):
    """A file with one matrix, some bytes of its header replaced."""
    content = one(I2_S, i2s_bytes(ternary((4, 256)), "x86", 1.0))
    assert content.count(old) == 1
    assert len(old) == len(new)
    return content.replace(old, new)


LAST = struct.pack("<IQQIQ", 2, 256, 4, I2_S, 0)  # Dimensions, sizes, type and offset.


HEADERS = {
    "offset": (
        replaced(LAST, LAST[:-8] + struct.pack("<Q", 16)),
        "'x.weight' should have an offset divisible by 32, not 16; download it again",
    ),
    "dimensions": (
        replaced(LAST, struct.pack("<I", 5) + LAST[4:]),
        "'x.weight' should have at most 4 dimensions, not 5; download it again",
    ),
    "key_twice": (
        replaced(b"tester.attention.key_length", b"tester.attention.head_count"),
        "key 'tester.attention.head_count' is there twice; download it again",
    ),
    "tensor_twice": (
        gguf_bytes({n: ((4, 64), I2_S, bytes(96)) for n in ("x", "y")}).replace(b"y.w", b"x.w"),
        "tensor 'x.weight' is there twice; download it again",
    ),
    "nested_array": (
        replaced(struct.pack("<IIQ", 9, 8, 2), struct.pack("<IIQ", 9, 9, 2)),
        "type in an array should be a number's or a text's, not 9; download it again",
    ),
    "value": (
        replaced(struct.pack("<IIQ", 9, 8, 2), struct.pack("<IIQ", 13, 8, 2)),
        "type of a value should be 0 … 12, not 13; download it again",
    ),
    "text": (
        replaced(b"x.weight", b"\xff.weight"),
        "should be UTF-8; download it again",
    ),
    "alignment": (
        gguf_bytes({}, {"block_count": 12})
        .replace(b"bitnet.block_count", b"general.alignment")
        .replace(struct.pack("<Q", 18) + b"general.a", struct.pack("<Q", 17) + b"general.a"),
        "general.alignment should be a power of 2, not 12; download it again",
    ),
}


@pytest.mark.parametrize(("content", "message"), HEADERS.values(), ids=HEADERS)
def test_faulty_headers(tmp_path, content, message):
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    found = refusal(open_partly, file, "x86")
    assert found.startswith(f"{file}: header, byte ")
    assert found.endswith(f": {message}")


def test_every_cut_of_the_header(tmp_path):
    content = one(I2_S, i2s_bytes(ternary((4, 256)), "x86", 1.0))
    file = tmp_path / "m.gguf"
    for size in range(4, content.index(b"x.weight") + 36):
        file.write_bytes(content[:size])
        message = refusal(open_partly, file, "x86")
        assert message.startswith(f"{file}: header, byte ")
        assert message.endswith("the file is cut off or damaged; download it again")


def test_shapes_that_disagree_with_the_metadata(tmp_path):
    weights = ternary((4, 256))
    content = gguf_bytes({"blk.0.attn_k": ((4, 256), I2_S, i2s_bytes(weights, "x86", 1.0))})
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    assert refusal(open_partly, file, "x86").endswith(
        "should have shape [128, 256] (out, in) by the metadata, not [4, 256]; "
        "the two do not belong together"
    )
    tensors = {f"blk.0.{n}": (s, I2_S, bytes(s[0] * s[1] // 4 + 32)) for n, s in SHAPES.items()}
    tensors["blk.1.attn_k"] = (SHAPES["attn_k"], I2_S, bytes(128 * 256 // 4 + 32))
    file.write_bytes(gguf_bytes(tensors))
    assert "1 not expected (blk.1.attn_k.weight, I2_S: of layer 1, where there are 1)" in refusal(
        open_checkpoint, file, Reading("x86")
    )


def test_metadata_that_follows_from_other(tmp_path):
    """Without key_length: hidden / heads; without key-value heads: as many as heads."""
    sizes = {k: v for k, v in METADATA.items() if not k.startswith("attention.") or "count" in k}
    del sizes["attention.head_count_kv"]
    file = tmp_path / "m.gguf"
    tensors = {f"blk.0.attn_{role}": ((256, 256), I2_S, bytes(128 * 128 + 32)) for role in "qk"}
    file.write_bytes(gguf_bytes(tensors, sizes))
    assert len(open_partly(file, "x86").tensors) == 2
    file.write_bytes(gguf_bytes({"blk.0.attn_k": ((128, 256), I2_S, bytes(8224))}, sizes))
    assert "should have shape [256, 256] (out, in) by" in refusal(open_partly, file, "x86")


@pytest.mark.parametrize("key", [k for k in METADATA if "kv" not in k and "key" not in k])
def test_missing_metadata(tmp_path, key):
    tensors = {"blk.0.attn_k": (SHAPES["attn_k"], I2_S, bytes(128 * 256 // 4 + 32))}
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf_bytes(tensors, {k: v for k, v in METADATA.items() if k != key}))
    assert refusal(open_partly, file, "x86") == (
        f"{file}: bitnet.{key}: should be an integer of at least 1, not missing; "
        "convert the model again"
    )
