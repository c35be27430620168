"""Building blocks of models: dataclasses of weights with a `__call__`. The type is the kind."""

from .attention import FusedQKV, SplitQKV
from .ffn import GeGLU, GeluMLP, ReGLU, ReluSquaredMLP, SwiGLU
from .linear import Embedding, ExpertLinear, Linear
from .moe import SwiGLUExperts
from .norm import GroupNorm, LayerNorm, RMSNorm
from .rope import Rope
from .weights import Block, Leaf, Names, bind, block, declared, group, w

__all__ = [
    "Block",
    "Embedding",
    "ExpertLinear",
    "FusedQKV",
    "GeGLU",
    "GeluMLP",
    "GroupNorm",
    "LayerNorm",
    "Leaf",
    "Linear",
    "Names",
    "RMSNorm",
    "ReGLU",
    "ReluSquaredMLP",
    "Rope",
    "SplitQKV",
    "SwiGLU",
    "SwiGLUExperts",
    "bind",
    "block",
    "declared",
    "group",
    "w",
]
