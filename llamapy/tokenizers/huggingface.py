"""Hugging Face's tokenizer.json, turned into the metadata of a GGUF file.

What these metadata cannot say is refused, so that no text is tokenized in another way than the
file asks for.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import TokenizerError
from .base import Tokenizer
from .huggingface_added import AddedTokens
from .huggingface_bpe import bpe
from .huggingface_parts import Parts, refuse
from .huggingface_unigram import HuggingFaceUnigram, Spaces
from .huggingface_wordpiece import HuggingFaceWordPiece
from .pieces import byte_of
from .vocabulary import BYTE, CONTROL, NORMAL, PREFIX, UNKNOWN, UNUSED, USER_DEFINED

MAX_BYTES = 1 << 28


def from_huggingface(source: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer of a tokenizer.json: its path, its folder, or its text."""
    tokenizer = _read(source)
    model = tokenizer.get("model")
    if not isinstance(model, dict):
        refuse("the file", "no model")
    kind = model.get("type") or ("BPE" if "merges" in model else "WordPiece")
    makers: dict[str, Callable[[dict[str, Any], Parts], AddedTokens]]
    makers = {"BPE": bpe, "Unigram": _unigram, "WordPiece": _wordpiece}
    if kind not in makers:
        refuse("model.type", kind)
    try:
        parts = Parts(tokenizer, _tokens_of(tokenizer, model))
        made = makers[kind](model, parts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, TokenizerError):
            raise
        raise TokenizerError(
            f"tokenizer.json is not as Hugging Face writes it ({type(error).__name__}: {error}): "
            f"save it again with the tokenizers package"
        ) from error
    made.add(parts.added)
    return made


def _read(source: str | os.PathLike[str]) -> dict[str, Any]:
    text = os.fspath(source)
    if not text.lstrip().startswith("{"):
        path = Path(text)
        path = path / "tokenizer.json" if path.is_dir() else path
        if path.stat().st_size > MAX_BYTES:
            raise TokenizerError(f"{path} has more than {MAX_BYTES} bytes: it is no tokenizer.json")
        text = path.read_text(encoding="utf-8")
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise TokenizerError(f"tokenizer.json is not JSON ({error}): download it again") from None
    if not isinstance(found, dict):
        refuse("the file", found)
    return found


def _tokens_of(tokenizer: dict[str, Any], model: dict[str, Any]) -> list[tuple[str, float, int]]:
    """Text, score and kind of each token; those that are missing between others are unused."""
    vocabulary = model["vocab"]
    scores: dict[int, float] = {}
    if isinstance(vocabulary, list):
        scores = {id: float(score) for id, (_, score) in enumerate(vocabulary)}
        vocabulary = {text: id for id, (text, _) in enumerate(vocabulary)}
        if len(vocabulary) < len(scores):
            refuse("model.vocab", "the same token twice")
    added = {token["id"]: token for token in tokenizer.get("added_tokens") or ()}
    texts = {int(id): text for text, id in vocabulary.items()}
    texts |= {id: token["content"] for id, token in added.items()}
    count = max(texts, default=-1) + 1
    if min(texts, default=0) < 0 or count > 2 * len(texts) + 1024:
        refuse("model.vocab", f"ids up to {count} for {len(texts)} tokens")
    unknown = model.get("unk_token")
    if isinstance(model.get("unk_id"), int):
        unknown = texts.get(model["unk_id"])
    rows = []
    for id in range(count):
        text = texts.get(id, f"[UNUSED_{id}]")
        if id not in texts:
            kind = UNUSED
        elif text == unknown:
            kind = UNKNOWN
        elif id in added:
            kind = CONTROL if added[id].get("special") else USER_DEFINED
        elif model.get("byte_fallback") and byte_of(text):
            kind = BYTE
        else:
            kind = NORMAL
        rows.append((text, scores.get(id, 0.0), kind))
    return rows


def _wordpiece(model: dict[str, Any], parts: Parts) -> AddedTokens:
    normalizer = parts.only("normalizer", "BertNormalizer")
    parts.only("pre_tokenizer", "BertPreTokenizer")
    for key in ("clean_text", "handle_chinese_chars"):
        if not normalizer.get(key, True):
            refuse(f"normalizer.{key}", False)
    lowercase = bool(normalizer.get("lowercase", True))
    accents = normalizer.get("strip_accents")
    more = model.get("continuing_subword_prefix", "##")
    for token in parts.added:
        content = token["content"]
        if lowercase and token.get("normalized") and content.lower() != content.upper():
            refuse(f"normalized of the added token {content!r}, beside lowercase", True)
    special = {token["id"] for token in parts.added}
    texts = []
    for id, (text, _, kind) in enumerate(parts.rows):
        if id in special or kind in (UNKNOWN, UNUSED):
            texts.append(text)
        else:
            texts.append(text[len(more) :] if text.startswith(more) else "▁" + text)
    metadata = parts.metadata("bert", texts)
    metadata[PREFIX + "normalizer.lowercase"] = lowercase
    metadata[PREFIX + "normalizer.strip_accents"] = lowercase if accents is None else bool(accents)
    metadata[PREFIX + "longest_word"] = int(model.get("max_input_chars_per_word", 100))
    return HuggingFaceWordPiece(metadata)


def _unigram(model: dict[str, Any], parts: Parts) -> AddedTokens:
    metadata = parts.metadata("t5")
    metadata[PREFIX + "byte_fallback"] = bool(model.get("byte_fallback"))
    how = Spaces()
    for each in parts.steps("normalizer"):
        if each["type"] == "Precompiled" and how == Spaces():
            table = np.frombuffer(base64.b64decode(each["precompiled_charsmap"]), np.uint8)
            metadata[PREFIX + "precompiled_charsmap"] = table
        elif each["type"] == "Replace" and (each["pattern"], each["content"]) in (
            ({"Regex": " {2,}"}, " "),
            ({"Regex": " {2,}"}, "▁"),
        ):
            how = replace(how, merged=True)
        elif each["type"] == "Strip":
            how = replace(how, left=bool(each["strip_left"]), right=bool(each["strip_right"]))
        else:
            refuse("normalizer", each)
    for each in parts.steps("pre_tokenizer"):
        if each["type"] == "WhitespaceSplit" and how.prefix == "never":
            how = replace(how, words=True)
        elif each["type"] == "Metaspace":
            how = replace(how, prefix=parts.metaspace(each))
        else:
            refuse("pre_tokenizer", each)
    if how.words and how.prefix != "always":
        refuse("pre_tokenizer", "WhitespaceSplit without ▁ before each word")
    return HuggingFaceUnigram(metadata, how)
