"""Any ternary checkpoint: a folder, safetensors files or GGUF files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim.checkpoints.architecture import Shape, Wanted
from sim.checkpoints.base import (
    CheckpointError,
    NotTernaryError,
    ScaleConvention,
    TernaryTensor,
    missing_file,
)
from sim.checkpoints.config import CONFIG_FILE, CheckpointConfig, read_config
from sim.checkpoints.gguf.i2s import I2sLayout, I2sTensor
from sim.checkpoints.gguf.layout_fit import LayoutFit, layout_fit
from sim.checkpoints.kind import ACCEPTED, identify, refuse
from sim.checkpoints.master import MasterTensor, Quantise
from sim.checkpoints.matrices import (
    PARTS,
    Collection,
    Companions,
    Entry,
    LeftOut,
    Matrix,
    Read,
    collect,
    split_name,
)
from sim.checkpoints.packed import packed_tensor
from sim.checkpoints.real import DTYPES
from sim.checkpoints.scales import check_scale_tensor
from sim.checkpoints.storage import Stored, open_path
from sim.checkpoints.unpacked import UnpackedTensor

if TYPE_CHECKING:
    from sim.checkpoints.gguf.header import GgufHeader

OPTIONS = {"i2s_layout": "--i2s-layout", "scale": "--scale", "quantise": "--quantise"}


@dataclass(frozen=True)
class Reading:
    """How to read what files do not say; every option but ``partial`` is refused without use.

    i2s_layout: of I2_S matrices. scale: how the scales beside packed weights apply.
    quantise: how real weights become ternary.
    partial: go on without matrices that are missing or not ternary.
    """

    i2s_layout: I2sLayout | None = None
    scale: ScaleConvention | None = None
    quantise: Quantise | None = None
    partial: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """The ternary matrices of a model, their weights unread, and what else its files hold.

    found: its linear layers, what is left out, and the rest.
    wanted: its sizes, or why they are not known.
    config: config.json, if there is one. header: of a GGUF file.
    entries: all tensors by name. reader: makes a matrix of one of them.
    """

    path: Path
    found: Collection
    wanted: Wanted | str
    config: CheckpointConfig | None
    header: GgufHeader | None
    entries: Mapping[str, Entry]
    reader: Read

    def read(self, entry: Entry) -> TernaryTensor:
        """A matrix that is no linear layer, such as a ternary embedding; CheckpointError if it
        cannot be read."""
        layer, _ = split_name(entry.name)
        parts = {
            part: self.entries[f"{layer}.{part}"]
            for part in PARTS
            if part != "weight" and f"{layer}.{part}" in self.entries
        }
        return self.reader(entry, parts, None)

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """Linear layers in order of evaluation."""
        return self.found.matrices

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Matrices that are not counted, each with the reason."""
        return self.found.left_out

    @property
    def others(self) -> Counter[str]:
        """How many tensors there are, beside those of linear layers, of each type."""
        return self.found.others

    @property
    def tensors(self) -> tuple[TernaryTensor, ...]:
        """The weights of every matrix."""
        return tuple(matrix.tensor for matrix in self.matrices)

    def layout_fit(self) -> LayoutFit | None:
        """How well each I2_S layout fits; None without I2_S matrices that can be compared."""
        return layout_fit(tensor for tensor in self.tensors if isinstance(tensor, I2sTensor))


def open_checkpoint(path: Path, how: Reading | None = None) -> Checkpoint:
    """Find the matrices of a model, all of them unless ``how.partial``.

    CheckpointError for anything that cannot be read, with what it is and what could be.
    """
    how = how or Reading()
    try:
        exists = path.exists()
    except OSError as error:  # Of a folder on the way that may not be entered, say.
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    if not exists:
        raise missing_file(path, ACCEPTED)
    kind = "folder" if path.is_dir() else identify(path)
    if kind == "GGUF":
        return _open_gguf(path, how)
    if kind not in ("folder", "safetensors"):
        raise refuse(path, kind)
    folder = path if path.is_dir() else path.parent
    config = None
    if path.is_dir() or (folder / CONFIG_FILE).exists():
        config = read_config(folder)
    return _open_safetensors(path, config, how)


def _open_gguf(path: Path, how: Reading) -> Checkpoint:
    from sim.checkpoints.gguf.file import GgufReader, open_gguf  # Loads gguf, which takes a while.

    model = open_gguf(path, how.partial)
    numbers = _Numbers(how, None, None)
    reader = GgufReader(model, how.i2s_layout, how.scale, numbers)
    wanted = model.wanted()
    known = _known(path, wanted, how)
    found = collect(path, model.entries, known, reader, how.partial)
    _check_used(path, how, reader.used | numbers.used)
    _check_inner_norms(found.matrices, None)
    entries = {entry.name: entry for entry in model.entries}
    return Checkpoint(path, found, wanted, None, model.header, entries, reader)


def _open_safetensors(path: Path, config: CheckpointConfig | None, how: Reading) -> Checkpoint:
    tensors = open_path(path, how.partial)
    reader = _SafetensorsReader(path, config, how)
    wanted: Wanted | str
    if config is None:
        wanted = f"{path}: {CONFIG_FILE} should be beside it, to say which matrices there are"
    else:
        wanted = config.wanted
    listed = None if config is None else config.layers
    known = listed if listed is not None else _known(path, wanted, how)
    found = collect(path, tensors.entries.values(), known, reader, how.partial)
    _check_used(path, how, reader.used | reader.numbers.used)
    _check_inner_norms(found.matrices, config)
    return Checkpoint(path, found, wanted, config, None, dict(tensors.entries), reader)


def _known(path: Path, wanted: Wanted | str, how: Reading) -> Wanted | None:
    """The matrices that there should be; None where that is not known, and does not matter."""
    if isinstance(wanted, Wanted):
        return wanted
    if not how.partial:
        raise CheckpointError(
            f"{wanted}; without that nobody can tell whether the model is complete: give --partial "
            "to go on with what is there"
        )
    return None


class _Numbers:
    """Makes matrices of plain numbers, ternary already or master weights."""

    def __init__(
        self,
        how: Reading,
        model_parallel: int | None,
        convention: Callable[[], ScaleConvention] | None,
    ) -> None:
        self.how, self.model_parallel, self.convention = how, model_parallel, convention
        self.used: set[str] = set()

    def __call__(self, entry: Stored, parts: Companions) -> TernaryTensor:
        if entry.dtype not in DTYPES:
            raise NotTernaryError(entry.where, entry.dtype)
        if len(entry.shape) != 2 or 0 in entry.shape:
            raise CheckpointError(
                f"{entry.where}: should be a matrix of at least one weight, "
                f"not of shape {list(entry.shape)}; use a model without experts"
            )
        out_features, in_features = entry.shape
        place = (entry.file, entry.name, entry.offset, out_features, in_features, entry)
        if self.how.quantise is not None and entry.dtype != "I8":
            self.used.add("quantise")
            return MasterTensor(*place)
        scale = parts.get("weight_scale")
        convention = None
        if scale is not None:
            assert isinstance(scale, Stored)
            assert self.convention is not None
            check_scale_tensor(scale, out_features, in_features)
            convention = self.convention()
        return UnpackedTensor(*place, self.model_parallel, scale, convention)


class _SafetensorsReader:
    """Makes matrices of tensors of safetensors files. used: options that made a difference."""

    def __init__(self, path: Path, config: CheckpointConfig | None, how: Reading) -> None:
        self.path, self.how = path, how
        quantization = None if config is None else config.quantization
        self.recorded = None if quantization is None else quantization.convention
        self.online = quantization is not None and quantization.online
        self.config = config
        self.used: set[str] = set()
        parallel = None if config is None else config.model_parallel
        self.numbers = _Numbers(how, parallel, self._convention)

    def __call__(self, entry: Entry, parts: Companions, shape: Shape | None) -> TernaryTensor:
        assert isinstance(entry, Stored)
        if (scale := parts.get("scale")) is not None:
            raise CheckpointError(
                f"{scale.where}: a scale should be named weight_scale, of which it is known how it "
                "applies; use another release"
            )
        if entry.dtype == "U8":
            scale = parts.get("weight_scale")
            if scale is None:
                raise CheckpointError(
                    f"{entry.where}: should have a weight_scale beside it, not "
                    f"{', '.join(parts) or 'nothing'}; use the release with packed weights"
                )
            assert isinstance(scale, Stored)
            return packed_tensor(entry, scale, shape, self._convention())
        if self.online and self.how.quantise is None:
            assert self.config is not None
            raise CheckpointError(
                f"{self.config.file}: quantization_config.quantization_mode: 'online' means "
                "master weights; give --quantise absmean to make them ternary, or use the release "
                "with packed weights"
            )
        return self.numbers(entry, parts)

    def _convention(self) -> ScaleConvention:
        if self.recorded is not None:
            return self.recorded
        if self.how.scale is None:
            raise CheckpointError(
                f"{self.path}: how scales apply should be in quantization_config of {CONFIG_FILE}, "
                "not missing; give --scale multiply (AutoBitLinear) or --scale divide (BitLinear)"
            )
        self.used.add("scale")
        return self.how.scale


def _check_inner_norms(matrices: tuple[Matrix, ...], config: CheckpointConfig | None) -> None:
    """CheckpointError where a norm inside linear layers lacks its gains, or its epsilon."""
    quantization = None if config is None else config.quantization
    expected = quantization is not None and quantization.inner_norm_eps is not None
    for matrix in matrices:
        if expected and matrix.inner_norm is None:
            raise CheckpointError(
                f"{matrix.tensor.file}: {matrix.tensor.name}: should have rms_norm.weight, as "
                f"{CONFIG_FILE} says use_rms_norm; download the model again"
            )
        if not expected and matrix.inner_norm is not None:
            raise CheckpointError(
                f"{matrix.inner_norm.where}: a norm inside a linear layer should come with "
                f"use_rms_norm in quantization_config of {CONFIG_FILE}, which gives its epsilon"
            )


def _check_used(path: Path, how: Reading, used: set[str]) -> None:
    """CheckpointError for an option that made no difference."""
    for name, option in OPTIONS.items():
        value = getattr(how, name)
        if value is not None and name not in used:
            raise CheckpointError(
                f"{path}: {option} should be left out for a checkpoint that has none of what it is "
                f"for or records it, not {value!r}; leave it out"
            )
