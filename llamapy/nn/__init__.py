"""Building blocks of models: dataclasses of weights with a `__call__`. The type is the kind."""

from .alibi import alibi_slopes
from .attention import FusedQKV, SplitQKV
from .ffn import FusedSwiGLU, GeGLU, GeluMLP, ReGLU, ReluSquaredMLP, SwiGLU
from .linear import Embedding, ExpertLinear, Linear
from .moe import (
    ChosenSoftmaxRouter,
    GeGLUExperts,
    Mixture,
    ReGLUExperts,
    Router,
    SharedSwiGLU,
    SigmoidRouter,
    SoftmaxRouter,
    StatedRouter,
    StatedSwiGLUExperts,
    SwiGLUExperts,
)
from .norm import GroupNorm, HeadLayerNorm, LayerNorm, RMSNorm, WideRMSNorm
from .rope import Rope
from .weights import Block, Leaf, Names, bind, block, declared, group, w

__all__ = [
    "Block",
    "ChosenSoftmaxRouter",
    "Embedding",
    "ExpertLinear",
    "FusedQKV",
    "FusedSwiGLU",
    "GeGLU",
    "GeGLUExperts",
    "GeluMLP",
    "GroupNorm",
    "HeadLayerNorm",
    "LayerNorm",
    "Leaf",
    "Linear",
    "Mixture",
    "Names",
    "RMSNorm",
    "ReGLU",
    "ReGLUExperts",
    "ReluSquaredMLP",
    "Rope",
    "Router",
    "SharedSwiGLU",
    "SigmoidRouter",
    "SoftmaxRouter",
    "SplitQKV",
    "StatedRouter",
    "StatedSwiGLUExperts",
    "SwiGLU",
    "SwiGLUExperts",
    "WideRMSNorm",
    "alibi_slopes",
    "bind",
    "block",
    "declared",
    "group",
    "w",
]
