"""MiniMax M1, and others that write calls line by line."""

from ...grammar.expressions import Expression, seq
from ..forcing import LINE, several
from ..json_calls import JSONCalls


class MiniMaxM1(JSONCalls):
    """<tool_calls>, {"name": ..., "arguments": {...}} on a line each, </tool_calls>"""

    signs = ("<tool_calls>", "</tool_calls>")
    marks = {"<tool_calls>": "</tool_calls>"}

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        return seq("<tool_calls>", LINE, several(call), LINE, "</tool_calls>")
