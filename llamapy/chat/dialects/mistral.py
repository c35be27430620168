"""Mistral up to Nemo: a list of calls."""

from ..json_calls import JSONCalls


class Mistral(JSONCalls):
    """[TOOL_CALLS][{"name": ..., "arguments": {...}, "id": ...}]"""

    signs = ("[TOOL_CALLS]",)
    marks = {"[TOOL_CALLS]": ""}
    members = ("name", "arguments", "id")
    id_length = (9, 9)  # templates ask for it
    thinking = ("[THINK]", "[/THINK]")
    layout = ("</s>",)
