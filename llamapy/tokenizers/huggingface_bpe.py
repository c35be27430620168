"""Byte-pair encodings of a tokenizer.json: of bytes, or of characters with ▁ for a space."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from ..errors import TokenizerError
from .bpe import BPE
from .huggingface_added import AddedTokens
from .huggingface_parts import FirstIsFirst, Parts, refuse
from .pieces import SPACE
from .pretokenizers import GPT2, PreTokenizer
from .scanner import scanner
from .vocabulary import PREFIX

FORMS = ("NFC", "NFD", "NFKC", "NFKD")
PUNCTUATION = r"[\p{P}$+<=>^`|~]"


class HuggingFaceBPE(FirstIsFirst, BPE):
    """Byte-pair encoding whose text is brought into a form of Unicode first, and may be given a
    space before it: always, where it has none ("absent"), so at the very beginning ("first"), or
    never.
    """

    def __init__(
        self,
        metadata: Mapping[str, Any],
        pretokenizer: PreTokenizer,
        forms: tuple[str, ...],
        prefix: str,
    ) -> None:
        self.forms, self.prefix = forms, prefix
        self.only_first = prefix == "first"
        super().__init__(metadata, pretokenizer)

    def default_ids(self) -> Mapping[str, int]:
        return {}

    def tokenize(self, text: bytes, *, after_special: bool) -> list[int]:
        for form in self.forms:
            text = unicodedata.normalize(form, text.decode(errors="replace")).encode()  # type: ignore[arg-type]
        if self._wants_space(text, after_special):
            text = b" " + text
        return super().tokenize(text, after_special=after_special)

    def _wants_space(self, text: bytes, after_special: bool) -> bool:
        if self.prefix in ("never", "always") or not text:
            return self.prefix == "always" and bool(text)
        starts = text.startswith((b" ", SPACE) if self.pretokenizer.escapes_spaces else b" ")
        return not starts and (after_special or self.prefix == "absent")


def bpe(model: dict[str, Any], parts: Parts) -> AddedTokens:
    """The tokenizer of a model of type BPE."""
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            refuse(f"model.{key}", model[key])
    metadata = parts.metadata("gpt2")
    metadata[PREFIX + "merges"] = [
        pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]
    ]
    is_bytes = any(each["type"] == "ByteLevel" for each in parts.steps("pre_tokenizer"))
    has_bytes = model.get("byte_fallback") and "<0x00>" in parts.id_of
    if not is_bytes and not has_bytes and model.get("unk_token") is not None:
        refuse("model.unk_token", f"{model['unk_token']!r} without byte_fallback")
    forms, prefix, escapes = _normalizer(parts)
    steps: list[Any] = []
    for each in parts.steps("pre_tokenizer"):
        kind = each["type"]
        if kind == "ByteLevel":
            prefix = "absent" if each.get("add_prefix_space") else prefix
            steps += [GPT2] if each.get("use_regex", True) else []
        elif kind == "Digits":
            steps.append(r"\p{N}" if each.get("individual_digits") else r"\p{N}+")
        elif kind == "Punctuation" and each.get("behavior", "Isolated") == "Isolated":
            steps.append(PUNCTUATION)
        elif kind == "Metaspace" and not is_bytes:
            escapes, prefix = True, parts.metaspace(each)
            prefix = "absent" if prefix == "always" else prefix
        elif kind == "Split" and escapes and each["pattern"] == {"String": " "}:
            pass  # of the spaces that it looks for none is left
        elif kind == "Split":
            steps.append(_split(each))
        else:
            refuse("pre_tokenizer", each)
    if not is_bytes and not escapes:
        refuse("pre_tokenizer", "neither ByteLevel nor one with ▁ for spaces")
    how = PreTokenizer(
        tuple(steps),
        ignores_merges=bool(model.get("ignore_merges")),
        encodes_bytes=is_bytes,
        escapes_spaces=escapes,
    )
    return HuggingFaceBPE(metadata, how, forms, prefix)


def _normalizer(parts: Parts) -> tuple[tuple[str, ...], str, bool]:
    """Forms of Unicode, where a space is put before, and whether ▁ stands for spaces."""
    forms: list[str] = []
    prefix, escapes = "never", False
    for each in parts.steps("normalizer"):
        if each["type"] in FORMS and not escapes:
            forms.append(each["type"])
        elif each["type"] == "Prepend" and each["prepend"] == "▁" and not escapes:
            prefix = "always"
        elif (
            each["type"] == "Replace"
            and each["pattern"] == {"String": " "}
            and each["content"] == "▁"
        ):
            escapes = True
        else:
            refuse("normalizer", each)
    if prefix == "always" and not escapes:
        refuse("normalizer", "▁ before the text, and no Replace")
    return tuple(forms), prefix, escapes


def _split(step: dict[str, Any]) -> Any:
    """The step of a pre-tokenizer that parts text by a pattern."""
    behavior, inverted = step["behavior"], bool(step.get("invert"))
    pattern = step["pattern"].get("Regex")
    if pattern is None or not (
        (behavior == "Isolated" and not inverted) or (behavior == "Removed" and inverted)
    ):
        refuse("pre_tokenizer", step)
    if inverted:
        refuse("pre_tokenizer", "Split that removes what its pattern leaves out")
    try:
        scanner(pattern)
    except TokenizerError:  # what the scanner has no table for
        from .foreign import ForeignPattern

        return ForeignPattern(pattern)
    return pattern
