"""The vocabulary inside a GGUF file as a tokeniser of the ``tokenizers`` library.

``tokenizer.ggml.model`` is "gpt2" for byte-level BPE, of which ``merges`` are stored and the rule
that cuts text into words is known by a name only (``tokenizer.ggml.pre``), or "llama" for BPE by
scores, as SentencePiece trains it: of two neighbours those merge first whose union scores highest.
"""

from __future__ import annotations

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from sim.checkpoints import CheckpointError
from sim.checkpoints.base import brief
from sim.checkpoints.gguf.header import GgufHeader

CONTROL, USER_DEFINED = 3, 4
"""Of ``tokenizer.ggml.token_type``: tokens that are no text, and tokens that are never cut."""
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_SHORT}|\p{{N}}{{1,3}}{_REST}"
_QWEN2 = rf"{_SHORT}|\p{{N}}{_REST}"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
WORDS = {
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "llama-bpe": _LLAMA3,
    "falcon3": _LLAMA3,
    "falcon_e": _LLAMA3,
    "qwen2": _QWEN2,
    "gpt-2": _GPT2,
    "gpt2": _GPT2,
}
"""Words by ``tokenizer.ggml.pre``; published in the tokenizer.json of Llama 3, Qwen 2 and GPT-2."""


def gguf_vocabulary(header: GgufHeader) -> tuple[Tokenizer, frozenset[int]]:
    """The tokeniser, and the token ids that end a text; CheckpointError for one of another kind."""
    values = header.values
    model = values["tokenizer.ggml.model"]
    tokens = header.texts("tokenizer.ggml.tokens")
    ids = {token: i for i, token in enumerate(tokens)}
    if model == "gpt2":
        tokenizer = _byte_level(header, ids)
        first = values.get("tokenizer.ggml.pre") in [k for k, v in WORDS.items() if v is _LLAMA3]
    elif model == "llama":
        tokenizer = _scored(header, tokens, ids)
        first = True
    else:
        raise CheckpointError(
            f"{header.file}: tokenizer.ggml.model: should be 'gpt2' or 'llama', "
            f"not {brief(model)}; no other vocabulary is read"
        )
    if "tokenizer.ggml.token_type" in header.arrays:
        kinds = header.numbers("tokenizer.ggml.token_type")
        for token, kind in zip(tokens, kinds, strict=False):
            if kind == CONTROL:
                tokenizer.add_special_tokens([AddedToken(token, special=True)])
            elif kind == USER_DEFINED:
                tokenizer.add_tokens([AddedToken(token, normalized=False)])
    bos = values.get("tokenizer.ggml.bos_token_id")
    if values.get("tokenizer.ggml.add_bos_token", first) and isinstance(bos, int):
        _check_id(header, "bos_token_id", bos, tokens)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{tokens[bos]} $A", special_tokens=[(tokens[bos], bos)]
        )
    stops = set()
    for key in ("eos_token_id", "eot_token_id", "eom_token_id"):
        stop = values.get(f"tokenizer.ggml.{key}")
        if isinstance(stop, int):
            _check_id(header, key, stop, tokens)
            stops.add(stop)
    return tokenizer, frozenset(stops)


def _check_id(header: GgufHeader, key: str, token: int, tokens: list[str]) -> None:
    if not 0 <= token < len(tokens):
        raise CheckpointError(
            f"{header.file}: tokenizer.ggml.{key}: should be one of {len(tokens)} token ids, "
            f"not {token}"
        )


def _byte_level(header: GgufHeader, ids: dict[str, int]) -> Tokenizer:
    name = header.values.get("tokenizer.ggml.pre")
    if name not in WORDS:
        raise CheckpointError(
            f"{header.file}: tokenizer.ggml.pre: should be one of {', '.join(WORDS)}, not "
            f"{'missing' if name is None else brief(name)}; put the model's tokenizer.json beside "
            "the file"
        )
    merges = []
    for merge in header.texts("tokenizer.ggml.merges"):
        left, _, right = merge.partition(" ")
        if left not in ids or right not in ids or left + right not in ids:
            raise CheckpointError(
                f"{header.file}: tokenizer.ggml.merges: should be of two tokens into a third, "
                f"not {brief(merge)}; convert the model again"
            )
        merges.append((left, right))
    words = WORDS[str(name)]
    tokenizer = Tokenizer(models.BPE(ids, merges, ignore_merges=words is _LLAMA3))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _scored(header: GgufHeader, tokens: list[str], ids: dict[str, int]) -> Tokenizer:
    scores = header.numbers("tokenizer.ggml.scores")
    if len(scores) != len(tokens):
        raise CheckpointError(
            f"{header.file}: tokenizer.ggml.scores: should be {len(tokens)}, one for each token, "
            f"not {len(scores)}; convert the model again"
        )
    ranked = []
    for token, whole in ids.items():
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in ids and right in ids:
                ranked.append((-float(scores[whole]), ids[left], ids[right], left, right))
    ranked.sort()
    unknown = header.values.get("tokenizer.ggml.unknown_token_id")
    unk = tokens[unknown] if isinstance(unknown, int) and 0 <= unknown < len(tokens) else None
    merges = [(left, right) for *_, left, right in ranked]
    tokenizer = Tokenizer(models.BPE(ids, merges, unk_token=unk, fuse_unk=True, byte_fallback=True))
    space: list[normalizers.Normalizer] = [normalizers.Replace(" ", "▁")]
    after: list[decoders.Decoder] = [
        decoders.Replace("▁", " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
    ]
    if header.values.get("tokenizer.ggml.add_space_prefix", True):
        space.insert(0, normalizers.Prepend("▁"))
        after.append(decoders.Strip(" ", 1, 0))
    tokenizer.normalizer = normalizers.Sequence(space)
    tokenizer.decoder = decoders.Sequence(after)
    return tokenizer
