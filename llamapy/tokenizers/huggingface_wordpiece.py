"""WordPiece as a tokenizer.json means it, which is exact where llama.cpp is near."""

from __future__ import annotations

import unicodedata

import numpy as np
from numpy.typing import NDArray

from .huggingface_added import AddedTokens
from .unicode import CONTROL, MARK, N_CODE_POINTS, categories
from .wordpiece import WordPiece


class HuggingFaceWordPiece(AddedTokens, WordPiece):
    """Characters are decomposed as a whole, and of marks only those without width are accents."""

    def accents(self) -> NDArray[np.bool_]:
        found = np.zeros(N_CODE_POINTS, bool)
        for point in np.flatnonzero(categories() == MARK).tolist():
            # marks that this Python does not know yet are taken for accents
            found[point] = unicodedata.category(chr(point)) in ("Mn", "Cn")
        return found

    def removed(self) -> NDArray[np.bool_]:
        found = categories() == CONTROL
        found[[ord(each) for each in "\t\n\r"]] = False
        return found

    def tokenize(self, text: bytes, *, after_special: bool) -> list[int]:
        if self.strips_accents:
            text = unicodedata.normalize("NFD", text.decode(errors="replace")).encode()
        return super().tokenize(text, after_special=after_special)
