"""Llama Embed: Llama as an encoder."""

from __future__ import annotations

from dataclasses import dataclass

from . import llama
from ._config import expect
from ._decoder import RopeEnds
from ._encoder import Encoder


@dataclass(frozen=True)
class Config(llama.Config):
    """No causal mask."""

    causal: bool = expect("attention.causal", False)


class LlamaEmbed(Encoder, llama.Llama):
    """As Llama, without its output."""

    Config, Layer, Ends = Config, llama.Layer, RopeEnds
