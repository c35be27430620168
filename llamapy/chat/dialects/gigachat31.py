"""GigaChat 3.1."""

from ..json_calls import JSONCalls


class GigaChat31(JSONCalls):
    """<|function_call|>{"name": ..., "arguments": {...}}"""

    signs = ("<|role_sep|>", "<|message_sep|>", "<|function_call|>")
    marks = {"<|function_call|>": ""}
    layout = ("assistant<|role_sep|>\n",)
