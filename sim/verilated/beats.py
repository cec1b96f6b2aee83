"""Arrays to beats and back: the bit layouts of a core's streams, in numpy.

A beat is a row of bytes, little-endian, padded to a multiple of 8 bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.golden.codebooks import book
from sim.golden.integers import keys_from_weights

Bytes = NDArray[np.uint8]
Fields = dict[str, dict[str, Any]]
BLOCK = 1 << 15
"""Fields packed at once."""


def fields(manifest: dict[str, Any]) -> Fields:
    """The fields of all streams of a core by their names, as its manifest lays them out."""
    return {
        field["name"]: field
        for stream in manifest["streams"].values()
        for field in stream["layout"]
    }


def command(layout: Fields, tokens: int, in_tiles: int, out_tiles: int) -> int:
    """A command beat, as an integer."""
    counts = {"tokens": tokens, "in_tiles": in_tiles, "out_tiles": out_tiles}
    return sum(count << layout[name]["low"] for name, count in counts.items())


def beat_bytes(width: int) -> int:
    """Bytes of a beat of ``width`` bits."""
    return -(-width // 64) * 8


def pack_fields(values: NDArray[Any], bits: int) -> Bytes:
    """Each row of ``values`` as one beat of fields of ``bits`` bits, field 0 lowest.

    values: (R, F) integers of at most 16 bits; only their lowest ``bits`` bits are kept.
    Returns (R, beat_bytes(F · bits)) uint8.
    """
    rows, fields = values.shape
    beats = np.zeros((rows, beat_bytes(fields * bits)), np.uint8)
    if bits in (8, 16):
        raw = np.ascontiguousarray(values).astype(f"<u{bits // 8}").view(np.uint8)
        beats[:, : raw.shape[1]] = raw
        return beats
    step = max(1, BLOCK // fields)
    for first in range(0, rows, step):  # Blocks whose intermediate values stay in cache.
        packed = _pack_block(values[first : first + step], bits)
        size = min(packed.shape[1], beats.shape[1])
        beats[first : first + step, :size] = packed[:, :size]
    return beats


def _pack_block(values: NDArray[Any], bits: int) -> Bytes:
    """`pack_fields` of some rows, without padding; eight fields fill ``bits`` whole bytes."""
    rows, fields = values.shape
    groups = -(-fields // 8)
    padded = np.zeros((rows, groups * 8), np.uint16)
    np.bitwise_and(values.astype(np.uint16, copy=False), (1 << bits) - 1, out=padded[:, :fields])
    padded = padded.reshape(rows, groups, 8)
    packed = np.empty((rows, groups, bits), np.uint8)
    low, high = (np.zeros((rows, groups), np.uint64) for _ in range(2))
    for j in range(8):
        field = padded[:, :, j].astype(np.uint64)
        start = j * bits
        if start < 64:
            low |= field << np.uint64(start)
            if start + bits > 64:
                high |= field >> np.uint64(64 - start)
        else:
            high |= field << np.uint64(start - 64)
    words = low.view(np.uint8).reshape(rows, groups, 8)
    packed[:, :, : min(bits, 8)] = words[:, :, : min(bits, 8)]
    if bits > 8:
        packed[:, :, 8:] = high.view(np.uint8).reshape(rows, groups, 8)[:, :, : bits - 8]
    return packed.reshape(rows, groups * bits)


def unpack_fields(beats: Bytes, bits: int, count: int) -> NDArray[np.int64]:
    """The first ``count`` signed fields of ``bits`` bits (at most 64) of every beat.

    beats: (R, …) uint8. Returns (R, count) int64.
    """
    rows = beats.shape[0]
    stride = beats.shape[1] + 16
    padded = np.zeros((rows, stride), np.uint8)  # So that every load stays inside.
    padded[:, : beats.shape[1]] = beats
    fields = np.empty((rows, count), np.int64)
    for f in range(count):
        byte, shift = divmod(f * bits, 8)
        low, high = (
            np.ndarray((rows,), "<u8", padded.data, offset=byte + 8 * part, strides=(stride,))
            for part in range(2)
        )
        word = low >> np.uint64(shift)
        if shift + bits > 64:
            word = word | (high << np.uint64(64 - shift))
        fields[:, f] = (word << np.uint64(64 - bits)).view(np.int64) >> np.int64(64 - bits)
    return fields


def pack_acts(acts: NDArray[Any], layout: Fields, exponents: NDArray[Any] | None = None) -> Bytes:
    """Activation beats of a layer, padded with zeros.

    acts: (T, N) integers. layout: with the fields ``acts``, of n activations a beat, and, where
    there are exponents, ``exponent``. exponents: (T,), at most 16 bits each: every beat of a token
    has its own.
    Returns (T · I, …): beat t·I + i holds inputs i·n … i·n + n - 1.
    """
    tokens, features = acts.shape
    bits, tile_n = layout["acts"]["bits"], layout["acts"]["shape"][-1]
    beats = -(-features // tile_n)
    padded = np.zeros((tokens, beats * tile_n), np.int16)
    padded[:, :features] = acts
    packed = pack_fields(padded.reshape(tokens * beats, tile_n).view(np.uint16), bits)
    if exponents is not None:
        low = layout["exponent"]["low"]
        full = np.zeros((len(packed), beat_bytes(low + 16)), np.uint8)
        full[:, : packed.shape[1]] = packed
        put_field(full, np.repeat(exponents, beats), low)
        packed = full
    return packed


def put_field(beats: Bytes, values: NDArray[Any], low: int) -> None:
    """Set one field of at most 16 bits from bit ``low`` on, which is 0 so far, in every beat.

    values: (R,) unsigned integers.
    """
    byte, shift = divmod(low, 8)
    word = values.astype(np.uint32) << np.uint32(shift)
    for part in range(min(3, beats.shape[1] - byte)):
        beats[:, byte + part] |= (word >> np.uint32(8 * part)).astype(np.uint8)


def tile_order(
    groups: NDArray[Any], tables: int, ports: int, reuse: int, padding: int
) -> NDArray[Any]:
    """What each table and port needs, tile by tile in the order block, n-tile, tile of the block.

    groups: (M, G), one value for each group of weights; rows and groups that fill up tiles are
    ``padding``. Returns (I · ⌈M/K⌉, K · L): table 0 of port 0 first.
    """
    rows, columns = groups.shape
    out_tiles, in_tiles = -(-rows // ports), -(-columns // tables)
    if (rows, columns) != (out_tiles * ports, in_tiles * tables):
        padded = np.full((out_tiles * ports, in_tiles * tables), padding, groups.dtype)
        padded[:rows, :columns] = groups
        groups = padded
    tiles = groups.reshape(out_tiles, ports, in_tiles, tables)
    width = ports * tables
    full = out_tiles // reuse * reuse
    parts = [
        tiles[:full]
        .reshape(-1, reuse, ports, in_tiles, tables)
        .transpose(0, 3, 1, 2, 4)
        .reshape(-1, width),
        tiles[full:].transpose(2, 0, 1, 3).reshape(-1, width),
    ]
    parts = [part for part in parts if len(part)]
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def pack_keys(
    weights: NDArray[Any],
    mu: int,
    tables: int,
    ports: int,
    reuse: int,
    key_bits: int,
    codebook: str = "ternary",
) -> Bytes:
    """Key beats of one token of a layer with ternary weights (M, N), padded with zero groups; with
    key 0, of a codebook that has none."""
    keys = keys_from_weights(weights, mu, codebook)
    padding = book(codebook, mu).padding
    return pack_fields(tile_order(keys, tables, ports, reuse, padding), key_bits)


def pack_weights(weights: NDArray[Any], tables: int, ports: int, reuse: int, bits: int) -> Bytes:
    """Key beats of the multiplier baseline: plain weights (M, N) of ``bits`` bits."""
    words = np.ascontiguousarray(weights, np.int16).view(np.uint16)
    return pack_fields(tile_order(words, tables, ports, reuse, 0), bits)


def output_order(fields: NDArray[Any], tokens: int, ports: int, out_features: int) -> NDArray[Any]:
    """Result beats (T · ⌈M/K⌉, K) as outputs (T, M), those beyond M dropped.

    Blocks and tiles of a block leave in the order of their outputs.
    """
    return fields.reshape(tokens, -1)[:, :out_features]
