"""What SentencePiece does to a text before it looks for tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import TokenizerError
from .kernels import charsmap as kernels
from .pieces import SPACE
from .trie import Trie


class Normalizer:
    """Replaces characters and spaces. `charsmap` is a SentencePiece model's table, or empty."""

    def __init__(
        self,
        charsmap: Any = (),
        *,
        prefix: bool = False,
        suffix: bool = False,
        merges_spaces: bool = False,
        kept: Sequence[bytes] = (),
        space: bytes = SPACE,
    ) -> None:
        data = np.asarray(charsmap).astype(np.uint8).tobytes()
        size = int.from_bytes(data[:4], "little") if data else -4
        if data and (len(data) < 4 or size + 4 >= len(data)):
            raise TokenizerError(
                f"the table of characters has {len(data)} bytes, and its first part should have "
                f"{size} and something behind it: convert the model again"
            )
        self.units = np.frombuffer(data[4 : 4 + size // 4 * 4], "<u4").astype(np.uint32)
        self.replacements = np.frombuffer(data[4 + size :], np.uint8)
        self.kept = Trie(kept)
        self.space = np.frombuffer(space, np.uint8)
        self.flags = prefix, suffix, merges_spaces

    def __call__(self, text: bytes) -> Any:
        """The text as bytes in an array."""
        out, length = kernels.normalize(
            np.frombuffer(text, np.uint8),
            self.units,
            self.replacements,
            self.kept.edges,
            self.space,
            *self.flags,
        )
        if length == kernels.BROKEN:
            raise TokenizerError(
                "the table of characters leads out of itself: the file is damaged, or not from "
                "SentencePiece; convert the model again"
            )
        return out[:length]
