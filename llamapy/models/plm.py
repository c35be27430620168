"""PLM: latent attention, and feed-forward blocks with a squared ReLU."""

from __future__ import annotations

from ..nn import ReluSquaredMLP, block, group
from ._latent import LatentConfig, LatentLayer, LatentLlama


@block
class Layer(LatentLayer):
    """Dense."""

    ffn: ReluSquaredMLP = group()


class PLM(LatentLlama):
    """The embedding is the output, too."""

    Config, Layer = LatentConfig, Layer
