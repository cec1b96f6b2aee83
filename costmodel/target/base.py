"""The one interface to a technology, which cells and FPGA families implement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from costmodel.calibrate.areas import Generated, Progress
from costmodel.catalog import costs_file
from costmodel.cells.delay import Clock
from costmodel.cells.energy import CoreEnergy
from costmodel.cells.energy_data import ActivityClass
from costmodel.cells.technology import Technology
from costmodel.fpga.clock import Fmax
from costmodel.fpga.resources import FpgaTechnology
from costmodel.judge.judgement import Judgement
from costmodel.judge.records import HOLDOUT, Columns, Record, predict_again
from costmodel.judge.samples import Group
from costmodel.target.report import Report, Say
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import Structure


@dataclass(frozen=True)
class CoreCost(ABC):
    """What a core is predicted to cost in a technology."""

    counts: dict[str, int]
    """Number of each primitive, by label."""
    corrected: bool
    """Whether the prediction has factors fitted on whole cores; without, it is a plain sum."""
    clock: Clock | Fmax | str
    """The clock, or why there is none."""
    energy: CoreEnergy | str
    """The energy, or why there is none."""

    @property
    @abstractmethod
    def omitted(self) -> str:
        """What the prediction leaves out."""

    @abstractmethod
    def status_json(self) -> dict[str, Any]:
        """How far the prediction is to be trusted."""

    @abstractmethod
    def resources_json(self) -> dict[str, Any]:
        """Area, or resources of an FPGA, of the whole core and by component."""

    @abstractmethod
    def clock_json(self) -> dict[str, Any]:
        """The clock, or why there is none."""

    @abstractmethod
    def energy_json(self) -> dict[str, Any]:
        """The energy, or why there is none; empty where a technology never has any."""


class Measurement(NamedTuple):
    """One run of the tools on a whole core, for its record."""

    is_missing: Callable[[Columns], bool]
    """Whether a core with these measured columns, none at first, still needs it."""
    run: Callable[[str, str], Columns]
    """Measures a core from its RTLIL and name; it can be pickled."""


class Installation(NamedTuple):
    """Whether what a technology needs is installed."""

    version: str | None
    """None: it is missing."""
    remedy: str
    optional: bool


class Target(ABC):
    """A technology that cores are made for; it is chosen by `costmodel.target.choice.find_target`.

    An object holds the name only and reads files when it is asked, so that it can be pickled.
    """

    kind: ClassVar[str]
    """What sort of technology this is, in words."""
    records: ClassVar[tuple[type[Record], ...]]
    """Records of this sort of technology; the first one is that of synthesis."""

    def __init__(self, name: str) -> None:
        self.name = name

    # Prediction. Without unit costs: ConfigError, or UncalibratedError for a single one.

    @abstractmethod
    def cost(self, spec: Structure, activity: ActivityClass) -> CoreCost:
        """What a core costs: counts, area or resources, clock, energy."""

    @abstractmethod
    def clock(self, spec: Structure) -> Clock | Fmax:
        """Clock of a core; NoDelaysError if the technology has none."""

    @abstractmethod
    def energy(self, spec: Structure, activity: ActivityClass) -> CoreEnergy:
        """Energy of a core; UncalibratedError if the technology has none."""

    # Synthesis.

    @abstractmethod
    def installation(self) -> Installation:
        """Whether what synthesis needs is here, without reading large files."""

    @abstractmethod
    def check(self) -> None:
        """ConfigError unless the files of the technology are here and fit their description."""

    @property
    @abstractmethod
    def times_synthesis(self) -> bool:
        """Whether synthesis gives a delay; ConfigError without the files of the technology."""

    @abstractmethod
    def report(
        self, core: CoreConfig, rtlil: str, name: str, clock_ns: float | None, say: Say
    ) -> Report:
        """Synthesise a core, as a whole and module by module, and compare with its prediction.

        say: is told what is being done. Raises SynthesisError, TimingError.
        """

    # Calibration.

    @property
    def calibrated(self) -> bool:
        """Whether there are unit costs."""
        return costs_file(self.name).exists()

    @abstractmethod
    def calibrate(self, generated: Generated, progress: Progress) -> Technology | FpgaTechnology:
        """Measure unit costs, and fit what the recorded training cores say.

        generated: RTLIL and name of the unit that the generator builds for a primitive.
        """

    # Records of whole cores.

    @abstractmethod
    def measurements(self) -> tuple[Measurement, ...]:
        """What is measured of a core, in order; ConfigError if a tool or a file is missing."""

    @property
    @abstractmethod
    def synthesis(self) -> Measurement:
        """The first of `measurements`."""

    @abstractmethod
    def judgements(self) -> list[Judgement]:
        """Errors of the predictions on the recorded hold-out cores, by quantity."""

    def record(self, groups: Sequence[Group]) -> Record:
        """The record of synthesis."""
        return self.records[0](self.name, groups)

    @property
    def recorded(self) -> bool:
        """Whether there is a recorded hold-out to judge on."""
        return self.calibrated and self.record(HOLDOUT).path.exists()

    def predict_again(self) -> None:
        """Write new predictions into all records, after the costs have changed."""
        for record in self.records:
            predict_again(record, self.name)
