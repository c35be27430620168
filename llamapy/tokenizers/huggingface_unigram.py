"""The Unigram model of a tokenizer.json, which treats spaces in its own way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .charsmap import Normalizer
from .huggingface_parts import FirstIsFirst
from .pieces import SPACE
from .unicode import WHITE_SPACE
from .unigram import Unigram

WHITE = re.compile(f"[{re.escape(''.join(map(chr, WHITE_SPACE)))}]+")


@dataclass(frozen=True)
class Spaces:
    """What becomes of them: any white space parts words, several are one, those at the ends go, and
    one stands before a text that has none ("always"), so at the very beginning ("first"), or never.
    """

    words: bool = False
    merged: bool = False
    left: bool = False
    right: bool = False
    prefix: str = "never"


class HuggingFaceUnigram(FirstIsFirst, Unigram):
    """The likeliest tokens, with spaces as said."""

    def __init__(self, metadata: Mapping[str, Any], spaces: Spaces) -> None:
        self.spaces = spaces
        self.only_first = spaces.prefix == "first"
        super().__init__(metadata)
        # in full, as the file has them
        self._scores = np.array(self.vocabulary.get("scores"), np.float64)
        self._replace = Normalizer(self.vocabulary.get("precompiled_charsmap", ()), space=b" ")

    def tokenize(self, text: bytes, *, after_special: bool) -> list[int]:
        how = self.spaces
        data = self._replace(text).tobytes()
        if how.words:
            data = WHITE.sub(" ", data.decode(errors="replace")).strip(" ").encode()
        data = re.sub(rb"  +", b" ", data) if how.merged else data
        data = data.lstrip(b" ") if how.left else data
        data = data.rstrip(b" ") if how.right else data
        data = data.replace(b" ", SPACE)
        wanted = how.prefix == "always" or (how.prefix == "first" and after_special)
        if wanted and data and not data.startswith(SPACE):
            data = SPACE + data
        return self.spell(np.frombuffer(data, np.uint8))
