"""Chameleon: Llama with a LayerNorm for each head, whose images are tokens that it may not say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import ops
from ..cache import Step
from ..nn import HeadLayerNorm, SwiGLU, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import llama
from ._config import key

HEAD_EPS = 1e-5
IMAGE_TOKENS = range(4, 8196)
NEVER = float(np.finfo(np.float32).min)


@dataclass(frozen=True)
class Config(llama.Config):
    """The larger model norms what a block gives, and not what it gets."""

    norms_results: bool = key("swin_norm", False)


@block
class HeadNorm(HeadLayerNorm):
    """Mean 0 and variance 1."""

    def __call__(self, x: Tensor) -> Tensor:
        y = ops.head_layer_norm(x, self.weight, self.bias, eps=HEAD_EPS)
        return see(self.name, y)


@block
class Layer(llama.Layer):
    """Heads are normed before they are turned."""

    attn_q_norm: HeadNorm = w("H, D")
    attn_k_norm: HeadNorm = w("K, D")
    ffn: SwiGLU = group()


class Chameleon(llama.Llama):
    """As Llama, but for the norms."""

    Config, Layer = Config, Layer

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        if not self.config.norms_results:
            return super().layer(x, w, cache, step)
        y = w.attn_norm(self.attention(x, w, cache, step))
        x = see("ffn_inp", x + y)  # [T, E]
        # as llama.cpp does; the paper's own code gives the sum to the feed-forward block
        return x + w.ffn_norm(w.ffn(y))  # [T, E]

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        return super().rotate(w.attn_q_norm(q), w.attn_k_norm(k), w, step)

    def head(self, x: Tensor) -> Tensor:
        logits = super().head(x)  # [O, V]
        if self.n_vocab < IMAGE_TOKENS.stop:
            return logits  # a vocabulary without images
        start, count = IMAGE_TOKENS.start, len(IMAGE_TOKENS)
        return ops.fill_columns(logits, start=start, count=count, value=NEVER)
