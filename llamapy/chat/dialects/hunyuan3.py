"""Hunyuan 3: tags have a word in them that the template chooses."""

# ruff: noqa: RUF001 -- the marks have characters that look like others

from ...grammar.expressions import Expression, seq
from ..answer import ToolCall
from ..forcing import LINE, several
from ..reading import Malformed, Reading
from .glm4 import GLM4

WORD = ":opensource"


def tag(name: str) -> str:
    return f"<{name}{WORD}>"


class Hunyuan3(GLM4):
    """Calls as GLM 4 writes them, a mark behind the name, all in an outer tag"""

    signs = ("<tool_calls{}>", "<tool_sep{}>", "<arg_key{}>")
    thinking = (tag("think"), tag("/think"))
    calling = (tag("tool_calls"),)
    interrupts = calling
    layout = (f"<｜hy_eos{WORD}｜>",)
    call_begin = tag("tool_call")
    call_end = tag("/tool_call")
    key = (tag("arg_key"), tag("/arg_key"))
    value = (tag("arg_value"), tag("/arg_value"))
    name_end = tag("tool_sep")
    unspoken = value[1:]

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        return seq(tag("tool_calls"), LINE, several(call), LINE, tag("/tool_calls"))

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        reader, found = self.reader, []
        while True:
            yield from reader.space()
            if (yield from reader.skip(tag("tool_call"))):
                found.append((yield from self.one_call()))
            elif (yield from reader.skip(tag("/tool_calls"))) or (yield from reader.is_end()):
                return found
            else:
                raise Malformed
