"""Ministral 3, Magistral and Devstral: each call has its mark, reasoning its own."""

from ...grammar.expressions import Expression, seq
from ..forcing import Function
from .mistral_small import MistralSmall


class Ministral(MistralSmall):
    """[THINK]reasoning[/THINK]text[TOOL_CALLS]name[ARGS]{...}"""

    signs = ("[TOOL_CALLS]", "[ARGS]")

    @classmethod
    def written(cls, function: Function) -> Expression:
        return seq("[TOOL_CALLS]", function.name, "[ARGS]", function.arguments)
