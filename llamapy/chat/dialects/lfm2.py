"""LFM 2: calls as Python writes them."""

import ast
import warnings
from keyword import iskeyword
from typing import Any

from ...errors import UnsupportedError
from ...grammar.expressions import Expression, seq
from ..answer import ToolCall
from ..dialect import Dialect
from ..forcing import Function, several, sieve
from ..reading import Malformed, Reading

JSON_WORDS = {"true": True, "false": False, "null": None}


class LFM2(Dialect):
    """<|tool_call_start|>[name(key=value)]<|tool_call_end|>"""

    signs = ("<|tool_list_start|>",)
    calling = ("<|tool_call_start|>",)
    unspoken = ("<|tool_call_end|>",)

    @classmethod
    def written(cls, function: Function) -> Expression:
        """Its values are JSON, which is read as well."""
        members = function.members()
        for name in (*function.name.split("."), *(member.name for member in members)):
            if not name.isidentifier() or iskeyword(name):
                raise UnsupportedError(
                    f"{function.name}: {name!r} is no name in Python, which this model writes its "
                    f"calls in: name it otherwise, or use tool_choice='auto'"
                )
        written = [
            (member.is_required, seq(f"{member.name}=", function.schema.value(member.subs)))
            for member in members
        ]
        return seq(function.name, "(", sieve(written, seq(", ")), ")")

    @classmethod
    def marked(cls, call: Expression) -> Expression:
        return seq("<|tool_call_start|>[", several(call, ", "), "]<|tool_call_end|>")

    def calls(self, mark: str) -> Reading[list[ToolCall]]:
        text = yield from self.reader.rest("<|tool_call_end|>")
        return python_calls(text)


def python_calls(text: str) -> list[ToolCall]:
    """The calls in a list of calls, whose arguments are plain values."""
    try:
        with warnings.catch_warnings():  # a backslash may escape nothing
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval").body
        calls = tree.elts if isinstance(tree, ast.List) else [tree]
        return [_call(each) for each in calls]
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise Malformed from None


def _call(node: ast.expr) -> ToolCall:
    if not isinstance(node, ast.Call) or node.args:
        raise Malformed
    arguments = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise Malformed
        arguments[keyword.arg] = _value(keyword.value)
    return ToolCall(ast.unparse(node.func), arguments)


def _value(node: ast.expr) -> Any:
    """Numbers, strings, lists and dictionaries, with Python's or JSON's words."""
    match node:
        case ast.Name(id=word) if word in JSON_WORDS:
            return JSON_WORDS[word]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            if not all(isinstance(key, ast.Constant) for key in keys):
                raise Malformed
            names = [str(key.value) for key in keys if isinstance(key, ast.Constant)]
            return dict(zip(names, map(_value, values), strict=True))
        case ast.Constant(value=str() as text):  # JSON writes large characters as pairs
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        case ast.Constant(value=value) if isinstance(value, int | float | None):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
    raise Malformed
