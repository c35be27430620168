"""Command R+: a block of code with a list of calls."""

from ...grammar.expressions import Expression, seq
from ...grammar.json_rules import array_of, list_of
from ..answer import ToolCall
from ..forcing import LINE
from ..json_calls import JSONCalls
from ..reading import Reading


class CommandRPlus(JSONCalls):
    """Action:```json [{"tool_name": ..., "parameters": {...}}]```"""

    signs = ("Action:", "```json", "<|CHATBOT_TOKEN|>")
    marks = {"Action:": "```"}
    members = ("tool_name", "parameters")
    layout = ("<|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>")

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        return seq("Action:", LINE, "```json", LINE, array_of(list_of(call, 1)), LINE, "```")

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        yield from self.reader.space()
        yield from self.reader.expect("```json")
        return (yield from super().calls(mark))
