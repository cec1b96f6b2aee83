"""Layers on the generated Verilog in batches: numpy in, numpy out, at the speed of C++."""

from __future__ import annotations

import ctypes
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgen.spec.ports import COMMANDS, SUMS
from sim.verilated import beats, model
from sim.verilated.model import ModelError

MAX_TOKENS = (1 << 16) - 1
"""Tokens of one command; longer runs are queued as several."""
PATIENCE = 20_000
IDLE = 64


class _Run(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in ("tokens", "in_tiles", "blocks", "tiles", "results", "command", "acts", "keys")
    ]


class _Job(ctypes.Structure):
    _fields_ = [
        ("runs", ctypes.c_void_p),
        ("n_runs", ctypes.c_uint64),
        *((name, ctypes.c_void_p) for name in ("commands", "acts", "keys", "sums")),
        *(
            (name, ctypes.c_uint64)
            for name in ("command_bytes", "acts_bytes", "keys_bytes", "sums_bytes", "seed")
        ),
        *((f"stall_{name}", ctypes.c_uint32) for name in ("commands", "acts", "keys", "sums")),
        *(
            (name, ctypes.c_uint64)
            for name in (
                "fill",
                "drain",
                "patience",
                "idle",
                "cycles",
                "received",
                "strays",
                "leftover",
            )
        ),
        ("copy_seconds", ctypes.c_double),
    ]


@dataclass(frozen=True)
class Stalls:
    """Percent of cycles in which each stream's outer side is not ready, at random."""

    commands: int = 0
    acts: int = 0
    keys: int = 0
    sums: int = 0


@dataclass(frozen=True)
class Work:
    """One layer to run: acts (T, N) of the core's type (codes, if floating) and weights (M, N).

    Weights are ternary, in groups of the core's codebook, or for kind multiplier any of the
    activations' type. ``exponents`` (T,) are those of the tokens, for a core with ``fixed_bits``
    and for no other (`sim.golden.fixed.token_exponents`).
    """

    acts: NDArray[Any]
    weights: NDArray[Any]
    exponents: NDArray[Any] | None = None


@dataclass(frozen=True)
class Packed:
    """Work as beats, ready for any number of runs. ``pack_seconds`` covers the weights alone."""

    shapes: tuple[tuple[int, int, int], ...]
    commands: NDArray[np.uint8]
    acts: NDArray[np.uint8]
    keys: NDArray[np.uint8]
    runs: Any
    results: int
    pack_seconds: float


@dataclass(frozen=True)
class Result:
    """What came out: one (T, M) int64 array per piece of work, and what it took.

    errors: for each piece of work the tokens (T,) whose results carried the error flag; none from a
    core without.
    cycles: from the edge that takes the first command to the one that moves the last result.
    copy_seconds: the part of run_seconds that moved beats to and from the model and outputs back.
    """

    outputs: list[NDArray[np.int64]]
    errors: list[NDArray[np.bool_]]
    cycles: int
    run_seconds: float
    copy_seconds: float
    pack_seconds: float


class CoreModel:
    """A generated core, compiled. Every run starts from reset, with random register contents.

    verilog, manifest: as `hwgen generate` writes them. Not picklable; cheap to make again.
    """

    def __init__(self, verilog: str, manifest: dict[str, Any]) -> None:
        started = time.perf_counter()
        self.manifest = manifest
        self.library = self._compile(verilog)
        self._run = ctypes.CDLL(str(self.library)).core_run
        self._run.argtypes = [ctypes.POINTER(_Job)]
        self.build_seconds = time.perf_counter() - started
        config = manifest["config"]
        self.kind: str = config["kind"]
        self.mu: int = config["mu"]
        self.codebook: str = manifest["keys"].get("codebook", "")
        self.tables: int = config["tables"]
        self.ports: int = config["ports"]
        self.reuse: int = config["reuse"]
        self.tile_n: int = manifest["tile"]["n"]
        widths = {port["name"]: port["width"] for port in manifest["ports"]}
        self._beat_bytes = {
            role: beats.beat_bytes(widths[stream["payload"]])
            for role, stream in manifest["streams"].items()
        }
        self._fields = beats.fields(manifest)

    def _compile(self, text: str) -> Path:
        return model.library(text, self.manifest)

    def pack(self, work: Sequence[Work]) -> Packed:
        """Beats of all streams for ``work``, in the order given; ValueError for what cannot run."""
        commands: list[NDArray[np.uint8]] = []
        acts, keys, runs, shapes = [], [], [], []
        act_at = key_at = results = 0
        key_seconds = 0.0
        for piece in work:
            self._check(piece)
            (tokens, features), outs = piece.acts.shape, piece.weights.shape[0]
            shapes.append((tokens, features, outs))
            in_tiles, out_tiles = -(-features // self.tile_n), -(-outs // self.ports)
            started = time.perf_counter()
            keys.append(self._pack_keys(piece.weights))
            key_seconds += time.perf_counter() - started
            acts.append(beats.pack_acts(piece.acts, self._fields, piece.exponents))
            for first in range(0, tokens, MAX_TOKENS):
                count = min(MAX_TOKENS, tokens - first)
                runs.append(
                    _Run(
                        tokens=count,
                        in_tiles=in_tiles,
                        blocks=-(-out_tiles // self.reuse),
                        tiles=in_tiles * out_tiles,
                        results=out_tiles,
                        command=len(commands),
                        acts=act_at + first * in_tiles,
                        keys=key_at,
                    )
                )
                commands.append(self._command(count, in_tiles, out_tiles))
            act_at += len(acts[-1])
            key_at += len(keys[-1])
            results += tokens * out_tiles
        return Packed(
            shapes=tuple(shapes),
            commands=np.stack(commands),
            acts=np.ascontiguousarray(np.concatenate(acts)),
            keys=np.ascontiguousarray(np.concatenate(keys) if len(keys) > 1 else keys[0]),
            runs=(_Run * len(runs))(*runs),
            results=results,
            pack_seconds=key_seconds,
        )

    def run(
        self,
        work: Sequence[Work] | Packed,
        stalls: Stalls | None = None,
        seed: int = 0,
        beat_cycles: Fraction | None = None,
    ) -> Result:
        """Play ``work`` through the core as queued commands and return every output.

        beat_cycles: cycles that a beat of a weight stream of limited bandwidth takes, as in
        `hwgen.spec.schedule.Schedule.stalls`.

        ModelError if results are missing or too many, input is left over, or ``last`` is wrong.
        """
        packed = work if isinstance(work, Packed) else self.pack(work)
        if beat_cycles is not None:
            arrivals = sum(run.tokens * run.tiles for run in packed.runs)
            if max(beat_cycles.numerator * (arrivals + 1), beat_cycles.denominator) >= 1 << 62:
                raise ValueError(f"beat_cycles should be a simpler fraction, not {beat_cycles}")
        stalls = stalls or Stalls()
        sums_bytes = self._beat_bytes[SUMS]
        sums = np.zeros((packed.results, sums_bytes), np.uint8)
        job = _Job(
            runs=ctypes.addressof(packed.runs),
            n_runs=len(packed.runs),
            commands=packed.commands.ctypes.data,
            acts=packed.acts.ctypes.data,
            keys=packed.keys.ctypes.data,
            sums=sums.ctypes.data,
            command_bytes=packed.commands.shape[1],
            acts_bytes=packed.acts.shape[1],
            keys_bytes=packed.keys.shape[1],
            sums_bytes=sums_bytes,
            seed=seed,
            stall_commands=stalls.commands,
            stall_acts=stalls.acts,
            stall_keys=stalls.keys,
            stall_sums=stalls.sums,
            fill=0 if beat_cycles is None else beat_cycles.numerator,
            drain=1 if beat_cycles is None else beat_cycles.denominator,
            patience=PATIENCE if beat_cycles is None else PATIENCE + math.ceil(beat_cycles),
            idle=IDLE,
        )
        started = time.perf_counter()
        _interruptible(lambda: self._run(ctypes.byref(job)))
        ran = time.perf_counter()
        self._check_complete(job, packed)
        outputs = self._unpack(sums, packed)
        errors = self._errors(sums, packed)
        unpacked = time.perf_counter()
        return Result(
            outputs=outputs,
            errors=errors,
            cycles=job.cycles,
            run_seconds=unpacked - started,
            copy_seconds=job.copy_seconds + unpacked - ran,
            pack_seconds=packed.pack_seconds,
        )

    def _check(self, piece: Work) -> None:
        field = self._fields["acts"]
        acts, weights = piece.acts, piece.weights
        if acts.ndim != 2 or weights.ndim != 2 or acts.shape[1] != weights.shape[1]:
            raise ValueError(
                f"acts (T, N) and weights (M, N) disagree: {acts.shape} and {weights.shape}"
            )
        if 0 in acts.shape or 0 in weights.shape:
            raise ValueError(f"empty arrays: {acts.shape} and {weights.shape}")
        config = self.manifest["config"]
        for name, found, most in (
            ("in_features", weights.shape[1], config["max_in_features"]),
            ("out_features", weights.shape[0], config["max_out_features"]),
        ):
            if found > most:
                raise ValueError(f"{name} {found} is more than the core's max_{name} {most}")
        _check_range("activations", acts, field["bits"], field["signed"])
        self._check_exponents(piece)
        if self.kind == "multiplier":
            _check_range("weights", weights, field["bits"], field["signed"])

    def _check_exponents(self, piece: Work) -> None:
        field, found = self._fields.get("exponent"), piece.exponents
        if field is None:
            if found is not None:
                raise ValueError("exponents belong to cores with fixed_bits, not to this one")
            return
        if found is None or found.shape != piece.acts.shape[:1]:
            shape = None if found is None else found.shape
            raise ValueError(f"exponents should be ({len(piece.acts)},), one a token, not {shape}")
        if found.min() < 1 or found.max() >= 1 << field["bits"]:
            highest = (1 << field["bits"]) - 1
            raise ValueError(
                f"exponents should lie in 1 … {highest}, not {found.min()} … {found.max()}"
            )

    def _errors(self, sums: NDArray[np.uint8], packed: Packed) -> list[NDArray[np.bool_]]:
        if "error" not in self._fields:
            return [np.zeros(tokens, np.bool_) for tokens, _, _ in packed.shapes]
        byte, shift = divmod(self._fields["error"]["low"], 8)
        flags = (sums[:, byte] >> shift) & 1 == 1
        ends = np.cumsum([tokens * -(-outs // self.ports) for tokens, _, outs in packed.shapes])
        errors: list[NDArray[np.bool_]] = []
        for part, (tokens, _, _) in zip(np.split(flags, ends[:-1]), packed.shapes, strict=True):
            errors.append(np.any(part.reshape(tokens, -1), axis=1))
        return errors

    def _pack_keys(self, weights: NDArray[Any]) -> NDArray[np.uint8]:
        bits = self._fields["keys"]["bits"]
        if self.kind == "multiplier":
            return beats.pack_weights(weights, self.tables, self.ports, self.reuse, bits)
        return beats.pack_keys(
            weights, self.mu, self.tables, self.ports, self.reuse, bits, self.codebook
        )

    def _command(self, tokens: int, in_tiles: int, out_tiles: int) -> NDArray[np.uint8]:
        word = beats.command(self._fields, tokens, in_tiles, out_tiles)
        return np.frombuffer(word.to_bytes(self._beat_bytes[COMMANDS], "little"), np.uint8)

    def _check_complete(self, job: _Job, packed: Packed) -> None:
        if job.received < packed.results:
            raise ModelError(
                f"{self.manifest['top']}: stuck: {job.received} of {packed.results} result beats "
                f"came, {job.leftover} input beats were not taken"
            )
        if job.strays or job.leftover:
            raise ModelError(
                f"{self.manifest['top']}: {job.strays} result beats too many, "
                f"{job.leftover} input beats not taken"
            )

    def _unpack(self, sums: NDArray[np.uint8], packed: Packed) -> list[NDArray[np.int64]]:
        field = self._fields["sums"]
        fields = beats.unpack_fields(sums, field["bits"], self.ports)
        if not field["signed"]:
            fields &= (1 << field["bits"]) - 1
        byte, shift = divmod(self._fields["last"]["low"], 8)
        last = (sums[:, byte] >> shift) & 1
        outputs, at = [], 0
        for tokens, _, outs in packed.shapes:
            tiles = -(-outs // self.ports)
            end = at + tokens * tiles
            expected = np.arange(1, tokens * tiles + 1) % tiles == 0
            if not np.array_equal(last[at:end], expected):
                wrong = int(np.flatnonzero(last[at:end] != expected)[0])
                raise ModelError(
                    f"{self.manifest['top']}: last should be {int(expected[wrong])} on result beat "
                    f"{wrong} of a run, not {last[at + wrong]}"
                )
            outputs.append(beats.output_order(fields[at:end], tokens, self.ports, outs))
            at = end
        return outputs


def _interruptible(work: Callable[[], object]) -> None:
    """Run compiled code so that Ctrl-C is heard meanwhile; the thread ends with the process."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.2)


def _check_range(what: str, values: NDArray[Any], bits: int, signed: bool) -> None:
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    found = int(values.min()), int(values.max())
    if found[0] < low or found[1] > high:
        raise ValueError(f"{what} should lie in {low} … {high}, not {found[0]} … {found[1]}")
