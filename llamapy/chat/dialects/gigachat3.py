"""GigaChat 3: a call is a message of its own."""

from ..json_calls import JSONCalls


class GigaChat3(JSONCalls):
    """A separator, function call, and {"name": ..., "arguments": {...}}"""

    signs = ("<|role_sep|>", "<|message_sep|>")
    marks = {"<|message_sep|>\n\nfunction call<|role_sep|>\n": ""}
    layout = ("assistant<|role_sep|>\n",)
