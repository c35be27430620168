"""Apriel 1.5 and 1.6: the answer itself is marked."""

from .minimax_m1 import MiniMaxM1


class Apriel(MiniMaxM1):
    """Reasoning, [BEGIN FINAL RESPONSE], text, <tool_calls>[{...}]</tool_calls>"""

    signs = ("<tool_calls>", "[BEGIN FINAL RESPONSE]")
    thinking = ("Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]")
    interrupts = ("<tool_calls>",)
    layout = ("[END FINAL RESPONSE]", "<|end|>")
