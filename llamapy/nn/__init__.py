"""Building blocks of models: dataclasses of weights with a `__call__`. The type is the kind."""

from .alibi import alibi_slopes
from .attention import FusedQKV, SplitQKV
from .ffn import FusedSwiGLU, GeGLU, GeluMLP, ReGLU, ReluSquaredMLP, SwiGLU
from .linear import Embedding, ExpertLinear, Linear
from .mamba import CausalConv, GroupedRMSNorm, Mamba, Mamba2, NormedMamba, Unsuffixed
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
from .norm import GroupNorm, HeadLayerNorm, LayerNorm, RMSNorm, UnsuffixedRMSNorm, WideRMSNorm
from .rope import Rope
from .short_conv import ShortConv
from .weights import Block, Leaf, Names, bind, block, declared, group, w

__all__ = [
    "Block",
    "CausalConv",
    "ChosenSoftmaxRouter",
    "Embedding",
    "ExpertLinear",
    "FusedQKV",
    "FusedSwiGLU",
    "GeGLU",
    "GeGLUExperts",
    "GeluMLP",
    "GroupNorm",
    "GroupedRMSNorm",
    "HeadLayerNorm",
    "LayerNorm",
    "Leaf",
    "Linear",
    "Mamba",
    "Mamba2",
    "Mixture",
    "Names",
    "NormedMamba",
    "RMSNorm",
    "ReGLU",
    "ReGLUExperts",
    "ReluSquaredMLP",
    "Rope",
    "Router",
    "SharedSwiGLU",
    "ShortConv",
    "SigmoidRouter",
    "SoftmaxRouter",
    "SplitQKV",
    "StatedRouter",
    "StatedSwiGLUExperts",
    "SwiGLU",
    "SwiGLUExperts",
    "Unsuffixed",
    "UnsuffixedRMSNorm",
    "WideRMSNorm",
    "alibi_slopes",
    "bind",
    "block",
    "declared",
    "group",
    "w",
]
