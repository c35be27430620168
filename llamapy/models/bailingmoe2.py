"""Ling 2: dots.llm1 with experts in groups."""

from __future__ import annotations

from . import dots1


class BailingMoE2(dots1.Dots1):
    """Groups, sizes and the layers that guess further tokens are the file's."""
