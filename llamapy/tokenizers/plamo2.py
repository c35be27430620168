"""PLaMo-2: of all ways to spell a text with tokens the best one, found from its end."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..errors import TokenizerError
from .base import Tokenizer
from .kernels import paths
from .pieces import byte_of
from .trie import Trie
from .unicode import code_points, utf8
from .vocabulary import BYTE

# scores count in ten-thousandths; a token of none, or of less than this, is not used
SCALE = 1e4
LEAST_GAIN = -20_000_000
UNKNOWN_GAIN = -10_000_000
BYTE_ORDER_MARK = "\ufeff".encode()


class PLaMo2(Tokenizer):
    """Nothing stands around its texts, whatever a file says."""

    defaults = {"bos": 1, "eos": 2, "unk": 0, "pad": 3}

    def setup(self) -> None:
        vocabulary = self.vocabulary
        is_byte = vocabulary.kinds_in_file == BYTE
        self._byte_ids = np.zeros(256, np.int32)
        for id in np.flatnonzero(is_byte).tolist():
            if byte := byte_of(vocabulary.texts[id]):
                self._byte_ids[byte[0]] = id
        if not self._byte_ids.all():
            raise TokenizerError(
                f"no token is <0x{int(np.argmin(self._byte_ids)):02X}>: all bytes need one, behind "
                f"the first; convert the model again"
            )
        scores = vocabulary.scores.astype(np.float64)
        usable = np.isfinite(scores) & ~is_byte
        scaled = np.where(usable, scores, 0) * SCALE
        gains = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int64)
        known = np.flatnonzero(usable & (gains > LEAST_GAIN))
        self._gains = gains
        self._trie = Trie([vocabulary.texts[id].encode() for id in known.tolist()], known)

    def tokenize(self, text: bytes, *, after_special: bool) -> list[int]:
        data = np.frombuffer(utf8(code_points(text)).removeprefix(BYTE_ORDER_MARK), np.uint8)
        out = np.empty(len(data), np.int32)
        trie = self._trie
        count = paths.cheapest(
            data, trie.edges, trie.value_at, self._gains, UNKNOWN_GAIN, self._byte_ids, out
        )
        return list(out[:count].tolist())

    def before(self, wanted: bool = False) -> list[int]:
        return self._there("bos") if wanted else []

    def after(self) -> list[int]:
        return []

    @cached_property
    def nl(self) -> int | None:
        """The token of a line's end."""
        return self.encode("\n", bos=False)[0]

    def bytes_of_tokens(self) -> list[bytes]:
        pieces = [text.encode() for text in self.vocabulary.texts]
        for id in np.flatnonzero(self.vocabulary.kinds == BYTE).tolist():
            pieces[id] = byte_of(self.vocabulary.texts[id]) or pieces[id]
        return pieces
