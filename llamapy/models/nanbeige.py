"""Nanbeige: Llama whose layers are all computed again, several times over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..cache import KV, Step
from ..errors import FormatError
from ..nn import SwiGLU, block, group
from ..ops import see
from ..tensor import Tensor
from . import llama
from ._config import key


@dataclass(frozen=True)
class Config(llama.Config):
    """How often, and whether the last norm stands between two passes as well."""

    n_loops: int = key("num_loops", 1)
    skips_norm: bool = key("skip_loop_final_norm", False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_loops < 1:
            raise FormatError(
                f"layers cannot be computed {self.n_loops} times: the file is damaged, convert it "
                f"again",
                field="num_loops",
            )

    @property
    def blocks(self) -> Sequence[int]:
        return [*range(self.n_layer)] * self.n_loops


@block
class Layer(llama.Layer):
    """Dense."""

    ffn: SwiGLU = group()


class Nanbeige(llama.Llama):
    """As Llama. Each pass over a layer remembers keys and values of its own."""

    Config, Layer = Config, Layer

    def state(self, index: int) -> KV:
        return super().state(index % self.config.n_layer)

    def layer(self, x: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        begins_again = w.index > 0 and w.index % self.config.n_layer == 0
        if begins_again and not self.config.skips_norm:
            x = see("loop_norm", self.ends.output_norm(x))  # [T, E]
        return super().layer(x, w, cache, step)
