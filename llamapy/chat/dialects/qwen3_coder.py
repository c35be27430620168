"""Qwen3-Coder, Qwen 3.5, Nemotron 3 Nano and StepFun."""

from typing import ClassVar

from ..answer import ToolCall
from ..dialect import Marks
from ..reading import Reading
from ..tagged_calls import TaggedCalls


class Qwen3Coder(TaggedCalls):
    """<tool_call><function=name><parameter=key>value</parameter></function></tool_call>"""

    signs: ClassVar[Marks] = ("<tool_call>", "<function=", "<parameter=")
    outer = ("<tool_call>", "</tool_call>")
    function = ("<function=", ">", "</function>")
    argument = ("<parameter=", ">", "</parameter>")
    calling: ClassVar[Marks] = ("<tool_call>", "<function=")  # the outer tag is sometimes forgotten
    interrupts: ClassVar[Marks] = ("<tool_call>",)

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        found = yield from super().calls(mark)
        if mark != self.outer[0]:
            yield from self.reader.space()
            yield from self.reader.skip(self.outer[1])
        return found
