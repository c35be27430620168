"""Apriel 1.5 and 1.6: the answer itself is marked."""

from ..json_calls import JSONCalls


class Apriel(JSONCalls):
    """Reasoning, [BEGIN FINAL RESPONSE], text, <tool_calls>[{...}]</tool_calls>"""

    marks = {"<tool_calls>": "</tool_calls>"}
    signs = ("<tool_calls>", "[BEGIN FINAL RESPONSE]")
    thinking = ("Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]")
    interrupts = ("<tool_calls>",)
    layout = ("[END FINAL RESPONSE]", "<|end|>")
