"""MiniMax M3: arguments are nested tags, each with a token before it."""

from collections.abc import Mapping
from typing import Any

from ...grammar.expressions import Expression, seq
from ..dialect import kinds_of, typed
from ..forcing import Function, Member
from ..json_calls import checked_name
from ..reading import Malformed, Reading
from ..tagged_calls import TaggedCalls

N = "]<]minimax[>["


class MiniMaxM3(TaggedCalls):
    """A tag is named as the argument is; lists have <item> tags."""

    signs = (N, "<tool_call>", "<invoke name=")
    thinking = ("<mm:think>", "</mm:think>")
    outer = (f"{N}<tool_call>", f"{N}</tool_call>")
    function = (f'{N}<invoke name="', '">', f"{N}</invoke>")
    argument = (f"{N}<", ">", "")
    layout = ("[e~[",)
    unspoken = (N,)

    @classmethod
    def written_argument(cls, function: Function, member: Member) -> Expression:
        """Lists and objects are JSON, which is read as well."""
        end = f"{N}</{member.name}>"
        return seq(cls.argument[0], member.name, ">", function.text(member.subs, N), end)

    def one_argument(self, function: str) -> Reading[tuple[str, Any]]:
        properties = self.schemas.get(function, {}).get("properties", {})
        return (yield from self.element(properties))

    def element(self, schemas: Mapping[str, Any], depth: int = 0) -> Reading[tuple[str, Any]]:
        """An argument from its name on; there may be others in it."""
        reader = self.reader
        if depth > 64:
            raise Malformed
        name = (yield from reader.until(">"))[0]
        schema, end = schemas.get(name, {}), f"{N}</{checked_name(name)}>"
        if "string" in kinds_of(schema):
            return name, typed(schema, (yield from reader.until(end))[0])
        text, mark = yield from reader.until(N)
        reader.at -= len(mark)
        if (yield from reader.skip(end)):
            return name, typed_as(schema, text)
        if text.strip():
            raise Malformed
        return name, (yield from self.children(schema, end, depth))

    def children(self, schema: Mapping[str, Any], end: str, depth: int) -> Reading[Any]:
        """An object or a list."""
        reader, found = self.reader, []
        inner = schema.get("properties") or {"item": schema.get("items") or {}}
        while not (yield from reader.skip(end)):
            yield from reader.expect(self.argument[0])
            found.append((yield from self.element(inner, depth + 1)))
            yield from reader.space()
        is_list = "array" in kinds_of(schema) if schema else all(n == "item" for n, _ in found)
        return [value for _, value in found] if is_list else dict(found)


def typed_as(schema: Mapping[str, Any], text: str) -> Any:
    """A value that was written as bare text; lists and objects without items have none."""
    if not text.strip() and "array" in kinds_of(schema):
        return []
    if not text.strip() and "object" in kinds_of(schema):
        return {}
    return typed(schema, text)
