"""Mamba 2: Mamba with heads, and a norm of what they give."""

from __future__ import annotations

from dataclasses import dataclass

from ..nn import Mamba2, block, group
from . import mamba
from ._mamba import Mamba2Config


@dataclass(frozen=True)
class Config(Mamba2Config, mamba.Plain):
    """As Mamba."""


@block
class Layer(mamba.Layer):
    """Another state space."""

    mamba: Mamba2 = group()


class Mamba2Model(mamba.MambaModel):
    """As Mamba."""

    Config, Layer = Config, Layer
