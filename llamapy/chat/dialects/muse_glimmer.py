"""Muse Glimmer: messages to oneself, to the user, and to tools."""

from ...grammar.expressions import Expression, seq
from ..answer import ToolCall
from ..forcing import Function
from ..reading import Malformed
from ..tagged_calls import TaggedCalls
from .gpt_oss import GPTOSS, MESSAGE, RECIPIENT, START


class MuseGlimmer(GPTOSS):
    """Messages to=self are reasoning, to=user text, and others have calls in tags."""

    signs = ("<atem:function_calls>", "<|eom|>")
    ends = ("<|eom|>", "<|eot|>")
    headers = (START, " to=", MESSAGE)
    unspoken = ("</atem:parameter>", *ends)

    @classmethod
    def written(cls, function: Function) -> Expression:
        return seq(f" to={function.name}{MESSAGE}", Tags.marked(Tags.written(function)))

    def is_tool(self, recipient: str) -> bool:
        return recipient not in ("self", "user")

    def is_reasoning(self, header: str) -> bool:
        found = RECIPIENT.search(header.rpartition(START)[2])
        return found is not None and found[1] == "self"

    def calls_in(self, recipient: str, text: str) -> list[ToolCall]:
        tags = Tags()
        tags.schemas = self.schemas
        tags.reader.text, tags.reader.ended = text, True
        next(tags.read(""), None)
        found = tags.take()
        if found.content or not found.tool_calls:
            raise Malformed
        return list(found.tool_calls)


class Tags(TaggedCalls):
    """What stands in a message to a tool."""

    outer = ("<atem:function_calls>", "</atem:function_calls>")
    function = ('<atem:invoke name="', '">', "</atem:invoke>")
    argument = ('<atem:parameter name="', '">', "</atem:parameter>")
    unspoken = MuseGlimmer.unspoken
