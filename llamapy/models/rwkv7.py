"""RWKV 7 (arXiv:2503.14456): the first layer's values come back in all others."""

from __future__ import annotations

from typing import Any, ClassVar

from ..cache import Recurrent, Step
from ..nn import Block, LayerNorm, block, group, w
from ..nn.rwkv7 import ChannelMix7, LaterTimeMix7, TimeMix7
from ..ops import scope, see
from ..tensor import Tensor
from . import _rwkv
from ._decoder import Decoder


@block
class FirstLayer(Block):
    """A norm before each block."""

    attn_norm: LayerNorm = w("E")
    time_mix: TimeMix7 = group()
    attn_norm_2: LayerNorm = w("E")
    channel_mix: ChannelMix7 = group()


@block
class Layer(FirstLayer):
    """With what mixes the first layer's values in."""

    time_mix: LaterTimeMix7 = group()


class RWKV7(Decoder):
    """Nothing attends, and nothing tells positions."""

    Config, Layer, Ends = _rwkv.Config7, Layer, _rwkv.Ends
    example = _rwkv.EXAMPLE
    FirstLayer: ClassVar[type[Block]] = FirstLayer
    # files may have what the first layer would mix its own values in with
    ignores = ("blk.0.time_mix_v[012].weight",)

    @classmethod
    def layer_type(cls, config: Any, number: int) -> type[Block]:
        return cls.Layer if number else cls.FirstLayer

    def state(self, index: int) -> Recurrent:
        return self.config.memory

    def embed(self, step: Step) -> Tensor:
        return self.ends.token_embd_norm(super().embed(step))

    def run_layers(self, x: Tensor, step: Step) -> Tensor:
        first = None  # the first layer's values, [T, E]
        for index, (layer, cache) in enumerate(zip(self.layers, step.states, strict=True)):
            with scope(f"blk.{index}."):
                x, first = self.at(x, index), first and self.at(first, index)
                y, first = layer.time_mix(layer.attn_norm(x), first, cache, step)  # [T, E]
                x = see("l_out", self.feed_forward(see("ffn_inp", x + y), layer, cache, step))
        return x

    def feed_forward(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        """The second half of a layer."""
        return x + w.channel_mix(see("ffn_norm", w.attn_norm_2(x)), cache, step)  # [T, E]
