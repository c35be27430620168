"""Nomic Embed v2: Nomic's BERT, in which every second layer has experts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import ops
from ..nn import Block, ExpertLinear, block, group, w
from ..nn.moe import SoftmaxRouter
from ..ops import see
from ..tensor import Tensor
from . import bert, nomic_bert
from ._config import ExpertsConfig, constant, key


@dataclass(frozen=True)
class Config(nomic_bert.Config, ExpertsConfig):
    """Of so many layers, the second has experts. The weights of the chosen stay as they are."""

    expert_norm: bool = constant(False)
    expert_period: int = key("moe_every_n_layers", 0)


@block
class GeluExperts(Block):
    """Ungated."""

    router: SoftmaxRouter = group()
    ffn_up_exps: ExpertLinear = w("X, F, E")
    ffn_down_exps: ExpertLinear = w("X, E, F")

    def __call__(self, x: Tensor) -> Tensor:
        ids, weights = self.router(x)  # [T, C] both
        y = see("ffn_moe_up", self.ffn_up_exps(x.view(x.shape[0], 1, x.shape[1]), ids))
        y = see("ffn_moe_gelu", ops.gelu(y))  # [T, C, F]
        y = see("ffn_moe_down", self.ffn_down_exps(y, ids))  # [T, C, E]
        return see("ffn_moe_out", ops.expert_sum(y, weights))  # [T, E]


@block
class ExpertLayer(bert.Layer):
    """With experts."""

    ffn: GeluExperts = group()


class NomicBertMoE(nomic_bert.NomicBert):
    """As Nomic's."""

    Config, Layer = Config, bert.Layer

    @classmethod
    def layer_type(cls, config: Any, number: int) -> type[Block]:
        period = config.expert_period
        return ExpertLayer if period and number % period == 1 else bert.Layer
