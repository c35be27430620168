"""Hunyuan-VL's text: Hunyuan with sections of rope, where the file has them."""

from __future__ import annotations

from dataclasses import dataclass

from . import _sections, hunyuan_dense
from ._config import list_key


@dataclass(frozen=True)
class Config(hunyuan_dense.Config, _sections.Config):
    """Without sections, all pairs turn by the first of a token's positions."""

    rope_sections: tuple[int, ...] = list_key(
        "rope.dimension_sections", lambda c: (c.rope_dim // 2, 0, 0, 0)
    )


class HunyuanVL(hunyuan_dense.Hunyuan, _sections.SectionedLlama):
    """As Hunyuan."""

    Config, Layer = Config, hunyuan_dense.Layer
