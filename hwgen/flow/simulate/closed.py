"""hwgen simulate: a model's ternary layers on a core or a system of cores, in closed form."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from costmodel.cells.delay import NoDelaysError
from costmodel.cells.energy import work_fj
from costmodel.cells.energy_data import ACTIVITIES, ActivityClass
from costmodel.cells.technology import UncalibratedError
from costmodel.explore.plots import cycles_figure, picture
from costmodel.target.choice import find_target
from hwgen.base.errors import ConfigError
from hwgen.base.files import check_figure, write_atomically
from hwgen.base.record import Record
from hwgen.base.yamlfile import Source
from hwgen.flow.bandwidth import parse
from hwgen.flow.checkpoint import ModelSource
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import structure
from hwgen.spec.system import System, load_system
from sim.checkpoints import Reading
from sim.workload.layers import LayerCycles
from sim.workload.workload import LayerKind, Pass, Workload, run_pass

OMITTED = (
    "attention, norms, embedding and output head; of the energy also memory, wires and clock tree"
)


@dataclass(frozen=True)
class Energy:
    """pJ of all cores for a token; ``leakage`` is a part of ``total``."""

    total: float
    leakage: float


@dataclass(frozen=True)
class Phase:
    """One pass of a phase, and its energy, or why there is none."""

    name: str
    taken: Pass
    energy: Energy | str

    def seconds(self, clock_ns: float) -> float:
        """Seconds of the pass."""
        return self.taken.cycles * clock_ns * 1e-9


@dataclass(frozen=True)
class Simulation(Record):
    """What a model takes. prefill: all prompt tokens in one pass; decode: each of ``decode_tokens``
    in one of its own. ``clock_ns`` None: unknown; ``clock_source`` says where it comes from."""

    drawn_in = "simulate"
    workload: Workload
    system: System
    prefill: Phase | None
    decode: Phase | None
    decode_tokens: int
    clock_ns: float | None
    clock_source: str
    bits_per_cycle: Fraction | None
    technology: str | None

    @property
    def energy_note(self) -> str | None:
        """Why there is no energy."""
        return next((one.energy for one in self.phases if isinstance(one.energy, str)), None)

    @property
    def phases(self) -> list[Phase]:
        return [phase for phase in (self.prefill, self.decode) if phase is not None]

    @property
    def cycles(self) -> int:
        """Cycles of the whole run."""
        first = 0 if self.prefill is None else self.prefill.taken.cycles
        return first + (0 if self.decode is None else self.decode_tokens * self.decode.taken.cycles)

    def figure(self) -> Figure:
        """Where the cycles of a token go, as bars by layer."""
        return figure_of(self)

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": self.workload.name,
            "source": self.workload.source,
            "ternary_weights": self.workload.weights,
            "core": self.system.core.name,
            "cores": self.system.cores,
            "weights_per_cycle": self.system.weights_per_cycle,
            "technology": self.technology,
            "clock_ns": self.clock_ns,
            "clock_source": self.clock_source,
            "bits_per_cycle": None if self.bits_per_cycle is None else float(self.bits_per_cycle),
            "cycles": self.cycles,
            "decode_tokens": self.decode_tokens,
            "prefill": None if self.prefill is None else self._phase(self.prefill),
            "decode": None if self.decode is None else self._phase(self.decode),
            "energy_note": self.energy_note,
            "codebook_note": self.system.core.book.demand,
            "omitted": OMITTED,
            "left_out": [asdict(matrix) for matrix in self.workload.left_out],
        }

    def _phase(self, phase: Phase) -> dict[str, Any]:
        taken, clock, energy = phase.taken, self.clock_ns, phase.energy
        seconds = None if clock is None else phase.seconds(clock)
        return {
            "tokens": taken.tokens,
            "cycles": taken.cycles,
            "utilisation": taken.utilisation,
            "limit": limit(taken.bandwidth_bound),
            "stall_cycles": taken.stalls,
            "seconds": seconds,
            "tokens_per_second": None if seconds is None else taken.tokens / seconds,
            "core_energy_pj_per_token": energy.total if isinstance(energy, Energy) else None,
            "leakage_pj_per_token": energy.leakage if isinstance(energy, Energy) else None,
            **{name: taken.bits(name) for name in ("weight_bits", "act_bits", "sum_bits")},
            "layers": [_layer(kind, one) for kind, one in taken.rows],
        }


def limit(bandwidth_bound: bool) -> str:
    """What binds, in a word."""
    return "bandwidth" if bandwidth_bound else "compute"


def _layer(kind: LayerKind, one: LayerCycles) -> dict[str, Any]:
    return {
        "role": kind.role,
        "out_features": kind.shape.out_features,
        "in_features": kind.shape.in_features,
        "segments": kind.shape.segments,
        "count": kind.count,
        "cycles": one.total,
        "cycles_by_cause": one.parts,
        "limit": limit(one.bandwidth_bound),
    }


def simulate(
    model: str | Path,
    core: Source | CoreConfig | System,
    *,
    prefill: int = 0,
    decode: int = 1,
    bandwidth: str | None = None,
    clock_ns: float | None = None,
    tech: str | None = None,
    activity: str = "random",
    how: Reading | None = None,
) -> Simulation:
    """Cycles, time and energy of the ternary layers of ``model`` on the cores in ``core``.

    model: of the zoo, or a checkpoint. core: a core or system file.
    bandwidth: of all weight streams together, "25.6 GB/s" or "512 bits/cycle"; None: no limit.
    clock_ns: by default that of ``tech``; unknown without either. tech: for clock and energy.
    how: to read a checkpoint.
    """
    if prefill < 0 or decode < 0 or prefill + decode == 0:
        raise ConfigError(
            f"--prefill, --decode: should be at least 0 and not both 0, not {prefill} and {decode}"
        )
    if clock_ns is not None and not 0 < clock_ns < 1e6:
        raise ConfigError(f"--clock-ns: should be above 0 and below a million, not {clock_ns}")
    if activity not in ACTIVITIES:
        raise ConfigError(f"--activity: should be {' or '.join(ACTIVITIES)}, not {activity!r}")
    data: ActivityClass = activity
    system = load_system(core)
    source = "given"
    if clock_ns is None and tech is not None:
        clock_ns, source = clock_of(system, tech), f"cost model, {tech}"
    bits = None if bandwidth is None else parse(bandwidth, clock_ns)
    workload = ModelSource.find(model, how).workload()

    def phase(name: str, tokens: int) -> Phase | None:
        if not tokens:
            return None
        taken = run_pass(workload, system, tokens, bits)
        return Phase(name, taken, energy_of(system, taken, tech, data, clock_ns))

    return Simulation(
        workload=workload,
        system=system,
        prefill=phase("prefill", prefill),
        decode=phase("decode", min(decode, 1)),
        decode_tokens=decode,
        clock_ns=clock_ns,
        clock_source="" if clock_ns is None else source,
        bits_per_cycle=bits,
        technology=tech,
    )


def draw(result: Simulation, file: Path) -> None:
    """`figure_of` as a .png or .svg file."""
    check_figure(file)
    write_atomically({file: picture(figure_of(result), file.suffix.lstrip("."))})


def figure_of(result: Simulation) -> Figure:
    """Where the cycles go."""
    panels = []
    for phase in result.phases:
        bars = {
            f"{kind.role}, {kind.count} ×": {
                cause: kind.count * cycles for cause, cycles in one.parts.items()
            }
            for kind, one in phase.taken.rows
        }
        tokens = "token" if phase.taken.tokens == 1 else "tokens"
        panels.append((f"{phase.name}, {phase.taken.tokens} {tokens}", bars))
    cores = f"{result.system.cores} × " if result.system.cores > 1 else ""
    title = f"{result.workload.name} on {cores}{result.system.core.name}"
    return cycles_figure(title, panels)


def clock_of(system: System, tech: str) -> float:
    """Period in ns that the cost model predicts; ConfigError where it cannot."""
    try:
        return find_target(tech).clock(structure(system.core)).period_ns
    except NoDelaysError as error:
        raise ConfigError(f"--tech: {error}; give --clock-ns") from None


def energy_of(
    system: System, taken: Pass, tech: str | None, activity: ActivityClass, clock_ns: float | None
) -> Energy | str:
    """Energy for a token of a pass, or why there is none. Every core's clock always runs."""
    if tech is None or clock_ns is None:
        return "no technology given"
    spec, cycles = structure(system.core), system.cores * taken.cycles
    try:
        core = find_target(tech).energy(spec, activity)
    except UncalibratedError as error:
        return str(error)
    leakage = core.leakage_mw * cycles * clock_ns  # 1 mW for 1 ns is 1 pJ.
    work = work_fj(
        taken.tiles,
        cycles,
        spec.schedule.slots_per_tile,
        core.fj_per_tile,
        core.clock_fj_per_cycle,
    )
    total = work * 1e-3 + leakage
    return Energy(total / taken.tokens, leakage / taken.tokens)
