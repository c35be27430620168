"""MiniMax M1, and others that write calls line by line."""

from ..json_calls import JSONCalls


class MiniMaxM1(JSONCalls):
    """<tool_calls>, {"name": ..., "arguments": {...}} on a line each, </tool_calls>"""

    signs = ("<tool_calls>", "</tool_calls>")
    marks = {"<tool_calls>": "</tool_calls>"}
