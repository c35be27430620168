"""Grammars as llama-cpp-python makes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .. import grammar as grammars
from ..errors import GrammarError

# any JSON object, with no more white space than after a token
JSON = r"""
root ::= object
object ::= "{" gap (member ("," gap member)*)? "}" gap
member ::= string ":" gap value
array ::= "[" gap (value ("," gap value)*)? "]" gap
value ::= object | array | string | number | ("true" | "false" | "null") gap
string ::= "\"" (plain | "\\" escape)* "\"" gap
plain ::= [^"\\\x7F\x00-\x1F]
escape ::= ["\\bfnrt] | "u" [0-9a-fA-F]{4}
number ::= "-"? ([0-9] | [1-9] [0-9]{0,15}) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? gap
gap ::= | " " | "\n" [ \t]{0,20}
"""


class LlamaGrammar:
    """What a text must look like, from GBNF or a JSON schema."""

    def __init__(self, grammar: grammars.Grammar) -> None:
        self.grammar = grammar

    @classmethod
    def from_string(cls, grammar: str, verbose: bool = True) -> LlamaGrammar:
        return cls(grammars.from_gbnf(grammar))

    @classmethod
    def from_file(cls, file: str | Path, verbose: bool = True) -> LlamaGrammar:
        text = Path(file).read_text()
        if not text.strip():
            raise GrammarError(f"{file} is empty: a grammar has at least a rule root")
        return cls.from_string(text)

    @classmethod
    def from_json_schema(cls, json_schema: str, verbose: bool = True) -> LlamaGrammar:
        try:
            schema: Any = json.loads(json_schema)
        except json.JSONDecodeError as error:
            raise GrammarError(
                f"the schema is no JSON: {error}; pass it through json.dumps"
            ) from None
        return cls(grammars.from_schema(schema))

    @classmethod
    def for_response_format(cls, response_format: dict[str, Any] | None) -> LlamaGrammar | None:
        """What `response_format` of a chat asks for; plain text needs none.

        A schema that cannot be enforced is an error, and not just any JSON.
        """
        kind = (response_format or {"type": "text"}).get("type")
        if kind == "text":
            return None
        if kind != "json_object" or response_format is None:
            raise GrammarError(f"response_format of type {kind!r} is unknown: pass json_object")
        if "schema" in response_format:
            return cls(grammars.from_schema(response_format["schema"]))
        return cls.from_string(JSON)
