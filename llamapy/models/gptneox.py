"""GPT-NeoX and Pythia: two norms, and halves that follow each other or stand side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..cache import Step
from ..ops import see
from ..tensor import Tensor
from . import orion, starcoder2
from ._config import key


@dataclass(frozen=True)
class Config(orion.Config):
    """The file says how the halves stand."""

    is_parallel: bool = key("use_parallel_residual")


class GPTNeoX(starcoder2.StarCoder2):
    """As StarCoder2, but side by side, both halves see the same hidden state."""

    Config = Config

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        if not self.config.is_parallel:
            return super().layer(x, w, cache, step)
        y = self.attention(w.attn_norm(x), w, cache, step)  # [T, E]
        return see("ffn_out", x + w.ffn(w.ffn_norm(x))) + y  # [T, E]
