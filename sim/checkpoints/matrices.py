"""Every matrix of a model, found under any of its names; what is missing or left over is named.

Which matrices a model has follows from its sizes (`Wanted`) or from the list in config.json. What a
file holds beside them is sorted by its role, not by its type: an embedding is looked up and not
multiplied, whether it is ternary or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sim.checkpoints.architecture import Shape, Wanted
from sim.checkpoints.base import CheckpointError, NotTernaryError, TernaryTensor, natural
from sim.checkpoints.config import LayerShape
from sim.checkpoints.families import is_side, layer_and_roles, other_role
from sim.checkpoints.storage import Stored

PARTS = ("weight_scale", "scale", "bias", "rms_norm.weight", "norm.weight", "weight")
"""Tensors of a linear layer, by the end of their names."""


class Entry(Protocol):
    """A tensor of a file."""

    @property
    def file(self) -> Path: ...
    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def offset(self) -> int: ...
    @property
    def type_name(self) -> str: ...
    @property
    def where(self) -> str: ...


Companions = Mapping[str, Entry]
"""Tensors of one linear layer by part, its weights apart."""
Read = Callable[[Entry, Companions, Shape | None], TernaryTensor]
"""(weights, companions, shape if known) -> the matrix; NotTernaryError where it is none."""


@dataclass(frozen=True)
class Matrix:
    """A linear layer of a model.

    layer: of the decoder; None where config.json lists matrices by name, which then is the role.
    bias: (M,), added to the outputs. inner_norm: (N,), gains of a norm of the inputs.
    """

    layer: int | None
    role: str
    tensor: TernaryTensor
    bias: Stored | None = None
    inner_norm: Stored | None = None


@dataclass(frozen=True)
class LeftOut:
    """A matrix that is not counted. shape, type: None where it is not there."""

    name: str
    shape: tuple[int, ...] | None
    type: str | None
    reason: str


@dataclass(frozen=True)
class Collection:
    """The matrices of a model in order of evaluation, and all the rest of its files.

    left_out: matrices that are not among them. others: tensors of no linear layer, by type.
    """

    matrices: tuple[Matrix, ...]
    left_out: tuple[LeftOut, ...]
    others: Counter[str]


def split_name(name: str) -> tuple[str, str]:
    """A tensor's linear layer and what part of it it is.

    >>> split_name("blk.0.attn_q.weight"), split_name("rope_freqs")
    (('blk.0.attn_q', 'weight'), ('rope_freqs', ''))
    """
    for part in PARTS:
        if name.endswith(f".{part}"):
            return name[: -len(part) - 1], part
    return name, ""


class _Collector:
    """Sorts the tensors of a model."""

    def __init__(
        self,
        path: Path,
        entries: Iterable[Entry],
        wanted: Wanted | tuple[LayerShape, ...] | None,
        read: Read,
    ) -> None:
        self.path, self.read = path, read
        self.family = wanted.family if isinstance(wanted, Wanted) else None
        self.wanted: dict[tuple[int | None, str], Shape] | None = None
        if isinstance(wanted, Wanted):
            self.wanted = {(layer, role): shape for (layer, role), shape in wanted.shapes.items()}
        elif wanted is not None:
            self.wanted = {(None, one.name): (one.out_features, one.in_features) for one in wanted}
        self.source = wanted.source if isinstance(wanted, Wanted) else "config.json"
        self.matrices: dict[tuple[int | None, str], Matrix] = {}
        self.aside: list[LeftOut] = []
        self.not_ternary: list[LeftOut] = []
        self.strays: list[LeftOut] = []
        self.others: Counter[str] = Counter()
        self.failed: set[tuple[int | None, str]] = set()
        groups: dict[str, dict[str, Entry]] = {}
        for entry in sorted(entries, key=lambda entry: natural(entry.name)):
            layer, part = split_name(entry.name)
            groups.setdefault(layer, {})[part] = entry
        for layer, parts in groups.items():
            self._sort(layer, parts)

    def _places(self, name: str) -> tuple[int | None, tuple[str, ...]] | None:
        """Decoder layer and roles of the rows of a linear layer by its name."""
        if self.wanted is not None and self.family is None:
            return (None, (name,)) if (None, name) in self.wanted else None
        return layer_and_roles(name, self.family)

    def _sort(self, name: str, parts: dict[str, Entry]) -> None:
        weights = parts.get("weight")
        place = self._places(name)
        if weights is not None and place is not None:
            self._linear(place, weights, parts)
            return
        if self.wanted is None and weights is not None and self._unnamed(name, weights, parts):
            return
        for part, entry in parts.items():
            role = other_role(name)
            self.others[entry.type_name] += 1
            if role is not None and part == "weight":
                self.aside.append(_left_out(entry, role))
            elif role is None and not is_side(entry.name):
                self.strays.append(_left_out(entry, "of unknown meaning"))

    def _unnamed(self, name: str, weights: Entry, parts: dict[str, Entry]) -> bool:
        """Take a ternary matrix of unknown role, where nothing says which matrices there are."""
        vector = isinstance(weights, Stored) and len(weights.shape) != 2
        if vector or other_role(name) is not None or is_side(weights.name):
            return False
        try:
            tensor = self.read(weights, _companions(parts), None)
            tensor.check()
        except NotTernaryError:
            return False
        self._keep(Matrix(None, tensor.name, tensor, *_vectors(parts, tensor)))
        return True

    def _linear(
        self, place: tuple[int | None, tuple[str, ...]], weights: Entry, parts: dict[str, Entry]
    ) -> None:
        layer, roles = place
        keys = [(layer, role) for role in roles]
        whole: Shape | None = None
        shapes: list[Shape] = []
        if self.wanted is not None:
            if any(key not in self.wanted for key in keys):
                self._stray_linear(layer, weights)
                return
            shapes = [self.wanted[key] for key in keys]
            whole = sum(out for out, _ in shapes), shapes[0][1]
        try:
            tensor = self.read(weights, _companions(parts), whole)
        except NotTernaryError as error:
            self.failed |= set(keys)
            self.not_ternary.append(_left_out(weights, error.reason))
            self.others[weights.type_name] += 1
            return
        found = (tensor.out_features, tensor.in_features)
        if whole is not None and found != whole:
            raise CheckpointError(
                f"{weights.where}: should have shape {list(whole)} (out, in) by {self.source}, "
                f"not {list(found)}; the two do not belong together"
            )
        bias, norm = _vectors(parts, tensor)
        if len(roles) == 1 or not shapes:
            self._offer(Matrix(layer, "+".join(roles), tensor, bias, norm), weights)
            return
        first = 0
        for role, (rows, _) in zip(roles, shapes, strict=True):
            part = tensor.part(f"{tensor.name}[{role}]", first, rows)
            cut = None if bias is None else bias.rows(first, rows)
            self._offer(Matrix(layer, role, part, cut, norm), weights)
            first += rows

    def _offer(self, matrix: Matrix, weights: Entry) -> None:
        """Keep a matrix, if its weights are ternary."""
        tensor = matrix.tensor
        try:
            tensor.check()
        except NotTernaryError as error:
            self.failed.add((matrix.layer, matrix.role))
            name = weights.name if tensor.stored == weights.name else tensor.name
            shape = (tensor.out_features, tensor.in_features)
            self.not_ternary.append(LeftOut(name, shape, weights.type_name, error.reason))
            self.others[weights.type_name] += 1
            return
        self._keep(matrix)

    def _stray_linear(self, layer: int | None, weights: Entry) -> None:
        """A linear layer that the model does not have."""
        assert self.wanted is not None
        count = 1 + max(number or 0 for number, _ in self.wanted)
        reason = "no linear layer of this family"
        if layer is not None and layer >= count:
            reason = f"of layer {layer}, where there are {count}"
        self.strays.append(_left_out(weights, reason))
        self.others[weights.type_name] += 1

    def _keep(self, matrix: Matrix) -> None:
        key = (matrix.layer, matrix.role)
        if key in self.matrices:
            raise CheckpointError(
                f"{matrix.tensor.file}: {matrix.tensor.stored}, byte {matrix.tensor.offset}: "
                f"should be in the file once, not also as {self.matrices[key].tensor.stored}"
            )
        self.matrices[key] = matrix

    def finish(self, partial: bool) -> Collection:
        """The matrices in order; CheckpointError unless all are there, or what is there counts."""
        missing = (
            []
            if self.wanted is None
            else [
                LeftOut(_missing_name(key), shape, None, "missing")
                for key, shape in self.wanted.items()
                if key not in self.matrices and key not in self.failed
            ]
        )
        if (missing or self.not_ternary or self.strays) and not partial:
            raise CheckpointError(self._refusal(missing))
        if not self.matrices:
            kinds = ", ".join(f"{count} {name}" for name, count in self.others.most_common())
            raise CheckpointError(
                f"{self.path}: should have ternary matrices, not {kinds or 'no tensors'} only; "
                "use the ternary release"
            )
        order = self.matrices if self.wanted is None else self.wanted
        return Collection(
            tuple(self.matrices[key] for key in order if key in self.matrices),
            (*missing, *self.not_ternary, *self.strays, *self.aside),
            self.others,
        )

    def _refusal(self, missing: list[LeftOut]) -> str:
        parts = []
        if missing:
            parts.append(f"{len(missing)} missing ({_by_layer(missing)})")
        for items, what in ((self.not_ternary, "not ternary"), (self.strays, "not expected")):
            if items:
                parts.append(f"{len(items)} {what} ({_named(items)})")
        assert self.wanted is not None
        return (
            f"{self.path}: should have {len(self.wanted)} ternary matrices by {self.source}, but "
            f"{len(self.matrices)} are as they should be: {'; '.join(parts)}; use the whole "
            "ternary release, or give --partial to go on with what is there"
        )


def collect(
    path: Path,
    entries: Iterable[Entry],
    wanted: Wanted | tuple[LayerShape, ...] | None,
    read: Read,
    partial: bool,
) -> Collection:
    """Find the matrices of a model among the tensors of its files.

    wanted: those that it has; None: unknown, all that are ternary count.
    partial: go on with what is there, and report the rest in ``left_out``.
    CheckpointError for a shape that is not as wanted and, unless ``partial``, for a list of what is
    missing, what is not ternary, and what nobody expects.
    """
    return _Collector(path, entries, wanted, read).finish(partial)


def _left_out(entry: Entry, reason: str) -> LeftOut:
    return LeftOut(entry.name, entry.shape, entry.type_name, reason)


def _companions(parts: dict[str, Entry]) -> Companions:
    return {part: entry for part, entry in parts.items() if part != "weight"}


def _vectors(parts: dict[str, Entry], tensor: TernaryTensor) -> tuple[Stored | None, Stored | None]:
    """Bias and gains of an inner norm, of as many elements as the matrix has outputs and inputs."""
    bias = parts.get("bias")
    norm = parts.get("rms_norm.weight") or parts.get("norm.weight")
    for entry, size in ((bias, tensor.out_features), (norm, tensor.in_features)):
        if entry is None:
            continue
        if not isinstance(entry, Stored) or entry.dtype not in ("BF16", "F16", "F32", "F64"):
            raise CheckpointError(
                f"{entry.where}: should be real numbers, not {entry.type_name}; "
                "convert the model again"
            )
        if entry.shape != (size,):
            raise CheckpointError(
                f"{entry.where}: should have shape {[size]}, not {list(entry.shape)}; "
                f"it does not belong to {tensor.stored}"
            )
    assert bias is None or isinstance(bias, Stored)
    assert norm is None or isinstance(norm, Stored)
    return bias, norm


def _missing_name(key: tuple[int | None, str]) -> str:
    layer, role = key
    return role if layer is None else f"layers.{layer}.{role}"


def _by_layer(missing: list[LeftOut]) -> str:
    """``layer 1: q, k; layer 2: down``, for at most four layers."""
    layers: dict[str, list[str]] = {}
    for item in missing:
        _, _, place = item.name.partition("layers.")
        layer, _, role = place.partition(".")
        key = f"layer {layer}" if role else ""
        layers.setdefault(key, []).append(role or item.name)
    texts = [
        f"{key}: {', '.join(roles)}" if key else ", ".join(roles)
        for key, roles in list(layers.items())[:4]
    ]
    more = f" and {len(layers) - 4} layers more" if len(layers) > 4 else ""
    return "; ".join(texts) + more


def _named(items: list[LeftOut]) -> str:
    """At most four, with type and reason."""
    texts = [f"{item.name}, {item.type}: {item.reason}" for item in items[:4]]
    more = f" and {len(items) - 4} more" if len(items) > 4 else ""
    return "; ".join(texts) + more
