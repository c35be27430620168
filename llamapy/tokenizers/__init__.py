"""Tokenizers: text to ids of tokens and back, as a model's file says."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from ..errors import TokenizerError
from ..gguf import GGUF
from .base import Stream, Tokenizer
from .vocabulary import Vocabulary

# tokenizer.ggml.model, and where the tokenizer of that kind is
KINDS = {
    "gpt2": ("bpe", "BPE"),
    "gemma4": ("raw_bpe", "RawBPE"),
    "hybriddna": ("bpe", "HybridDNA"),
    "whitespace": ("bpe", "Whitespace"),
    "llama": ("spm", "SPM"),
    "bert": ("wordpiece", "WordPiece"),
    "t5": ("unigram", "Unigram"),
    "rwkv": ("rwkv", "RWKV"),
    "plamo2": ("plamo2", "PLaMo2"),
    "none": ("none", "NoTokenizer"),
    "no_vocab": ("none", "NoTokenizer"),
}


def from_gguf(source: str | os.PathLike[str] | bytes | GGUF) -> Tokenizer:
    """The tokenizer of a GGUF file, which need not have weights."""
    if isinstance(source, GGUF):
        return from_metadata(source.metadata)
    with GGUF.open(source) as file:
        return from_metadata(file.metadata)


def from_metadata(metadata: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that metadata such as a GGUF file's describe."""
    kind = metadata.get("tokenizer.ggml.model")
    if kind not in KINDS:
        raise TokenizerError(
            f"tokenizer.ggml.model is {kind!r}, and {', '.join(KINDS)} are known: the file has no "
            f"tokenizer, or one of a later version"
        )
    module, name = KINDS[kind]
    found: type[Tokenizer] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return found(metadata)


def from_huggingface(source: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer of a Hugging Face tokenizer.json: its path, its folder, or its text."""
    from . import huggingface

    return huggingface.from_huggingface(source)


def from_sentencepiece(source: str | os.PathLike[str] | bytes) -> Tokenizer:
    """The tokenizer of a SentencePiece model: its path, or its bytes."""
    from . import sentencepiece

    return sentencepiece.from_sentencepiece(source)


__all__ = [
    "Stream",
    "Tokenizer",
    "Vocabulary",
    "from_gguf",
    "from_huggingface",
    "from_metadata",
    "from_sentencepiece",
]
