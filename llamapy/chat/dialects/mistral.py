"""Mistral up to Nemo: a list of calls."""

from ..json_calls import JSONCalls


class Mistral(JSONCalls):
    """[TOOL_CALLS][{"name": ..., "arguments": {...}, "id": ...}]"""

    signs = ("[TOOL_CALLS]",)
    marks = {"[TOOL_CALLS]": ""}
    thinking = ("[THINK]", "[/THINK]")
    layout = ("</s>",)
