"""Llama 3.1 to 3.3: bare JSON, or code behind a mark."""

import re
from typing import ClassVar

from ...grammar.expressions import Expression
from ...grammar.json_rules import object_of, sequence_of
from ..answer import ToolCall
from ..dialect import Dialect, Marks
from ..drafts import CallReader
from ..forcing import Function
from ..json_calls import call_of, calls_of
from ..reading import Malformed, Reading
from .lfm2 import python_calls

TAG = "<|python_tag|>"
# how a call must begin, so that other JSON is passed on at once
BEGINNING = re.compile(r'\{\s*"(?:name|type|function|parameters|arguments)"\s*:')
LONGEST = 64


class Llama3(Dialect):
    """{"name": ..., "parameters": {...}}; or <|python_tag|> and a call or code."""

    signs: ClassVar[Marks] = ("<|start_header_id|>", "ipython", '"parameters"')
    calling: ClassVar[Marks] = (TAG,)
    layout: ClassVar[Marks] = ("<|eom_id|>", "<|eot_id|>")

    @classmethod
    def written(cls, function: Function) -> Expression:
        return object_of(sequence_of(function.as_json("name", "parameters")))

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        """The call is all of the answer."""
        return call

    def talk(self) -> Reading[None]:
        if self.may_call:
            yield from self.bare_calls()
        yield from super().talk()

    def bare_calls(self) -> Reading[None]:
        """Calls that are all of the answer, maybe with semicolons between them."""
        reader = self.reader
        while True:
            start = reader.at
            try:
                yield from reader.space()
                yield from reader.skip(";")
                yield from reader.space()
                if not BEGINNING.match((yield from reader.peek(LONGEST))):
                    raise Malformed
                value = yield from reader.json(CallReader(self.drafts))
                if not {"parameters", "arguments"} & value.keys():
                    raise Malformed
                call = call_of(value)
                if self.schemas and call.name not in self.schemas:
                    raise Malformed
            except Malformed:
                reader.at = start
                self.drafts.drop()
                return
            self.add([call])
            self.content.aside()

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        reader = self.reader
        if (yield from reader.peek(1)) == "{":
            start = reader.at
            try:
                return calls_of((yield from reader.json(CallReader(self.drafts))))
            except Malformed:
                reader.at = start
                self.drafts.drop()
        code = (yield from reader.rest(*self.layout)).strip()
        try:
            return python_calls(f"[{code.replace('.call(', '(', 1)}]")
        except Malformed:
            if not code:
                raise
            return [ToolCall("python", {"code": code})]
