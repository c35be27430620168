"""T5's encoder: positions are told by learned scores of distances, which all layers share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import Block, Embedding, GeGLU, GeluMLP, Linear, RMSNorm, SplitQKV, block, group, w
from ..ops import scope, see
from ..tensor import Tensor
from ._config import key
from ._encoder import Encoder, EncoderConfig


@dataclass(frozen=True)
class Config(EncoderConfig):
    """How many groups distances fall into."""

    n_bucket: int = key("attention.relative_buckets_count")

    @property
    def sizes(self) -> dict[str, int]:
        return {**super().sizes, "B": self.n_bucket}


@block
class ReluMLP(GeluMLP):
    """down(relu(up(x)))"""

    def __call__(self, x: Tensor) -> Tensor:
        y = see("ffn_relu", ops.relu(self.ffn_up(x)))  # [T, F]
        return see("ffn_out", self.ffn_down(y))


@block
class Ends(Block):
    """The last norm is named as an encoder's."""

    token_embd: Embedding = w("V, E")
    output_norm: RMSNorm = w("E", name="enc.output_norm")


@block
class Layer(Block):
    """T5 has a ReLU, and Flan-T5 a gated GELU."""

    attn_norm: RMSNorm = w("E")
    attn: SplitQKV = group()
    attn_o: Linear = w("E, H*D")
    attn_rel_b: Tensor | None = w("B, H")
    ffn_norm: RMSNorm = w("E")
    ffn: GeGLU | ReluMLP = group()


@block
class FirstLayer(Layer):
    """Its scores of distances are for the layers behind it, too."""

    attn_rel_b: Tensor = w("B, H")


def decode_biases(layers: list[Any]) -> None:
    """Scores of distances are few, and operations take them as float32."""
    for layer in layers:
        if layer.attn_rel_b is not None:
            packed = layer.attn_rel_b
            layer.attn_rel_b = Tensor.of(packed.numpy(), packed.backend, name=packed.name)


def biases(layers: list[Any], make: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """The scores of distances of every layer: its own, or else the first layer's."""
    first = make(layers[0].attn_rel_b)
    own = (layer.attn_rel_b for layer in layers[1:])
    return [first, *(first if weights is None else make(weights) for weights in own)]


def attend_self(x: Tensor, w: Any, cache: Any, bias: Tensor, step: Step) -> Tensor:
    """Scores are not scaled by the size of heads."""
    q, k, v = w.attn(x)  # [T, H, D] [T, K, D] [T, K, D]
    q, k, v = see("Qcur", q), see("Kcur", k), see("Vcur", v)
    y = cache.attend(q, k, v, step, scale=1.0, bias=bias)  # [T, H, D]
    y = see("kqv_out", y.view(x.shape[0], y.shape[1] * y.shape[2]))  # [T, H*D]
    return see("attn_out", w.attn_o(y))  # [T, E]


class T5Encoder(Encoder):
    """Tokens see one another."""

    Config, Layer, Ends, prefix = Config, Layer, Ends, "enc.blk."

    @classmethod
    def layer_type(cls, config: Any, number: int) -> type[Block]:
        return Layer if number else FirstLayer

    def setup(self) -> None:
        super().setup()
        decode_biases(self.layers)

    def __call__(self, step: Any) -> Tensor:
        places = step.positions, step.sequences, step.positions, step.rows, step.lengths

        def around(weights: Tensor) -> Tensor:
            return ops.bias_around(weights, *places, page=1)  # [T, H, C]

        x = see("inp_embd", self.embed(step))  # [T, E]
        layers = zip(self.layers, step.states, biases(self.layers, around), strict=True)
        for index, (layer, cache, bias) in enumerate(layers):
            with scope(f"blk.{index}."):
                x, bias = self.at(x, index), self.at(bias, index)
                y = attend_self(layer.attn_norm(x), layer, cache, bias, step)  # [T, E]
                x = see("ffn_inp", x + y)
                x = see("l_out", x + layer.ffn(layer.ffn_norm(x)))  # [T, E]
        return self.head(ops.lookup(step.outputs, x))  # [O, E]


class T5EncoderHalf(T5Encoder):
    """One whose file has a decoder, too."""

    ignores = ("dec.*", "output.weight")
