"""BERT: a learned vector for each position, and a norm after each half of a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..errors import UnsupportedError
from ..nn import Block, Embedding, FusedQKV, GeluMLP, LayerNorm, Linear, SplitQKV, block, group, w
from ..ops import see
from ..tensor import Tensor
from ._config import key
from ._encoder import Classifier, Encoder, EncoderConfig


@dataclass(frozen=True)
class Config(EncoderConfig):
    """As many positions as the context has."""

    norm_eps: float = key("attention.layer_norm_epsilon")

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "N": self.n_ctx}


@block
class BareEnds(Block):
    """Embeddings of tokens and of types, normed."""

    token_embd: Embedding = w("V, E")
    token_types: Embedding | None = w("Y, E")
    token_embd_norm: LayerNorm = w("E")


@block
class Ends(BareEnds):
    """Positions are looked up like tokens."""

    position_embd: Embedding = w("N, E")
    classifier: Classifier = group()


@block
class Layer(Block):
    """The norms stand behind the sums."""

    attn: SplitQKV | FusedQKV = group()
    attn_output: Linear = w("E, H*D")
    attn_output_norm: LayerNorm = w("E")
    ffn: GeluMLP = group()
    layer_output_norm: LayerNorm = w("E")


class Bert(Encoder):
    """All tokens are of type 0, which says that there is one text."""

    Config, Layer, Ends = Config, Layer, Ends

    def setup(self) -> None:
        super().setup()
        types = self.ends.token_types
        self.type = None if types is None else Tensor.of(types.weight.numpy()[0], self.backend)
        if isinstance(self.ends, Ends) and self.n_ctx > self.config.n_ctx:
            raise UnsupportedError(
                f"n_ctx is {self.n_ctx}, and this model has learned {self.config.n_ctx} positions: "
                f"pass a smaller n_ctx"
            )

    def embed(self, step: Step) -> Tensor:
        x = self.ends.position_embd(step.positions) + self.typed(step)  # [T, E]
        return self.ends.token_embd_norm(x)

    def typed(self, step: Step) -> Tensor:
        """Embeddings of tokens, with their type."""
        x = super().embed(step)  # [T, E]
        return x if self.type is None else ops.add_bias(x, self.type)

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        x = w.attn_output_norm(self.attention(x, w, cache, step) + x)  # [T, E]
        x = see("ffn_inp", x)
        return w.layer_output_norm(w.ffn(x) + x)  # [T, E]

    def attention(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        q, k, v = w.attn(x)  # [T, H, D] [T, K, D] [T, K, D]
        q, k = self.rotate(q, k, w, step)
        q, k, v = see("Qcur", q), see("Kcur", k), see("Vcur", v)
        y = self.attend(q, k, v, cache, step)  # [T, H, D]
        y = see("kqv_out", y.view(x.shape[0], y.shape[1] * y.shape[2]))  # [T, H*D]
        return see("attn_out", w.attn_output(y))  # [T, E]

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        """Positions are in the embeddings already."""
        return q, k

    def attend(self, q: Tensor, k: Tensor, v: Tensor, cache: Any, step: Step) -> Tensor:
        return cache.attend(q, k, v, step, scale=self.config.head_dim**-0.5)

    def head(self, x: Tensor) -> Tensor:
        """What the last layer gives is normed already."""
        return see("result_embd", x)  # [O, E]
