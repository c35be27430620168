"""Maincoder: Hunyuan with rope over neighbours."""

from __future__ import annotations

from .. import ops
from . import hunyuan_dense, llama


class Maincoder(hunyuan_dense.Hunyuan):
    """As Hunyuan."""

    Config, rotation = llama.Config, ops.rope_pairs

    def setup(self) -> None:
        self.rope = self.make_rope(self.config.rope_base)
