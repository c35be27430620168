"""Vocabularies of GGUF files in the words of the `tokenizers` package, to be timed beside ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from llamapy.tokenizers import Tokenizer as Ours
from llamapy.tokenizers.vocabulary import NORMAL


def byte_pairs(metadata: Mapping[str, Any], ours: Ours) -> Tokenizer | None:
    steps = ours.pretokenizer.steps  # type: ignore[attr-defined]
    if len(steps) != 1 or "--" in steps[0]:
        return None
    rules = [tuple(each.split(" ", 1)) for each in metadata["tokenizer.ggml.merges"]]
    package = Tokenizer(models.BPE(dict(ours.vocabulary.id_of), rules))
    split = pre_tokenizers.Split(Regex(steps[0]), "isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    package.pre_tokenizer = pre_tokenizers.Sequence([split, as_bytes])
    return package


def sentence_pieces(metadata: Mapping[str, Any], ours: Ours) -> Tokenizer:
    """Pairs by scores, as merges: every way to part a token into two, the best token first."""
    known, scores = ours.vocabulary.id_of, ours.vocabulary.scores
    rules = [
        (-scores[id], known[text[:at]], known[text[at:]], text[:at], text[at:])
        for text, id in known.items()
        for at in range(1, len(text))
        if text[:at] in known and text[at:] in known
    ]
    merges = [(left, right) for *_, left, right in sorted(rules)]
    model = models.BPE(dict(known), merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    package = Tokenizer(model)
    package.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    return package


def word_pieces(metadata: Mapping[str, Any], ours: Ours) -> Tokenizer:
    kinds, vocabulary = ours.vocabulary.kinds, {}
    for text, id in ours.vocabulary.id_of.items():
        begins = kinds[id] != NORMAL or text.startswith("▁")
        vocabulary[text.removeprefix("▁") if begins else "##" + text] = id
    package = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    package.normalizer = normalizers.BertNormalizer()
    package.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return package


def unigram(metadata: Mapping[str, Any], ours: Ours) -> Tokenizer:
    pairs = list(zip(ours.vocabulary.texts, ours.vocabulary.scores.tolist(), strict=True))
    package = Tokenizer(models.Unigram(pairs, ours.vocabulary.ids["unk"], False))
    table = metadata.get("tokenizer.ggml.precompiled_charsmap")
    steps = [] if table is None else [normalizers.Precompiled(bytes(table))]
    package.normalizer = normalizers.Sequence([*steps, normalizers.Replace(Regex(" {2,}"), " ")])
    package.pre_tokenizer = pre_tokenizers.Metaspace()
    return package


MAKERS: dict[str, Callable[[Mapping[str, Any], Ours], Tokenizer | None]] = {
    "gpt2": byte_pairs,
    "llama": sentence_pieces,
    "bert": word_pieces,
    "t5": unigram,
}
