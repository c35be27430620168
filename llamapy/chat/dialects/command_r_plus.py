"""Command R+: a block of code with a list of calls."""

from ..answer import ToolCall
from ..json_calls import JSONCalls
from ..reading import Reading


class CommandRPlus(JSONCalls):
    """Action:```json [{"tool_name": ..., "parameters": {...}}]```"""

    signs = ("Action:", "```json", "<|CHATBOT_TOKEN|>")
    marks = {"Action:": "```"}
    layout = ("<|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>")

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        yield from self.reader.space()
        yield from self.reader.expect("```json")
        return (yield from super().calls(mark))
