"""GPT-OSS: messages in channels (harmony)."""

import re
from typing import ClassVar

from ...grammar.expressions import Expression, seq
from ..answer import Flow, ToolCall
from ..dialect import Dialect, Marks
from ..forcing import Function
from ..json_calls import checked_arguments, checked_name
from ..reading import Malformed, Reading

START, MESSAGE, CHANNEL = "<|start|>", "<|message|>", "<|channel|>"
RECIPIENT = re.compile(r"\bto=([^\s<]+)")
FUNCTION = "functions."


class GPTOSS(Dialect):
    """A header says who is spoken to, and in which channel: analysis, commentary or final."""

    signs: ClassVar[Marks] = (START, MESSAGE, CHANNEL)
    ends: ClassVar[Marks] = ("<|end|>", "<|return|>", "<|call|>")
    # how a header may go on behind what the prompt has of it
    headers: ClassVar[Marks] = (START, CHANNEL, " to=", MESSAGE)
    unspoken: ClassVar[Marks] = ends

    @classmethod
    def written(cls, function: Function) -> Expression:
        header = f"{CHANNEL}commentary to={FUNCTION}{function.name} <|constrain|>json{MESSAGE}"
        return seq(header, function.arguments)

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        """What ends the message ends the answer."""
        return call

    def read(self, prompt: str) -> Reading[None]:
        """Messages to the end."""
        header, begun, body = prompt.rpartition(START)[2].partition(MESSAGE)
        if begun and not any(end in body for end in self.ends):
            yield from self.body(header)
        while not (yield from self.reader.is_end()):
            yield from self.message(header if not begun else "")
            header = ""
        self.content.end()

    def message(self, known: str) -> Reading[None]:
        """A message; the prompt may have had part of its header."""
        reader = self.reader
        start = reader.at
        try:
            if not (yield from reader.skip(*self.headers)):
                raise Malformed
            reader.at = start
            header, _ = yield from reader.until(MESSAGE)
        except Malformed:
            reader.at = start
            yield from self.pass_on(self.content, self.ends)
            return
        yield from self.body(known + header, start)

    def body(self, header: str, start: int = 0) -> Reading[None]:
        """What stands behind a header."""
        recipient = RECIPIENT.search(header.rpartition(START)[2])
        if recipient and self.is_tool(recipient[1]) and self.may_call:
            yield from self.addressed(recipient[1], start)
        elif self.is_reasoning(header):
            yield from self.told(self.reasoning)
        else:
            yield from self.told(self.content)

    def told(self, flow: Flow) -> Reading[None]:
        flow.aside()
        yield from self.pass_on(flow, self.ends)
        self.content.aside()
        self.reasoning.aside()

    def addressed(self, recipient: str, start: int) -> Reading[None]:
        """A call, whose arguments end with the message."""
        draft = self.drafts.begin(recipient.removeprefix(FUNCTION))
        text = yield from self.reader.rest(*self.ends, watcher=draft)
        try:
            self.add(self.calls_in(recipient, text))
        except Malformed:  # none that anybody could answer
            self.drafts.drop()
            self.content.write(self.reader.text[start : self.reader.at])
        self.content.aside()

    def calls_in(self, recipient: str, text: str) -> list[ToolCall]:
        name = checked_name(recipient.removeprefix(FUNCTION))
        return [ToolCall(name, checked_arguments(text))]

    def is_tool(self, recipient: str) -> bool:
        return recipient != "assistant"

    def is_reasoning(self, header: str) -> bool:
        """The last channel counts: models put others before it by mistake."""
        return header.rpartition(CHANNEL)[2].startswith("analysis")
