"""Mistral 3: Llama with YaRN, and queries that grow beyond the original context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..cache import Step
from ..errors import FormatError
from ..tensor import Tensor
from . import llama
from ._config import key


@dataclass(frozen=True)
class Config(llama.Config):
    """Keys for what YaRN's paper says, and for how much queries grow."""

    yarn_log_multiplier: float = key("rope.scaling.yarn_log_multiplier", 0.0)
    yarn_beta_fast: float = key("rope.scaling.yarn_beta_fast", 32.0)
    yarn_beta_slow: float = key("rope.scaling.yarn_beta_slow", 1.0)
    temperature: float = key("attention.temperature_scale", 0.0)  # 0 says that there is none

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature and self.n_ctx_original < 1:
            raise FormatError(
                "queries are to grow with each original context that they are beyond, and its "
                "length is 0: the file is damaged, convert it again",
                field="rope.scaling.original_context_length",
            )


class Mistral3(llama.Llama):
    """As Llama."""

    Config = Config

    def attend(self, q: Tensor, k: Tensor, v: Tensor, w: Any, cache: Any, step: Step) -> Tensor:
        c = self.config
        if c.temperature:
            q = ops.grow_far(q, step.positions, strength=c.temperature, period=c.n_ctx_original)
        return super().attend(q, k, v, w, cache, step)
