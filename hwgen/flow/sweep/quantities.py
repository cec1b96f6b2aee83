"""What very many points cost and how long they take, one shape at a time.

Every number is the same arithmetic on arrays as on the integers of one core, in the same order, and
so the same to the bit. A quantity is computed when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from costmodel.cells.energy import work_fj
from costmodel.cells.predictor import Prediction, PricedShape
from hwgen.flow.sweep.plan import SweepPlan
from hwgen.space.space import GRID, CoreShape
from hwgen.spec.schedule import Schedule


@dataclass
class PointQuantities:
    """Points of one shape: integers or arrays that broadcast against each other."""

    plan: SweepPlan
    shape: CoreShape
    priced: PricedShape
    sizes: tuple[Any, ...]
    """`GRID`"""
    prediction: Prediction

    def take(self, mask: Any, shape: tuple[int, ...]) -> PointQuantities:
        """Those of an array of ``shape`` where ``mask`` is true, as flat arrays."""
        sizes = tuple(_flat(size, mask, shape) for size in self.sizes)
        priced = self.prediction._asdict()
        wait = priced.pop("accumulator_latency")
        flat = {name: _flat(values, mask, shape) for name, values in priced.items()}
        prediction = Prediction(accumulator_latency=wait, **flat)
        return PointQuantities(self.plan, self.shape, self.priced, sizes, prediction)

    def quantity(self, name: str) -> Any:
        """By name of `hwgen.space.sweep_file.Quantity`."""
        return getattr(self, name)

    @property
    def columns(self) -> dict[str, Any]:
        """What results have of every point, beside its shape."""
        core, plan = self.shape.core, self.plan
        names = [
            "cycles_per_token",
            "first_token_cycles",
            "weight_bits_per_token",
            "act_bits_per_token",
            "sum_bits_per_token",
            "utilisation",
        ]
        if plan.bits_per_cycle is not None:
            names.append("stalls_per_token")
        if plan.timed:
            names += ["clock_ns", "least_clock_ns", "ns_per_token", "tokens_per_second"]
            names += ["latency_ms", "bandwidth_gbs"]
        if plan.powered:
            names += ["leakage_mw", "core_energy_fj_per_token", "power_mw"]
            if plan.config.memory.priced:
                names.append("energy_fj_per_token")
        sizes = dict(zip(GRID, self.sizes, strict=True))
        tile = {"tile_n": sizes["tables"] * core.mu, "tile_m": sizes["ports"]}
        values = {name: self.quantity(name) for name in names}
        return {**sizes, **tile, plan.area_column: self.area, **values}

    @property
    def area(self) -> Any:
        """Of all cores."""
        return self.sizes[3] * self.prediction.area

    @property
    def least_clock_ns(self) -> Any:
        return self.prediction.period_ns

    @property
    def clock_ns(self) -> Any:
        given = self.plan.config.clock_ns
        return self.prediction.period_ns if given == "predicted" else np.float64(given)

    @property
    def leakage_mw(self) -> Any:
        """Of all cores."""
        return self.sizes[3] * self.prediction.leakage_mw

    @cached_property
    def _tokens(self) -> int:
        return sum(tokens * times for tokens, times in self.plan.config.workload.passes)

    @cached_property
    def _schedule(self) -> Schedule:
        tables, ports, reuse, _ = self.sizes
        core = self.shape.core
        first_key = _by_depth(lambda d: self.priced.structure(1, 1, d).schedule.first_key, reuse)
        return Schedule(
            tile_n=tables * core.mu,
            tile_m=ports,
            reuse=reuse,
            accumulator_latency=self.prediction.accumulator_latency,
            latency=self.prediction.latency,
            first_key=first_key,
            act_beat_bits=tables * core.mu * core.act_bits + core.exponent_bits,
            key_beat_bits=tables * ports * core.weight_bits,
            sum_beat_bits=ports * core.out_bits,
        )

    @cached_property
    def _layers(self) -> list[tuple[int, int, Any, Any, Any]]:
        """For each kind of layer its number, the segments of its inputs, the tiles of inputs of a
        segment, the tiles of outputs, and the largest share of the latter that a core has."""
        result = []
        for layer in self.plan.workload.layers:
            inputs = layer.shape.in_features // layer.shape.segments
            in_tiles = self._schedule.in_tiles(inputs)
            out_tiles = self._schedule.out_tiles(layer.shape.out_features)
            share = -(-out_tiles // self.sizes[3])
            result.append((layer.count, layer.shape.segments, in_tiles, out_tiles, share))
        return result

    @cached_property
    def _steady(self) -> Any:
        """Cycles of a token through all layers, without latencies and stalls."""
        return _sum(
            count * segments * self._schedule.token_cycles(in_tiles, share)
            for count, segments, in_tiles, _, share in self._layers
        )

    @cached_property
    def _passes(self) -> list[Any]:
        """Cycles of each kind of pass."""
        latencies = sum(layer[0] for layer in self._layers) * self.prediction.latency
        return [
            tokens * self._steady + latencies + stalls
            for (tokens, _), stalls in zip(
                self.plan.config.workload.passes, self._stalls, strict=True
            )
        ]

    @cached_property
    def _stalls(self) -> list[Any]:
        """Cycles of each kind of pass that wait for weights."""
        limit, passes = self.plan.bits_per_cycle, self.plan.config.workload.passes
        if limit is None:
            return [0] * len(passes)
        beat = self._schedule.key_beat_bits * limit.denominator
        drain, result = limit.numerator, [0 for _ in passes]
        for count, segments, in_tiles, out_tiles, share in self._layers:
            fill = beat * -(-out_tiles // share)
            for place, (tokens, _) in enumerate(passes):
                stalls = self._schedule.equal_stalls(
                    tokens * segments, in_tiles, share, fill, drain
                )
                result[place] = result[place] + count * stalls
        return result

    @cached_property
    def _cycles(self) -> Any:
        """Of all tokens."""
        return self._of_all(self._passes)

    @cached_property
    def cycles_per_token(self) -> Any:
        return self._cycles / self._tokens

    @property
    def stalls_per_token(self) -> Any:
        return self._of_all(self._stalls) / self._tokens

    def _of_all(self, cycles: list[Any]) -> Any:
        passes = self.plan.config.workload.passes
        return _sum(times * each for (_, times), each in zip(passes, cycles, strict=True))

    @property
    def first_token_cycles(self) -> Any:
        return self._passes[0]

    @cached_property
    def _tiles(self) -> Any:
        """Of a token, of all cores."""
        return _sum(
            count * segments * in_tiles * out_tiles
            for count, segments, in_tiles, out_tiles, _ in self._layers
        )

    @cached_property
    def weight_bits_per_token(self) -> Any:
        return self._tiles * self._schedule.key_beat_bits / 1

    @cached_property
    def act_bits_per_token(self) -> Any:
        beats = _sum(
            count * segments * in_tiles * self._schedule.blocks(share)
            for count, segments, in_tiles, _, share in self._layers
        )
        return beats * self._schedule.act_beat_bits / 1

    @cached_property
    def sum_bits_per_token(self) -> Any:
        beats = _sum(count * segments * out for count, segments, _, out, _ in self._layers)
        return beats * self._schedule.sum_beat_bits / 1

    @property
    def utilisation(self) -> Any:
        layers = self.plan.workload.layers
        macs = self._tokens * sum(layer.weights for layer in layers)
        tables, ports, _, cores = self.sizes
        return macs / (self._cycles * (tables * self.shape.core.mu) * ports * cores)

    @cached_property
    def ns_per_token(self) -> Any:
        return self.cycles_per_token * self.clock_ns

    @property
    def tokens_per_second(self) -> Any:
        return 1e9 / self.ns_per_token

    @property
    def latency_ms(self) -> Any:
        """Time to the first token."""
        return self.first_token_cycles * self.clock_ns * 1e-6

    @property
    def bandwidth_gbs(self) -> Any:
        """Of the weight streams, on average."""
        return self.weight_bits_per_token / self.ns_per_token / 8

    @cached_property
    def core_energy_fj_per_token(self) -> Any:
        prediction, cores = self.prediction, self.sizes[3]
        work = work_fj(
            self._tiles,
            cores * self.cycles_per_token,
            self._schedule.slots_per_tile,
            prediction.fj_per_tile,
            prediction.clock_fj_per_cycle,
        )
        leakage = prediction.leakage_mw * self.ns_per_token * 1000  # 1 mW for 1 ns is 1 pJ.
        return work + cores * leakage

    @property
    def energy_fj_per_token(self) -> Any:
        memory = self.plan.config.memory
        return (
            self.core_energy_fj_per_token
            + self.act_bits_per_token * memory.acts.fj_per_bit
            + self.weight_bits_per_token * memory.keys.fj_per_bit
            + self.sum_bits_per_token * memory.sums.fj_per_bit
        )

    @property
    def power_mw(self) -> Any:
        """With that of memory where it has a price; 1 fJ in 1 ns is 1 µW."""
        priced = self.plan.config.memory.priced
        energy = self.energy_fj_per_token if priced else self.core_energy_fj_per_token
        return energy / self.ns_per_token * 1e-3


def _flat(values: Any, mask: Any, shape: tuple[int, ...]) -> Any:
    return None if values is None else np.broadcast_to(values, shape)[mask]


def _by_depth(number: Callable[[int], int], reuse: Any) -> Any:
    """What depends only on whether a core has more accumulators than one a port."""
    return np.where(reuse > 1, number(2), number(1))


def _sum(numbers: Iterable[Any]) -> Any:
    total: Any = 0
    for number in numbers:
        total = total + number
    return total
