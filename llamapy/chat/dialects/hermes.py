"""Hermes, Qwen 2.5 and 3, QwQ, Granite 4, Reka, SmolLM3, Bielik, MiMo."""

from ..json_calls import JSONCalls


class Hermes(JSONCalls):
    """<tool_call>{"name": ..., "arguments": {...}}</tool_call>"""

    signs = ("<tool_call>",)
    marks = {"<tool_call>": "</tool_call>"}
