"""GLM 4.5: after some dense layers, experts that a file's kind of router chooses with a bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import RMSNorm, StatedSwiGLUExperts, SwiGLU, block, group, w
from ..tensor import Tensor
from . import glm4, llama
from ._config import StatedExpertsConfig, layer_key, list_key, one_of_used


@dataclass(frozen=True)
class Config(StatedExpertsConfig, llama.Config):
    """Models that see turn by sections, as GLM-4 does."""

    rope_sections: tuple[int, ...] = list_key("rope.dimension_sections", ())
    n_ff_expert: int = layer_key("expert_feed_forward_length", one_of_used)


@block
class Layer(llama.Layer):
    """The larger of the models have norms of query and key heads."""

    attn_q_norm: RMSNorm | None = w("D")
    attn_k_norm: RMSNorm | None = w("D")
    ffn_norm: RMSNorm = w("E", name="post_attention_norm")
    ffn: StatedSwiGLUExperts | SwiGLU = group()


class GLM4MoE(llama.Llama):
    """Rope over halves, often of a part of each head."""

    Config, Layer, rotation = Config, Layer, ops.rope_halves
    setup = glm4.GLM4.setup

    def rotate(self, q: Tensor, k: Tensor, w: Any, step: Step) -> tuple[Tensor, Tensor]:
        q = q if w.attn_q_norm is None else w.attn_q_norm(q)
        k = k if w.attn_k_norm is None else w.attn_k_norm(k)
        return super().rotate(q, k, w, step)
