"""llama.cpp's own tokenizers, called through llama-cpp-python's C bindings (the `bench` extra)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

from llama_cpp import llama_cpp as peer


@peer.llama_log_callback
def _silent(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    pass


class PeerTokenizer:
    """The tokenizer of a GGUF file, which may have nothing else."""

    def __init__(self, path: str | Path) -> None:
        peer.llama_log_set(_silent, ctypes.c_void_p(0))
        params = peer.llama_model_default_params()
        params.vocab_only = True
        self.model = peer.llama_model_load_from_file(str(path).encode(), params)
        if not self.model:
            raise SystemExit(f"llama.cpp does not load {path}")
        self.vocab = peer.llama_model_get_vocab(self.model)

    def encode(self, text: bytes, *, around: bool = False, special: bool = False) -> list[int]:
        """The tokens; `around`: with what stands around a text."""
        ids = (peer.llama_token * (4 * len(text) + 64))()
        count = peer.llama_tokenize(self.vocab, text, len(text), ids, len(ids), around, special)
        if count < 0:
            raise SystemExit(f"llama.cpp wants room for {-count} tokens of {len(text)} bytes")
        return list(ids[:count])

    def decode(self, ids: Sequence[int], *, special: bool = False) -> bytes:
        """The text of tokens."""
        tokens = (peer.llama_token * max(1, len(ids)))(*ids)
        out = ctypes.create_string_buffer(256 + 64 * len(ids))
        count = peer.llama_detokenize(self.vocab, tokens, len(ids), out, len(out), False, special)
        if count < 0:
            raise SystemExit(f"llama.cpp wants room for {-count} bytes of {len(ids)} tokens")
        return out.raw[:count]

    def piece(self, id: int) -> bytes:
        """What a token stands for, special ones for their text."""
        out = ctypes.create_string_buffer(4096)
        count = peer.llama_token_to_piece(self.vocab, id, out, len(out), 0, True)
        return out.raw[:count]

    def end_tokens(self) -> list[int]:
        """The tokens with which a text ends."""
        count = peer.llama_vocab_n_tokens(self.vocab)
        return [id for id in range(count) if peer.llama_vocab_is_eog(self.vocab, id)]

    def close(self) -> None:
        peer.llama_model_free(self.model)
