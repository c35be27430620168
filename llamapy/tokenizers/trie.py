"""Tokens by their bytes, for kernels that look for them in a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import TokenizerError
from .kernels import trie as kernels


class Trie:
    """Byte strings and the ids they stand for. `edges` and `value_at` are what kernels walk."""

    def __init__(self, keys: Sequence[bytes], ids: Any = None) -> None:
        self.text = np.frombuffer(b"".join(keys), np.uint8)
        self.lengths = np.fromiter(map(len, keys), np.int64, len(keys))
        self.ends = np.cumsum(self.lengths)
        values = np.arange(len(keys)) if ids is None else np.asarray(ids)
        self.edges, self.value_at, self.node_of = kernels.build(
            self.text, self.ends, values.astype(np.int32)
        )
        if len(keys) and self.node_of[0] < 0:
            raise TokenizerError(
                f"the vocabulary has more than {kernels.MAX_NODES} different beginnings of tokens: "
                f"that is no vocabulary of text"
            )
