"""Python types as schemas: dataclasses, TypedDicts, pydantic models, and what annotations have."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import types
import typing
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import GrammarError

PLAIN: dict[Any, dict[str, Any] | bool] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    Any: True,
    object: True,
    list: {"type": "array"},
    dict: {"type": "object"},
    datetime.date: {"type": "string", "format": "date"},
    datetime.time: {"type": "string", "format": "time"},
    datetime.datetime: {"type": "string", "format": "date-time"},
    uuid.UUID: {"type": "string", "format": "uuid"},
}


def schema_of(given: Any) -> dict[str, Any] | bool:
    """The schema of the JSON values that are of a type.

    `Annotated[int, {"minimum": 0}]` adds keywords. Records become definitions, so that they may
    hold themselves.
    """
    made: dict[str, Any] = {}
    schema = _schema(given, made)
    if not made or isinstance(schema, bool):
        return schema
    return {**schema, "$defs": made}


def _schema(given: Any, made: dict[str, Any]) -> Any:
    try:
        if given in PLAIN:
            return PLAIN[given]
    except TypeError:
        pass  # what has no hash is no plain type
    if hasattr(given, "model_json_schema"):
        return _model(given, made)
    if dataclasses.is_dataclass(given) and isinstance(given, type):
        required = {
            field.name
            for field in dataclasses.fields(given)
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        }
        shown = [field.name for field in dataclasses.fields(given) if field.init]
        return _record(given, shown, required, made)
    if typing.is_typeddict(given):
        return _record(given, None, given.__required_keys__, made)
    if isinstance(given, type) and issubclass(given, enum.Enum):
        return {"enum": [member.value for member in given]}
    return _generic(given, made)


def _generic(given: Any, made: dict[str, Any]) -> Any:
    origin, arguments = typing.get_origin(given), typing.get_args(given)
    if origin is typing.Annotated:
        keywords = [extra for extra in arguments[1:] if isinstance(extra, dict)]
        parts = [_schema(arguments[0], made), *keywords]
        plain = all(isinstance(part, dict) and "$ref" not in part for part in parts)
        return {k: v for part in parts for k, v in part.items()} if plain else {"allOf": parts}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(argument, made) for argument in arguments]}
    if origin in (typing.Required, typing.NotRequired):
        return _schema(arguments[0], made)
    if origin in (list, Sequence) and len(arguments) == 1:
        return {"type": "array", "items": _schema(arguments[0], made)}
    if origin is tuple and arguments:
        if arguments[-1] is Ellipsis:
            return {"type": "array", "items": _schema(arguments[0], made)}
        return {"type": "array", "prefixItems": [_schema(a, made) for a in arguments]}
    if origin in (set, frozenset) and arguments:
        items = _schema(arguments[0], made)
        return {"type": "array", "items": items, "uniqueItems": True}
    if origin in (dict, Mapping) and arguments and arguments[0] is str:
        return {"type": "object", "additionalProperties": _schema(arguments[1], made)}
    raise GrammarError(
        f"{given!r} is no type that a schema can be made of: use dataclasses, TypedDicts, pydantic "
        f"models, Literal, Enum, unions, list, tuple, dict with str, and plain types"
    )


def _record(
    given: Any, shown: list[str] | None, required: set[str] | frozenset[str], made: dict[str, Any]
) -> dict[str, Any]:
    """A type with named fields: a definition, and a reference to it."""
    name = given.__name__
    reference = {"$ref": f"#/$defs/{name}"}
    if made.get(name, {}).get("$comment") == f"{given.__module__}.{given.__qualname__}":
        return reference
    if name in made:
        raise GrammarError(f"two types have the name {name!r}: rename one of them")
    made[name] = {"$comment": f"{given.__module__}.{given.__qualname__}"}
    hints = typing.get_type_hints(given, include_extras=True)
    names = list(hints) if shown is None else shown
    # where annotations are texts, a TypedDict does not know what is in them
    marks = {name: typing.get_origin(hints[name]) for name in names}
    required |= {name for name in names if marks[name] is typing.Required}
    required -= {name for name in names if marks[name] is typing.NotRequired}
    made[name] |= {
        "type": "object",
        "properties": {field: _schema(hints[field], made) for field in names},
        "required": [field for field in names if field in required],
        "additionalProperties": False,
    }
    return reference


def _model(given: Any, made: dict[str, Any]) -> Any:
    """A pydantic model says its schema itself."""
    schema = dict(given.model_json_schema())
    for name, definition in schema.pop("$defs", {}).items():
        if made.setdefault(name, definition) != definition:
            raise GrammarError(f"two types have the name {name!r}: rename one of them")
    made.setdefault(given.__name__, schema)
    return {"$ref": f"#/$defs/{given.__name__}"}
