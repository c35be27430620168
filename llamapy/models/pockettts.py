"""Pocket TTS: the text side of a speech model, StarCoder2 with rope over neighbours.

What it gives to the net that makes sound is the last norm's result. It has no output of its own,
so logits are those of the embedding.
"""

from __future__ import annotations

from .. import ops
from . import starcoder2


class PocketTTS(starcoder2.StarCoder2):
    """As StarCoder2, but for the rope."""

    rotation = ops.rope_pairs
