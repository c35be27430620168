"""MiniMax M2."""

from ..tagged_calls import TaggedCalls


class MiniMaxM2(TaggedCalls):
    """<invoke name="..."><parameter name="...">value</parameter></invoke> in an outer tag"""

    signs = ("minimax:tool_call", "<invoke name=", "<parameter name=")
    outer = ("<minimax:tool_call>", "</minimax:tool_call>")
    function = ('<invoke name="', '">', "</invoke>")
    argument = ('<parameter name="', '">', "</parameter>")
    interrupts = outer[:1]
