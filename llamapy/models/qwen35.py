"""Qwen 3.5: Qwen3-Next with dense blocks, rates of two matrices, and sections of rope."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn import SwiGLU, block, group
from ..nn.delta import DeltaNet, SplitRates
from . import _sections, qwen3next


@dataclass(frozen=True)
class Config(qwen3next.Config, _sections.Config):
    """Sections of rope take turns."""


@block
class Layer(qwen3next.Layer):
    """Dense."""

    ffn: SwiGLU = group()


@block
class Delta(DeltaNet):
    """Rates stand in the order of the heads of values."""

    rates: SplitRates = group()


@block
class RecurrentLayer(qwen3next.RecurrentLayer):
    """Dense."""

    recurrence: Delta = group()
    ffn: SwiGLU = group()


class Qwen35(qwen3next.Qwen3Next, _sections.InterleavedLlama):
    """As Qwen3-Next."""

    Config, Layer, RecurrentLayer = Config, Layer, RecurrentLayer
