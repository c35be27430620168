"""LFM 2: calls as Python writes them."""

import ast
import warnings
from typing import Any

from ..answer import ToolCall
from ..dialect import Dialect
from ..reading import Malformed, Reading

JSON_WORDS = {"true": True, "false": False, "null": None}


class LFM2(Dialect):
    """<|tool_call_start|>[name(key=value)]<|tool_call_end|>"""

    signs = ("<|tool_list_start|>",)
    calling = ("<|tool_call_start|>",)

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
        case ast.Constant(value=value) if isinstance(value, str | int | float | None):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
    raise Malformed
