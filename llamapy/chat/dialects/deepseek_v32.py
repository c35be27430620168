"""DeepSeek V3.2 and V4: tags with a token of their own in them."""

# ruff: noqa: RUF001 -- the marks have characters that look like others

from typing import Any

from ...grammar.expressions import Alt, Expression, seq
from ..forcing import Function, Member
from ..reading import Malformed, Reading, from_json
from ..tagged_calls import TaggedCalls

D = "｜DSML｜"


class DeepSeekV32(TaggedCalls):
    """An invoke tag for each call; parameters say whether they are strings."""

    signs = ("DSML", "invoke", "parameter")
    outer = (f"<{D}function_calls>", f"</{D}function_calls>")
    other = (f"<{D}tool_calls>", f"</{D}tool_calls>")  # V4
    calling = (outer[0], other[0])
    interrupts = calling
    function = (f'<{D}invoke name="', '">', f"</{D}invoke>")
    argument = (f'<{D}parameter name="', '"', f"</{D}parameter>")
    layout = ("<｜end▁of▁sentence｜>",)

    @classmethod
    def written_argument(cls, function: Function, member: Member) -> Expression:
        begin, named, end = cls.argument
        values = [
            seq(
                f'{named} string="{str(kind == "string").lower()}">',
                function.bare(kind, facts, end),
            )
            for kind, facts in function.values(member.subs)
        ]
        return seq(begin, member.name, Alt(tuple(values)), end)

    def end_of(self, mark: str) -> str:
        return dict([self.outer, self.other])[mark]

    def one_argument(self, function: str) -> Reading[tuple[str, Any]]:
        reader = self.reader
        key, _ = yield from reader.until(self.argument[1])
        about, _ = yield from reader.until(">")
        text, _ = yield from reader.until(self.argument[2])
        if 'string="true"' in about:
            return key, text
        if 'string="false"' in about:
            return key, from_json(text.strip())
        if about.strip():
            raise Malformed
        return key, self.typed(function, key, text)
