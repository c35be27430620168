"""EuroBERT: Llama as an encoder, dense, with rope over halves."""

from __future__ import annotations

from .. import ops
from . import _encoder, llama_embed, qwen2


class EuroBert(llama_embed.LlamaEmbed):
    """As Llama."""

    Layer, Ends, rotation = qwen2.Layer, _encoder.Ends, ops.rope_halves
