"""Calls that have to be written: every dialect reads what its grammar allows."""

from __future__ import annotations

import contextlib
import functools
import json
import random
import re
import string
from typing import Any

import pytest

from llamapy import grammar
from llamapy.chat import ToolCall, all_dialects, parse
from llamapy.chat.forcing import call_grammar
from llamapy.errors import GrammarError, UnsupportedError
from llamapy.grammar import Grammar
from llamapy.grammar.characters import contains
from llamapy.grammar.expressions import Alt, Chars, Machine, Ref, Repeat, Seq

from .conversations import CLOCK, WEATHER
from .test_dialects import EXAMPLES

RICH = {
    "type": "function",
    "function": {
        "name": "book",
        "parameters": {
            "type": "object",
            "properties": {
                "title": {"type": "string", "pattern": "^[a-z <>/]{2,5}$"},
                "note": {"type": ["string", "null"]},
                "stars": {"enum": [1, 2, "many"]},
                "pages": {"type": "integer", "minimum": 7, "maximum": 900},
                "price": {"type": "number", "minimum": 0, "maximum": 9},
                "lent": {"type": "boolean"},
                "author": {"$ref": "#/$defs/person"},
                "words": {"type": "array", "items": {"type": "string", "maxLength": 9}},
            },
            "required": ["title", "pages", "author", "words"],
            "additionalProperties": False,
            "$defs": {
                "person": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "friend": {"$ref": "#/$defs/person"},
                        "about": {"type": "object"},
                    },
                    "required": ["name"],
                }
            },
        },
    },
}
TOOLS: list[dict[str, Any]] = [WEATHER, CLOCK, RICH]
ALL = sorted(set(all_dialects()) - {"plain"})
LETTERS = [*map(ord, string.ascii_letters + string.digits + string.punctuation + " \n"), 0x20AC]


@functools.cache
def likely(ranges: Any) -> list[int]:
    """Characters of a set."""
    return [code for code in LETTERS if contains(ranges, code)] or [ranges[0][0]]


class Impossible(Exception):
    """Nothing can be written here."""


def text_of(grammar: Grammar, chance: random.Random) -> str:
    """A text of a grammar, by walking through its rules."""

    def written(part: Any, depth: int) -> str:
        match part:
            case Chars(ranges):
                return chr(chance.choice(likely(ranges)))
            case Ref(name):
                return written(grammar.rules[name], depth + 1)
            case Seq(items):
                return "".join(written(item, depth) for item in items)
            case Alt(items):  # the first are the smaller ones
                for item in items if depth > 40 else chance.sample(items, len(items)):
                    with contextlib.suppress(Impossible):
                        return written(item, depth)
                raise Impossible
            case Repeat(item, least, most):
                more = 0 if depth > 20 else chance.choice((0, 0, 1, 2, 5))
                count = least + (more if most is None else min(more, most - least))
                return "".join(written(item, depth + 1) for _ in range(count))
            case Machine(arcs, finals):
                state, text = 0, ""
                while state not in finals or chance.random() < 0.8:
                    ways = [arc for arc in arcs[state] if arc[0]]
                    if not ways:  # a dead end, or the end of all
                        if state in finals:
                            break
                        state, text = 0, ""
                        continue
                    ranges, state = chance.choice(ways)
                    text += chr(chance.choice(likely(ranges)))
                return text
        raise AssertionError(part)

    return written(Ref(grammar.root), 0)


ALLOWED = {
    tool["function"]["name"]: grammar.from_schema(tool["function"]["parameters"]) for tool in TOOLS
}


def is_allowed(call: ToolCall) -> bool:
    text = json.dumps(call.arguments).replace("\x7f", "\\u007f").replace("Infinity", "1")
    return ALLOWED[call.name].accepts(re.sub(r"(\de[+-])0(\d)", r"\1\2", text))


@pytest.mark.parametrize("dialect", ALL)
def test_what_is_forced_is_read(dialect):
    forced = call_grammar(all_dialects()[dialect], TOOLS)
    chance, seen = random.Random(1), set()
    for _ in range(25):
        text = text_of(forced, chance)
        answer = parse(text, dialect, tools=TOOLS)
        assert answer.content == "", text
        assert answer.tool_calls, text
        for call in answer.tool_calls:
            assert is_allowed(call), (text, call)
            seen.add(call.name)
    assert seen == set(ALLOWED)
    for _ in range(5):
        text = text_of(forced, chance)
        assert forced.accepts(text)
        assert not forced.accepts(f"{text}!")
    only = call_grammar(all_dialects()[dialect], TOOLS, "now")
    for _ in range(5):
        calls = parse(text_of(only, chance), dialect, tools=TOOLS).tool_calls
        assert {call.name for call in calls} == {"now"}


# as models write them, where the examples have other calls
COHERE = (
    '<|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "get_weather", '
    '"parameters": {"city": "Ulm"}}\n]<|END_ACTION|>'
)
PYTHON = '<|tool_call_start|>[get_weather(city="Ulm", days=2), now()]<|tool_call_end|>'
MORE = {
    "cohere2moe": COHERE,
    "gemma4": '<|tool_call>call:get_weather{city:<|"|>Ulm<|"|>,days:2}<tool_call|>',
    "lfm2": PYTHON,
    "lfm25": PYTHON,
    "mistral_small": '[TOOL_CALLS]get_weather[CALL_ID]A23456789[ARGS]{"city": "Ulm"}',
}


def test_what_models_write_is_allowed():
    """Examples end with a call that can be forced: cut off what stands before it, and behind it."""
    found = set()
    for dialect, text, _, _, calls in EXAMPLES:
        kind = all_dialects()[dialect]
        if dialect == "plain":
            continue
        forced = call_grammar(kind, [WEATHER, CLOCK])
        if dialect in MORE:
            assert forced.accepts(MORE[dialect])
            found.add(dialect)
        elif calls and {call.name for call in calls} <= {"get_weather", "now"}:
            ends = [text.rstrip()]
            for mark in (*kind.layout, *getattr(kind, "ends", ())) * 2:
                ends += [end.removesuffix(mark) for end in ends if end.endswith(mark)]
            if any(forced.accepts(end[at:]) for end in ends for at in range(len(end))):
                found.add(dialect)
    assert sorted(found) == ALL


def test_what_cannot_be_forced_says_why():
    with pytest.raises(UnsupportedError, match="Plain, which this chat template shows, has no"):
        call_grammar(all_dialects()["plain"], TOOLS)
    named = {"name": "f", "parameters": {"properties": {"from": {"type": "string"}}}}
    with pytest.raises(UnsupportedError, match="'from' is no name in Python"):
        call_grammar(all_dialects()["lfm2"], [named])
    counted = {"name": "f", "parameters": {"type": "object", "minProperties": 1}}
    with pytest.raises(GrammarError, match="are not counted"):
        call_grammar(all_dialects()["qwen3_coder"], [counted])
    assert call_grammar(all_dialects()["hermes"], [counted])
