"""Beats: layouts by hand, and round trips."""

from __future__ import annotations

import numpy as np
import pytest

from sim.verilated import beats


def test_fields_by_hand():
    """Field 0 lowest: 0b101 and 0b011 and 0b111 of three bits each are 0b111_011_101."""
    packed = beats.pack_fields(np.array([[0b101, 0b011, 0b111]]), 3)
    assert packed.tolist() == [[0b11011101, 0b1, 0, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize("bits", range(1, 17))
@pytest.mark.parametrize("fields", [1, 7, 8, 33])
def test_pack_against_integers(bits, fields):
    values = np.random.default_rng(bits).integers(0, 1 << bits, (5, fields))
    packed = beats.pack_fields(values, bits)
    assert packed.shape == (5, beats.beat_bytes(bits * fields))
    for row, beat in zip(values.tolist(), packed, strict=True):
        word = sum(value << (bits * i) for i, value in enumerate(row))
        assert int.from_bytes(beat.tobytes(), "little") == word


@pytest.mark.parametrize("bits", [2, 8, 9, 24, 31, 57, 63, 64])
def test_unpack_against_integers(bits):
    rng = np.random.default_rng(bits)
    values = rng.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1, (4, 11), endpoint=True)
    mask = (1 << bits) - 1
    size = beats.beat_bytes(bits * 11)
    rows = []
    for row in values.tolist():
        word = sum((value & mask) << (bits * i) for i, value in enumerate(row))
        rows.append(np.frombuffer(word.to_bytes(size, "little"), np.uint8))
    assert beats.unpack_fields(np.stack(rows), bits, 11).tolist() == values.tolist()


@pytest.mark.parametrize(("rows", "columns"), [(12, 8), (13, 9), (1, 1), (5, 7)])
@pytest.mark.parametrize("reuse", [1, 2, 3, 8])
def test_tile_order_follows_the_loop_nest(rows, columns, reuse):
    """Block, n-tile, tile of the block; then port, then table; by plain loops."""
    tables, ports = 2, 3
    groups = np.arange(rows * columns).reshape(rows, columns)
    expected = []
    out_tiles, in_tiles = -(-rows // ports), -(-columns // tables)
    for start in range(0, out_tiles, reuse):
        for i in range(in_tiles):
            for tile in range(start, min(start + reuse, out_tiles)):
                beat = []
                for k in range(ports):
                    for table in range(tables):
                        row, column = tile * ports + k, i * tables + table
                        inside = row < rows and column < columns
                        beat.append(int(groups[row, column]) if inside else -7)
                expected.append(beat)
    assert beats.tile_order(groups, tables, ports, reuse, -7).tolist() == expected


@pytest.mark.parametrize(
    ("weights", "mu", "bits", "codebook", "beat"),
    [
        ([0, 1, 0, 1], 2, 4, "ternary", 0x444400),
        ([-1, 0, 1, 1], 4, 5, "sherry34", 0b11000),  # t = -23, and that of entry 8 is 23.
    ],
)
def test_keys_are_padded_with_zero_groups_or_with_key_0(weights, mu, bits, codebook, beat):
    packed = beats.pack_keys(np.array([weights]), mu, 3, 2, 1, bits, codebook)
    assert [int.from_bytes(row.tobytes(), "little") for row in packed] == [beat]


def test_activations_are_padded_with_zeros():
    layout = {"acts": {"bits": 8, "shape": [1, 2]}}
    packed = beats.pack_acts(np.array([[1, -1, 2], [3, 4, 5]]), layout)
    assert packed[:, :2].tolist() == [[1, 255], [2, 0], [3, 4], [5, 0]]


def test_every_beat_of_a_token_has_its_exponent():
    layout = {"acts": {"bits": 8, "shape": [1, 2]}, "exponent": {"low": 16}}
    packed = beats.pack_acts(np.array([[1, 2, 3], [4, 5, 6]]), layout, np.array([7, 300]))
    assert packed[:, :4].tolist() == [[1, 2, 7, 0], [3, 0, 7, 0], [4, 5, 44, 1], [6, 0, 44, 1]]


def test_a_command_by_hand():
    layout = {"tokens": {"low": 0}, "in_tiles": {"low": 16}, "out_tiles": {"low": 20}}
    assert beats.command(layout, 3, 2, 5) == 3 | 2 << 16 | 5 << 20
