"""Jina Embeddings v2: BERT with ALiBi to both sides, and GeGLU."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..cache import Step
from ..nn import Block, GeGLU, LayerNorm, Linear, alibi_slopes, block, group, w
from ..ops import see
from ..tensor import Tensor
from . import bert
from ._encoder import Classifier


@block
class JinaClassifier(Classifier):
    """One score."""

    cls: Linear | None = w("1, E")


@block
class Ends(bert.BareEnds):
    """No vectors for positions."""

    classifier: JinaClassifier = group()


@block
class OneMatrixMLP(Block):
    """GeGLU from one matrix, activated half first; or, if it is not twice as wide, ungated."""

    ffn_up: Linear = w("U, E")
    ffn_down: Linear = w("E, F")

    def __call__(self, x: Tensor) -> Tensor:
        y, n = self.ffn_up(x), self.config.n_ff  # [T, U]
        if y.shape[1] == n:
            y = see("ffn_gelu", ops.gelu(y))
        else:
            halves = ops.columns(y, start=0, count=n), ops.columns(y, start=n, count=n)
            y = see("ffn_geglu", ops.gelu_gate(*halves))  # [T, F]
        return see("ffn_out", self.ffn_down(y))


@block
class Layer(bert.Layer):
    """In models for code, queries and keys are normed, and so is a second sum."""

    attn_q_norm: LayerNorm | None = w("H*D")
    attn_k_norm: LayerNorm | None = w("K*D")
    attn_norm_2: LayerNorm | None = w("E")
    ffn: GeGLU | OneMatrixMLP = group()


class JinaBertV2(bert.Bert):
    """The further apart, the smaller the score."""

    Layer, Ends = Layer, Ends

    def setup(self) -> None:
        super().setup()
        self.slopes = Tensor.of(alibi_slopes(self.config.n_head), self.backend)

    def embed(self, step: Step) -> Tensor:
        return self.ends.token_embd_norm(self.typed(step))  # [T, E]

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = w.attn_output_norm(self.attention(x, w, cache, step) + x)  # [T, E]
        if w.attn_norm_2 is not None:
            y = w.attn_norm_2(y + x)
        y = see("ffn_inp", y)
        return w.layer_output_norm(w.ffn(y) + y)  # [T, E]

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        """Normed over all heads together."""
        t = q.shape[0]
        if w.attn_q_norm is not None:
            q = w.attn_q_norm(q.view(t, -1)).view(*q.shape)
        if w.attn_k_norm is not None:
            k = w.attn_k_norm(k.view(t, -1)).view(*k.shape)
        return q, k

    def attend(self, q: Tensor, k: Tensor, v: Tensor, cache: Any, step: Step) -> Tensor:
        return cache.attend(q, k, v, step, scale=self.config.head_dim**-0.5, slopes=self.slopes)
