"""RWKV 6 (arXiv:2404.05892): recurrent layers, and blocks that see the token before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Recurrent, Step
from ..nn import Block, LayerNorm, block, group, w
from ..nn.rwkv import RWKV6, ChannelMix6
from ..ops import see
from ..tensor import Tensor
from . import _rwkv
from ._config import key
from ._decoder import Decoder


@dataclass(frozen=True)
class Config(_rwkv.Config6):
    """Some models halve what goes on after every so many layers; 0 says that they do not."""

    n_layers_to_halve: int = key("rescale_every_n_layers", 0)


@block
class Layer(Block):
    """A norm before each block."""

    attn_norm: LayerNorm = w("E")
    time_mix: RWKV6 = group()
    attn_norm_2: LayerNorm = w("E")
    channel_mix: ChannelMix6 = group()


class RWKV6Model(Decoder):
    """Nothing attends, and nothing tells positions."""

    Config, Layer, Ends = Config, Layer, _rwkv.Ends
    example = _rwkv.EXAMPLE

    def state(self, index: int) -> Recurrent:
        return self.config.memory

    def embed(self, step: Step) -> Tensor:
        return self.ends.token_embd_norm(super().embed(step))

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        x = see("ffn_inp", x + w.time_mix(w.attn_norm(x), cache, step))  # [T, E]
        x = x + w.channel_mix(see("ffn_norm", w.attn_norm_2(x)), cache, step)  # [T, E]
        every = self.config.n_layers_to_halve
        return ops.scale(x, by=0.5) if every and (w.index + 1) % every == 0 else x
