"""GLM-4: ChatGLM with norms on both sides of each block; models that see turn by sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..nn import FusedSwiGLU, RMSNorm, Rope, block, group, w
from ..nn.rope import section_components
from ..ops import see
from ..tensor import Tensor
from . import llama
from ._config import list_key
from ._sections import FOURTH


@dataclass(frozen=True)
class Config(llama.Config):
    """Sections: how many pairs turn by time, by height, by width, and by a fourth position."""

    rope_sections: tuple[int, ...] = list_key("rope.dimension_sections", ())


@block
class Layer(llama.Layer):
    """What a block gives is normed before it is added."""

    post_attention_norm: RMSNorm = w("E")
    ffn: FusedSwiGLU = group()
    post_ffw_norm: RMSNorm = w("E")


class GLM4(llama.Llama):
    """As Llama, but for the norms."""

    Config, Layer = Config, Layer

    def setup(self) -> None:
        sections = self.config.rope_sections
        if not sections or 0 in sections[:2]:
            self.rope = self.make_rope(self.config.rope_base)
            return
        # text stands at the same time, height and width, and its fourth position is 0
        turned = self.make_rope(self.config.rope_base)
        frequencies = turned.frequencies.numpy()
        by_fourth = section_components(sections, len(frequencies)) == FOURTH
        frequencies = frequencies * ~by_fourth
        self.rope = Rope(ops.rope_halves, frequencies, self.backend, magnitude=turned.magnitude)

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        y = self.attention(w.attn_norm(x), w, cache, step)
        x = see("ffn_inp", x + see("post_attn_norm", w.post_attention_norm(y)))  # [T, E]
        return x + see("post_mlp_norm", w.post_ffw_norm(w.ffn(w.ffn_norm(x))))  # [T, E]
