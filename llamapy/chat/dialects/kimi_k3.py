"""Kimi K3: tags that are made of marks."""

from typing import Any

from ...grammar.expressions import Alt, Expression, seq
from ..forcing import DIGITS, Function, Member, several, where
from ..reading import Reading
from ..tagged_calls import TaggedCalls

SEP = "<|sep|>"
TYPES = {"integer": "number"}  # as this model calls them


class KimiK3(TaggedCalls):
    """Sections think, response and tools; a tag for each call and argument."""

    signs = ("<|open|>", "<|close|>", "<|end_of_msg|>")
    thinking = (f"<|open|>think{SEP}", f"<|close|>think{SEP}")
    interrupts = (f"<|open|>response{SEP}", f"<|open|>tools{SEP}", f"<|close|>message{SEP}")
    outer = (f"<|open|>tools{SEP}", f"<|close|>tools{SEP}")
    function = ('<|open|>call tool="', '"', f"<|close|>call{SEP}")
    argument = ('<|open|>argument key="', '"', f"<|close|>argument{SEP}")
    layout = (
        *(f"<|open|>response{SEP}", f"<|close|>response{SEP}", f"<|close|>message{SEP}"),
        *(f'<|open|>message role="assistant"{SEP}', "<|end_of_msg|>"),
    )

    @classmethod
    def written(cls, function: Function) -> Expression:
        begin, named, end = cls.function
        arguments = [
            where(member, cls.written_argument(function, member)) for member in function.members()
        ]
        return seq(begin, function.name, f'{named} index="', DIGITS, f'"{SEP}', *arguments, end)

    @classmethod
    def written_argument(cls, function: Function, member: Member) -> Expression:
        begin, named, end = cls.argument
        values = [
            seq(f'{named} type="{TYPES.get(kind, kind)}"{SEP}', function.bare(kind, facts, end))
            for kind, facts in function.values(member.subs)
        ]
        return seq(begin, member.name, Alt(tuple(values)), end)

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        return seq(cls.outer[0], several(call, ""), cls.outer[1])

    def function_name(self) -> Reading[str]:
        name = yield from super().function_name()
        yield from self.reader.until(SEP)  # its number does not matter
        return name

    def one_argument(self, function: str) -> Reading[tuple[str, Any]]:
        reader = self.reader
        key, _ = yield from reader.until(self.argument[1])
        about, _ = yield from reader.until(SEP)
        text, _ = yield from reader.until(self.argument[2])
        return key, text if 'type="string"' in about else self.typed(function, key, text)
