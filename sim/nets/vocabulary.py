"""Text as token ids: the tokeniser of a checkpoint, run by the ``tokenizers`` library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.decoders import DecodeStream

from sim.checkpoints import Checkpoint, CheckpointError
from sim.checkpoints.base import brief
from sim.checkpoints.json_values import read_object

TOKENISER_FILE = "tokenizer.json"


class PromptError(ValueError):
    """A text or a number of tokens that a model cannot be given: what, where, and the remedy."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """A tokeniser. source: its file. stops: token ids that end a text."""

    source: Path
    tokenizer: Tokenizer
    stops: frozenset[int] = frozenset()

    @property
    def size(self) -> int:
        """Token ids are below it."""
        ids = self.tokenizer.get_vocab(with_added_tokens=True).values()
        return 1 + max(ids, default=-1)

    def encode(self, text: str) -> list[int]:
        """The token ids of a text, with those that the tokeniser puts before it.

        PromptError for a text with something that the tokeniser has no token for.
        """
        try:
            encoded = self.tokenizer.encode(text)
        except Exception as error:  # Of a type of its own, which the library does not export.
            raise PromptError(self._fault(text, str(error))) from None
        unknown = getattr(self.tokenizer.model, "unk_token", None)
        if unknown is not None and unknown in encoded.tokens:
            start, end = encoded.offsets[encoded.tokens.index(unknown)]
            raise PromptError(
                f"prompt[{start}]: should be text that {self.source.name} has tokens for, not "
                f"{text[start:end]!r}; leave it out or replace it"
            )
        return list(encoded.ids)

    def _fault(self, text: str, reason: str) -> str:
        """Where a text cannot be encoded: the first character that cannot be on its own."""
        for place, character in enumerate(text):
            try:
                self.tokenizer.encode(character)
            except Exception:  # As above.
                return (
                    f"prompt[{place}]: should be text that {self.source.name} has tokens for, not "
                    f"{character!r}; leave it out or replace it"
                )
        return f"prompt: should be text that {self.source.name} has tokens for: {reason}"

    def texts(self) -> Decoding:
        """Decodes token ids one by one."""
        return Decoding(self)


class Decoding:
    """Text of token ids as they come; a character may need several of them."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.stream = DecodeStream(skip_special_tokens=True)

    def step(self, token: int) -> str:
        """What one more token adds; nothing while a character is not whole."""
        return self.stream.step(self.vocabulary.tokenizer, token) or ""


def character_tokenizer(characters: str) -> Tokenizer:
    """A tokeniser of single characters: token id i is the one at place i.

    >>> character_tokenizer("abc").encode("cab").ids
    [2, 0, 1]
    """
    ids = {character: i for i, character in enumerate(characters)}
    # A character that is not there is an error, since this token is not there either.
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="�"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def find_vocabulary(checkpoint: Checkpoint) -> Vocabulary | None:
    """The tokeniser of a checkpoint: tokenizer.json beside it, or the vocabulary in a GGUF file.

    None if there is none; CheckpointError if it cannot be used.
    """
    path = checkpoint.path
    file = (path if path.is_dir() else path.parent) / TOKENISER_FILE
    if checkpoint.header is not None and not file.exists():
        if "tokenizer.ggml.model" not in checkpoint.header.values:
            return None
        from sim.nets.gguf_vocabulary import gguf_vocabulary  # Loads gguf, which takes a while.

        tokenizer, stops = gguf_vocabulary(checkpoint.header)
        return Vocabulary(checkpoint.header.file, tokenizer, stops)
    if not file.exists():
        return None
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # The library raises nothing narrower.
        raise CheckpointError(
            f"{file}: should be a tokeniser of the tokenizers library: {error}; download it again"
        ) from None
    return Vocabulary(file, tokenizer, _stops(checkpoint))


def _stops(checkpoint: Checkpoint) -> frozenset[int]:
    """``eos_token_id`` of config.json, one or several."""
    if checkpoint.config is None:
        return frozenset()
    file = checkpoint.config.file
    found: Any = read_object(file).get("eos_token_id")
    ids = found if isinstance(found, list) else [] if found is None else [found]
    if any(type(token) is not int for token in ids):
        raise CheckpointError(
            f"{file}: eos_token_id: should be a token id or a list of them, not {brief(found)}"
        )
    return frozenset(ids)
