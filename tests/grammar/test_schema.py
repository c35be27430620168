"""JSON Schema: what is generated is valid, what cannot be enforced is refused by its place."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamapy import GrammarError
from llamapy.grammar import from_schema
from llamapy.testing.grammar import random_text

# dates are llama.cpp's: each month has 31 days
LONG_MONTHS = {"02-29", "02-30", "02-31", "04-31", "06-31", "09-31", "11-31"}

NODE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"value": {"type": "number"}, "next": {"$ref": "#/$defs/node"}},
            "required": ["value"],
        }
    },
}
TAGGED = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"kind": {"const": "a"}, "size": {"type": "integer"}},
            "required": ["kind", "size"],
        },
        {
            "type": "object",
            "properties": {"kind": {"enum": ["b", "c"]}, "name": {"type": "string"}},
            "required": ["kind"],
        },
    ]
}
# schemas that are enforced: a valid text, and one that is not
SCHEMAS: list[tuple[Any, str, str]] = [
    (True, "[1]", "[1"),
    ({"type": "integer", "minimum": 3, "exclusiveMaximum": 12}, "11", "12"),
    ({"type": "integer", "maximum": -9999}, "-9999", "-06978"),
    ({"type": "integer", "multipleOf": 7, "minimum": 10}, "14", "15"),
    ({"type": "number", "minimum": -1.5, "maximum": 22.25}, "22.25", "22.250001"),
    ({"type": "number", "exclusiveMinimum": 0}, "1.5e-3", "0"),
    ({"type": "number", "multipleOf": 0.5}, "2.5", "2.25"),
    ({"minimum": 5}, '"text"', "4"),
    ({"type": "string", "minLength": 2, "maxLength": 3}, '"é\\n"', '"éééé"'),
    ({"type": "string", "pattern": "^[a-z]+$", "maxLength": 4}, '"abcd"', '"abcde"'),
    ({"type": "string", "pattern": "ab|c$"}, '"xaby"', '"cx"'),
    ({"type": "string", "pattern": '^"\\\\$'}, '"\\"\\\\"', '""\\"'),
    ({"type": "string", "format": "date", "pattern": "^2"}, '"2024-02-29"', '"1999-01-01"'),
    ({"type": "string", "format": "email"}, '"a.b@c.org"', '"a.b"'),
    ({"type": "string", "format": "ipv4"}, '"10.0.255.1"', '"10.0.256.1"'),
    ({"type": "string", "format": "ipv6"}, '"2001:db8::1"', '"2001:db8::1::2"'),
    ({"type": "string", "format": "uri"}, '"https://a.org/?q=1"', '"a.org"'),
    ({"type": "string", "format": "duration"}, '"P1Y2M3DT4H5M6S"', '"PT"'),
    ({"enum": [1, "a", None, {"x": [1]}]}, '{"x":[1]}', "2"),
    ({"enum": [1, 5, 9, "a"], "type": "integer", "minimum": 3}, "5", "1"),
    ({"const": "x", "enum": ["x", "y"]}, '"x"', '"y"'),
    ({"type": ["string", "null", "integer"], "minLength": 2, "minimum": 5}, "null", "4"),
    ({"type": "array", "items": {"type": "null"}, "minItems": 1, "maxItems": 2}, "[null]", "[]"),
    ({"prefixItems": [{"type": "boolean"}, {"type": "null"}]}, "[true, null]", "[true]"),
    (
        {"prefixItems": [{"type": "boolean"}], "items": {"type": "null"}, "minItems": 2},
        "[true,null]",
        "[true]",
    ),
    ({"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True}, "[3,1]", "[1,1]"),
    (
        {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True},
        "[false]",
        "[true,true]",
    ),
    (
        {"type": "object", "properties": {"a": {"type": "null"}, "b": {}}, "required": ["b"]},
        '{"b": 1,"a":null}',
        '{"a":null}',
    ),
    (
        {"properties": {"a": {"type": "null"}}, "additionalProperties": {"type": "integer"}},
        '{"a":null,"aa":1}',
        '{"a":1}',
    ),
    (
        {"properties": {"aé😀": {"type": "null"}}, "additionalProperties": {"type": "integer"}},
        '{"b\\ud83d\\ude00":1}',
        '{"a\\u00e9\\ud83d\\ude00":1}',
    ),
    (
        {
            "type": "object",
            "properties": {"x-y": {"maximum": 50}},
            "patternProperties": {"^x-": {"type": "integer"}, "y$": {"minimum": 3}},
            "additionalProperties": {"type": "boolean"},
        },
        '{"x-y":3,"x-a":-1,"b":true}',
        '{"x-y":2}',
    ),
    ({"type": "object", "minProperties": 1, "properties": {"a": {}, "b": {}}}, '{"a":1}', "{}"),
    (
        {"type": "object", "maxProperties": 1, "additionalProperties": {"const": 1}},
        '{"a":1}',
        '{"a":1,"b":1}',
    ),
    ({"type": "object", "required": ["q"]}, '{"q" :1}', "{}"),
    (NODE, '{"value":1, "next":{"value":2}}', '{"next":{"value":2}}'),
    (TAGGED, '{"kind":"a","size":1}', '{"kind":"b","size":1}'),
    ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "1.5", '"a"'),
    (
        {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        '{"b" :1}',
        '{"c":1}',
    ),
    ({"allOf": [{"type": "integer", "minimum": 1}, {"maximum": 5}]}, "5", "6"),
    ({"$ref": "#/$defs/n", "maximum": 3, "$defs": {"n": {"type": "integer"}}}, "3", "4"),
    (
        {"allOf": [{"properties": {"a": {"minimum": 1, "type": "integer"}}}, {"required": ["a"]}]},
        '{"a":1}',
        '{"a":0}',
    ),
]


@pytest.mark.parametrize("case", SCHEMAS, ids=lambda case: json.dumps(case[0])[:60])
def test_what_is_generated_is_valid(case: tuple[Any, str, str]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema, valid, invalid = case
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    grammar = from_schema(schema)
    assert grammar.accepts(valid)
    assert not grammar.accepts(invalid)
    drawn = [text for seed in range(30) if (text := random_text(grammar, seed)) is not None]
    assert len(drawn) > 5
    for text in drawn:
        if "date" in json.dumps(schema) and text[6:11] in LONG_MONTHS:
            continue
        validator.validate(json.loads(text))
        assert grammar.accepts(text)


NUMBERS = st.integers(-60, 60) | st.decimals(-60, 60, places=2).map(float)
LEAVES = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("integer")},
        optional={"minimum": NUMBERS, "maximum": NUMBERS, "multipleOf": st.integers(1, 9)},
    ),
    st.fixed_dictionaries(
        {"type": st.just("number")}, optional={"minimum": NUMBERS, "exclusiveMaximum": NUMBERS}
    ),
    st.fixed_dictionaries(
        {"type": st.just("string")},
        optional={
            "minLength": st.integers(0, 3),
            "maxLength": st.integers(0, 5),
            "pattern": st.sampled_from(["^[a-c]*$", "b", "^.{1,3}$", "a|^b"]),
        },
    ),
    st.sampled_from([{"type": "boolean"}, {"enum": [1, "a", None]}, {"const": [1]}]),
)
ANY_SCHEMA = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("array"), "items": inner},
            optional={"minItems": st.integers(0, 2), "maxItems": st.integers(0, 3)},
        ),
        st.fixed_dictionaries(
            {
                "type": st.just("object"),
                "properties": st.dictionaries(st.sampled_from(["a", "b", "ab"]), inner, max_size=3),
            },
            optional={
                "required": st.lists(st.sampled_from(["a", "b", "ab"]), unique=True, max_size=2),
                "additionalProperties": st.booleans() | inner,
            },
        ),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)}),
    ),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(ANY_SCHEMA, st.integers(0, 1000))
def test_any_schema_is_enforced(schema: dict[str, Any], seed: int) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    grammar = from_schema(schema)
    if not grammar.is_possible:
        return
    text = random_text(grammar, seed, longest=200, tries=20)
    if text is not None:
        jsonschema.Draft202012Validator(schema).validate(json.loads(text))


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"not": {"type": "string"}}, "#/not"),
        ({"properties": {"a/b": {"if": {}, "then": {}}}}, "#/properties/a~1b/if"),
        ({"items": {"contains": {}}}, "#/items/contains"),
        ({"type": "object", "propertyNames": {}}, "#/propertyNames"),
        ({"type": "object", "dependentRequired": {}}, "#/dependentRequired"),
        ({"type": "object", "unevaluatedProperties": False}, "#/unevaluatedProperties"),
        ({"type": "array", "uniqueItems": True}, "#/uniqueItems"),
        ({"minimun": 5}, "#/minimun"),
        ({"type": "string", "format": "regex"}, "#/format"),
        ({"type": "string", "pattern": "(?=a)b"}, "#/pattern"),
        ({"$ref": "https://example.com/schema"}, r"#/\$ref"),
        ({"items": {"$ref": "#/$defs/missing"}}, r"#/items/\$ref"),
        ({"$ref": "#"}, "#: this reference"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "#/oneOf"),
        ({"anyOf": []}, "#/anyOf"),
        ({"type": "kaboom"}, "#/type"),
        ({"type": []}, "#/type"),
        ({"enum": []}, "#/enum"),
        ({"type": "integer", "minimum": "3"}, "#/minimum"),
        ({"type": "string", "maxLength": -1}, "#/maxLength"),
        ({"type": "object", "properties": []}, "#/properties"),
        ({"properties": {"a": 5}}, "#/properties/a"),
        ({"type": "object", "minProperties": 2}, "#/minProperties"),
        ({"type": "integer", "multipleOf": 0}, "#/multipleOf"),
        ({"type": "integer", "multipleOf": 123457}, "#: multipleOf"),
        ('{"type": ', "the schema is no JSON"),
    ],
)
def test_what_cannot_be_enforced_is_refused(schema: Any, place: str) -> None:
    with pytest.raises(GrammarError, match=f"^{place}"):
        from_schema(schema)


def test_listed_values_are_held_against_the_rest_of_the_schema() -> None:
    assert not from_schema({"const": "x", "enum": ["y"]}).is_possible
    assert from_schema({"enum": [1, 2, 3], "maximum": 2}).accepts("2")
    assert not from_schema({"enum": [1, 2, 3], "maximum": 2}).accepts("3")


def test_schemas_are_texts_too() -> None:
    assert from_schema('{"type": "null"}').accepts("null")


def nested(depth: int) -> Any:
    schema: Any = True
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


BOMBS = {
    "deep": nested(900),
    "deep text": "[" * 100_000,
    "references": {
        "$ref": "#/$defs/0",
        "$defs": {str(i): {"$ref": f"#/$defs/{i + 1}"} for i in range(3000)} | {"3000": True},
    },
    "chain of properties": {
        "$ref": "#/$defs/0",
        "$defs": {str(i): {"properties": {"a": {"$ref": f"#/$defs/{i + 1}"}}} for i in range(1000)}
        | {"1000": True},
    },
    "products of alternatives": {
        "allOf": [{"anyOf": [{"minimum": i} for i in range(10)]} for _ in range(10)]
    },
    "pattern": {"type": "string", "pattern": "^(a|b)*a(a|b){30}$"},
    "nested repetition": {"type": "string", "pattern": "^((a{1,100}){1,100}){1,100}$"},
    "itself": {"allOf": [{"$ref": "#"}]},
    "values of values": {
        "$ref": "#/$defs/n",
        "$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}, "enum": [{}, {"n": {}}]}},
    },
    "long": {"type": "string", "maxLength": 10**9},
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_soon(name: str) -> None:
    start = time.process_time()
    with contextlib.suppress(GrammarError):
        from_schema(BOMBS[name])
    assert time.process_time() - start < 4
