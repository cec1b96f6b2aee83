"""Shapes of published ternary models, one YAML file each in ``sim/models``."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import Strict, load
from sim.checkpoints.architecture import Architecture

FOLDER = Path(__file__).parents[1] / "models"
Size = Annotated[int, Field(ge=1)]


class Published(Strict):
    """A number as its publisher states it."""

    value: Annotated[int, Field(ge=1, description="parameters, all of them")]
    source: Annotated[str, Field(min_length=1, description="who says so, and how precisely")]


class Matrix(Strict):
    """A linear layer with ternary weights, as often as the model has it."""

    role: Annotated[str, Field(description="q, k, v, o, gate, up or down")]
    out_features: Size
    in_features: Size
    count: Annotated[int, Field(ge=1, description="decoder layers")]

    @property
    def weights(self) -> int:
        """Weights of all matrices of this shape."""
        return self.count * self.out_features * self.in_features


class Model(Strict):
    """A decoder with ternary projections; embeddings and output head are not ternary."""

    format: Annotated[
        Literal["hwgen.model/1"], Field(description="version of this file's meaning")
    ] = "hwgen.model/1"
    name: Annotated[str, Field(min_length=1, description="as published")]
    aliases: Annotated[
        list[str], Field(description="other names that it is called by, beside the file's")
    ] = Field(default_factory=list)
    repositories: Annotated[
        list[str], Field(description="repositories of Hugging Face that hold it")
    ] = Field(default_factory=list)
    source: Annotated[str, Field(min_length=1, description="where the sizes come from")]
    hidden: Annotated[int, Field(ge=1, description="width of the residual stream")]
    ffn: Annotated[int, Field(ge=1, description="width of the feed-forward network")]
    layers: Annotated[int, Field(ge=1, description="decoder layers")]
    heads: Annotated[int, Field(ge=1, description="query heads")]
    kv_heads: Annotated[int, Field(ge=1, description="key and value heads")]
    head_dim: Annotated[int, Field(ge=1, description="width of a head")]
    vocab: Annotated[int, Field(ge=1, description="rows of the embedding")]
    tied: Annotated[bool, Field(description="the output head is the embedding")]
    shards: Annotated[
        int, Field(ge=1, description="model-parallel shards, each matrix with a scale for each")
    ] = 1
    parameters: Annotated[Published | None, Field(description="published count, if any")] = None

    @property
    def architecture(self) -> Architecture:
        """The sizes that give the shapes."""
        return Architecture(
            self.hidden, self.ffn, self.heads, self.kv_heads, self.head_dim, self.layers
        )

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """The ternary matrices that every token passes, in order of evaluation."""
        return tuple(
            Matrix(role=role, out_features=out, in_features=inside, count=self.layers)
            for role, (out, inside) in self.architecture.shapes().items()
        )

    @property
    def ternary_weights(self) -> int:
        """Ternary weights of all layers; each is used once for every token."""
        return sum(matrix.weights for matrix in self.matrices)

    @property
    def other_weights(self) -> int:
        """Embedding and output head; norms, some thousands per layer, are left out."""
        return (1 if self.tied else 2) * self.vocab * self.hidden


def model_names() -> tuple[str, ...]:
    """Names of the files, to be given to :func:`load_model`, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def load_model(name: str) -> Model:
    """A model of the zoo by any of its names; ConfigError for another name."""
    found = find_model(name)
    if found is None:
        raise ConfigError(unknown_model(name))
    return found


def find_model(name: str) -> Model | None:
    """A model of the zoo by the name of its file, its own, an alias, or its repository with or
    without the owner, in upper or lower case; None for another name."""
    if name in model_names():
        return load(Model, FOLDER / f"{name}.yaml")
    file = _names().get(name.casefold())
    return None if file is None else load(Model, FOLDER / f"{file}.yaml")


@cache
def _names() -> dict[str, str]:
    """File of every name, in lower case."""
    names = {}
    for file in model_names():
        model = load(Model, FOLDER / f"{file}.yaml")
        owned = [repository.partition("/")[2] for repository in model.repositories]
        for name in (file, model.name, *model.aliases, *model.repositories, *owned):
            names[name.casefold()] = file
    return names


def unknown_model(name: str) -> str:
    """The error for a name that no model has."""
    known = ", ".join(model_names())
    close = get_close_matches(name.casefold(), _names(), 1, 0.75)
    hint = f"; did you mean {_names()[close[0]]!r}?" if close else ""
    return f"model: should be a checkpoint or one of {known}, not {name!r}{hint}"
