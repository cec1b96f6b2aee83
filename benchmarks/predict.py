"""Speed of predictions in processor time: one core at a time, and as arrays.

python benchmarks/predict.py [technology]
"""

from __future__ import annotations

import random
import sys
import time
from statistics import median

import numpy as np

from costmodel.cells.predictor import Predictor
from costmodel.cells.technology import Technology, load_technology
from costmodel.judge.samples import load_samples
from hwgen.spec.config import CoreConfig
from hwgen.spec.schedule import Schedule

LAYER = (2560, 6912)
ROUNDS = 7


def scalar(predictor: Predictor) -> None:
    """Cores that no one asked for before, of shapes whose parts are known."""
    shapes = [sample.config for sample in load_samples().of("inside")]
    values = range(1, 17)
    for shape in shapes:
        for tables in values:
            for ports in values:
                predictor(shape.with_sizes(tables=tables, ports=ports))
    rng = random.Random(1)
    cores = [
        rng.choice(shapes)
        .with_sizes(tables=rng.choice(values), ports=rng.choice(values))
        .model_copy(update={"name": f"core{i}"})
        for i in range(5000)
    ]
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for core in cores:
            predictor(core)
        times.append((time.process_time() - start) / len(cores))
    print(f"one at a time: {median(times) * 1e6:.1f} µs a core")


def arrays(technology: Technology) -> None:
    """A million cores of one shape; first of a new one each time, by a new predictor."""
    acts = [f"int{bits}" for bits in range(4, 4 + ROUNDS)]
    new = median(_rate(Predictor(technology), act) for act in acts)
    print(f"as arrays: {new:.1f} million cores a second, parts priced on the way")
    predictor = Predictor(technology)
    _rate(predictor, "int8")
    known = median(_rate(predictor, "int8") for _ in range(ROUNDS))
    print(f"as arrays: {known:.1f} million cores a second, of a shape whose parts are known")


def _rate(predictor: Predictor, act: str) -> float:
    """Million cores a second: area, clock, energy and cycles."""
    core = CoreConfig(kind="lut", act=act, mu=3, tables=1, ports=1, max_in_features=8192)
    tables = np.arange(1, 101)[:, None, None]
    ports = np.arange(1, 101)[None, :, None]
    reuse = np.arange(1, 101)[None, None, :]
    start = time.process_time()
    prediction = predictor.shape(core).predict(tables, ports, reuse)
    schedule = Schedule(
        tile_n=tables * core.mu,
        tile_m=ports,
        reuse=reuse,
        accumulator_latency=prediction.accumulator_latency,
        latency=prediction.latency,
        first_key=1,
        act_beat_bits=0,
        key_beat_bits=0,
        sum_beat_bits=0,
    )
    in_tiles, out_tiles = schedule.in_tiles(LAYER[0]), schedule.out_tiles(LAYER[1])
    cycles = schedule.token_cycles(in_tiles, out_tiles)
    spent = time.process_time() - start
    assert prediction.area.shape == cycles.shape
    return 1e-6 * prediction.area.size / spent


def main() -> None:
    technology = load_technology(sys.argv[1] if len(sys.argv) > 1 else "asap7")
    scalar(Predictor(technology))
    arrays(technology)


if __name__ == "__main__":
    main()
