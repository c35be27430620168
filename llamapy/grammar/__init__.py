"""Grammars: what a model may write, as GBNF, as a JSON schema, or as a regular expression."""

from __future__ import annotations

from typing import Any

from .gbnf import parse_gbnf
from .grammar import Grammar


def from_gbnf(text: str, root: str = "root") -> Grammar:
    """The grammar that a text in llama.cpp's GBNF describes."""
    return Grammar(parse_gbnf(text), root, source=text)


def from_schema(schema: Any) -> Grammar:
    """The grammar of JSON that a schema allows: a dict, its JSON text, or a type.

    A type is a dataclass, a TypedDict, a pydantic model, or what annotations are made of, such as
    `list[int]`. Keywords that cannot be enforced are a `GrammarError`.
    """
    from .schema import parsed, rules_of
    from .types import schema_of

    if isinstance(schema, str | bytes):
        schema = parsed(schema if isinstance(schema, str) else schema.decode())
    elif not isinstance(schema, dict | bool):
        schema = schema_of(schema)
    return Grammar(rules_of(schema))


def from_regex(pattern: str) -> Grammar:
    """The grammar of the texts that match a regular expression as a whole."""
    from .regex import full

    return Grammar({"root": full(pattern)}, source=pattern)


__all__ = ["Grammar", "from_gbnf", "from_regex", "from_schema"]
