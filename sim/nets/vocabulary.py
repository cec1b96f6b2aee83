"""Token ids of a language model whose tokens are single characters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sim.checkpoints import CheckpointError
from sim.checkpoints.base import brief
from sim.checkpoints.config import read_object

VOCABULARY_FILE = "characters.json"


class PromptError(ValueError):
    """A text or a number of tokens that a model cannot be given: what, where, and the remedy."""


@dataclass(frozen=True)
class Vocabulary:
    """characters: the one with token id i at place i; no two alike."""

    characters: str

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """Read characters.json, ``{"characters": "…"}``; CheckpointError if it is unfit."""
        file = folder / VOCABULARY_FILE
        characters = read_object(file).get("characters")
        if not isinstance(characters, str) or not characters:
            raise CheckpointError(
                f"{file}: characters: should be a string of all characters in the order of their "
                f"token ids, not {brief(characters)}"
            )
        for i, character in enumerate(characters):
            if (first := characters.index(character)) != i:
                raise CheckpointError(
                    f"{file}: characters: should be different from each other, "
                    f"not {character!r} at both {first} and {i}"
                )
        return cls(characters)

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> list[int]:
        """The token id of each character; PromptError for one that the vocabulary lacks.

        >>> Vocabulary("abc").encode("cab")
        [2, 0, 1]
        """
        ids = [self.characters.find(character) for character in text]
        if -1 in ids:
            place = ids.index(-1)
            raise PromptError(
                f"prompt[{place}]: should be one of the {len(self)} characters "
                f"{self.characters!r}, not {text[place]!r}; leave it out or replace it"
            )
        return ids

    def decode(self, token_ids: Iterable[int]) -> str:
        """The text of token ids, each 0 … len - 1.

        >>> Vocabulary("abc").decode([2, 0, 1])
        'cab'
        """
        return "".join(self.characters[token] for token in token_ids)
