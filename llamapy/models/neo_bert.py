"""NeoBERT: Llama as an encoder, with fused matrices."""

from __future__ import annotations

from ..nn import Block, Embedding, FusedQKV, FusedSwiGLU, RMSNorm, SplitQKV, block, group, w
from . import llama, llama_embed
from ._encoder import Classifier


@block
class Ends(Block):
    """The last norm is named as an encoder's."""

    token_embd: Embedding = w("V, E")
    output_norm: RMSNorm = w("E", name="enc.output_norm")
    classifier: Classifier = group()


@block
class Layer(llama.Layer):
    """Gate and up are one matrix."""

    attn: FusedQKV | SplitQKV = group()
    ffn: FusedSwiGLU = group()


class NeoBert(llama_embed.LlamaEmbed):
    """As Llama."""

    Layer, Ends = Layer, Ends
