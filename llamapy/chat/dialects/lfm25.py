"""LFM 2.5."""

from .lfm2 import LFM2


class LFM25(LFM2):
    """As LFM 2, with another list of tools."""

    signs = ("List of tools: [",)
