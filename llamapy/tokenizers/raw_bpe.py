"""Byte-pair encoding of characters, where ▁ stands for a space, as Gemma 4 has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .bpe import BPE
from .pretokenizers import NAMES, PreTokenizer


class RawBPE(BPE):
    """Lines are merged whole; characters that are in no token become the tokens of their bytes."""

    def named(self, metadata: Mapping[str, Any]) -> PreTokenizer:
        return NAMES["gemma4"]

    def default_ids(self) -> Mapping[str, int]:
        return {}
