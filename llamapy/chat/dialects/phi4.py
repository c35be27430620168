"""Phi-4-mini."""

from ..json_calls import JSONCalls


class Phi4(JSONCalls):
    """<|tool_call|>[{"name": ..., "arguments": {...}}]<|/tool_call|>"""

    signs = ("<|tool_call|>", "<|/tool_call|>")
    marks = {"<|tool_call|>": "<|/tool_call|>"}
