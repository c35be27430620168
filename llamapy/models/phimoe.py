"""Phi 3.5 MoE: Phi 3 with experts, and norms that have a bias."""

from __future__ import annotations

from dataclasses import dataclass

from .. import ops
from ..nn import RMSNorm, SwiGLUExperts, block, group, w
from ..tensor import Tensor
from . import llama
from ._config import layer_key
from ._decoder import RopeEnds


@dataclass(frozen=True)
class Config(llama.Config):
    """An expert is as large as a dense block would be."""

    n_ff_expert: int = layer_key("feed_forward_length")


@block
class BiasedRMSNorm(RMSNorm):
    """Divided by the root of the mean square, weighted and moved."""

    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        y = ops.rms_norm(x, self.weight, eps=self.config.norm_eps)
        return ops.see(self.name, ops.add_bias(y, self.bias))


@block
class Layer(llama.Layer):
    """Experts in every layer."""

    attn_norm: BiasedRMSNorm = w("E")
    ffn_norm: BiasedRMSNorm = w("E")
    ffn: SwiGLUExperts = group()


@block
class Ends(RopeEnds):
    """The last norm has a bias, too."""

    output_norm: BiasedRMSNorm = w("E")


class PhiMoE(llama.Llama):
    """Rope over halves, with other factors for long contexts."""

    Config, Layer, Ends, rotation = Config, Layer, Ends, ops.rope_halves
