"""Seed-OSS."""

from .qwen3_coder import Qwen3Coder


class SeedOSS(Qwen3Coder):
    """As Qwen3-Coder, in tags of its own."""

    signs = ("seed:tool_call", "<function=", "<parameter=")
    thinking = ("<seed:think>", "</seed:think>")
    outer = ("<seed:tool_call>", "</seed:tool_call>")
    calling = outer[:1]
    interrupts = outer[:1]
