"""What a schema demands, gathered by the kind of value, so that several schemas can be one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeAlias

from ..errors import GrammarError
from .formats import TYPED
from .numbers import Bounds

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")

# keywords that say nothing about what is valid
ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "example", "$schema", "$id", "id", "$comment"}
    | {"definitions", "$defs", "deprecated", "readOnly", "writeOnly", "contentMediaType", "xml"}
    | {"contentEncoding", "externalDocs", "discriminator", "$anchor", "propertyOrdering"}
)
# keywords that join schemas
JOINING = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
KNOWN = frozenset(
    {"type", "const", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    | {"multipleOf", "minLength", "maxLength", "pattern", "format", "properties", "required"}
    | {"additionalProperties", "patternProperties", "minProperties", "maxProperties", "items"}
    | {"prefixItems", "minItems", "maxItems", "uniqueItems"}
)

# a schema, and where it stands
Sub: TypeAlias = "tuple[Any, str]"
# schemas that all hold
Subs: TypeAlias = "tuple[Sub, ...]"


def refuse(pointer: str, message: str) -> GrammarError:
    return GrammarError(f"{pointer}: {message}")


@dataclass(frozen=True)
class Strings:
    least: int = 0
    most: int | None = None
    patterns: tuple[tuple[str, str], ...] = ()  # with where each stands
    formats: tuple[str, ...] = ()

    def __and__(self, other: Strings) -> Strings:
        return Strings(
            max(self.least, other.least),
            lesser(self.most, other.most),
            tuple(dict.fromkeys(self.patterns + other.patterns)),
            tuple(dict.fromkeys(self.formats + other.formats)),
        )


@dataclass(frozen=True)
class Objects:
    """`others` is what properties must be that are not named: None if nothing is said of them."""

    properties: dict[str, Subs] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    patterns: tuple[tuple[str, Sub], ...] = ()
    others: Subs | None = None
    least: int = 0
    most: int | None = None
    declares: bool = False  # whether there are `properties`, which close an object

    def __and__(self, other: Objects) -> Objects:
        properties = dict(self.properties)
        for name, subs in other.properties.items():
            properties[name] = properties.get(name, self.others or ()) + subs
        for name in self.properties.keys() - other.properties.keys():
            properties[name] += other.others or ()
        others = None
        if self.others is not None or other.others is not None:
            others = (self.others or ()) + (other.others or ())
        return Objects(
            properties,
            tuple(dict.fromkeys(self.required + other.required)),
            self.patterns + other.patterns,
            others,
            max(self.least, other.least),
            lesser(self.most, other.most),
            self.declares or other.declares,
        )


@dataclass(frozen=True)
class Arrays:
    prefix: tuple[Subs, ...] = ()
    items: Subs | None = None
    least: int = 0
    most: int | None = None
    unique: bool = False

    def __and__(self, other: Arrays) -> Arrays:
        prefix = tuple(
            self.item(i) + other.item(i) for i in range(max(len(self.prefix), len(other.prefix)))
        )
        items = None
        if self.items is not None or other.items is not None:
            items = (self.items or ()) + (other.items or ())
        return Arrays(
            prefix,
            items,
            max(self.least, other.least),
            lesser(self.most, other.most),
            self.unique or other.unique,
        )

    def item(self, index: int) -> Subs:
        return self.prefix[index] if index < len(self.prefix) else self.items or ()


@dataclass(frozen=True)
class Facts:
    """All that is demanded of a value. `types` and `values` None: nothing is said of them."""

    pointer: str
    types: frozenset[str] | None = None
    values: tuple[Any, ...] | None = None
    bounds: Bounds = field(default_factory=Bounds)
    strings: Strings = field(default_factory=Strings)
    objects: Objects = field(default_factory=Objects)
    arrays: Arrays = field(default_factory=Arrays)

    def __and__(self, other: Facts) -> Facts:
        return Facts(
            self.pointer,
            common_types(self.types, other.types),
            common_values(self.values, other.values),
            self.bounds & other.bounds,
            self.strings & other.strings,
            self.objects & other.objects,
            self.arrays & other.arrays,
        )

    @property
    def likely_types(self) -> frozenset[str]:
        """The types that are allowed; where none is named, those that the keywords are about."""
        if self.types is not None:
            return self.types
        if self.objects.declares or self.objects.patterns or self.objects.others:
            return frozenset({"object"})
        if self.arrays.prefix or self.arrays.items is not None:
            return frozenset({"array"})
        strings = self.strings
        if strings.patterns or strings.least or strings.most is not None:
            return frozenset({"string"})
        if TYPED.intersection(strings.formats):
            return frozenset({"string"})
        return frozenset(TYPES) - {"integer"}

    def only(self, **changes: Any) -> Facts:
        return replace(self, **changes)


def lesser(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)


def common_types(a: frozenset[str] | None, b: frozenset[str] | None) -> frozenset[str] | None:
    if a is None or b is None:
        return b if a is None else a
    found = a & b
    if ("number" in a and "integer" in b) or ("number" in b and "integer" in a):
        found |= {"integer"}
    return found - ({"integer"} if "number" in found else set())


def identity(value: Any) -> str:
    """Equal JSON values have the same; 1 and 1.0 are equal, 1 and true are not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, dict):
        return (
            "{" + ",".join(sorted(f"{json.dumps(k)}:{identity(v)}" for k, v in value.items())) + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(map(identity, value)) + "]"
    return json.dumps(value)


def common_values(a: tuple[Any, ...] | None, b: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    if a is None or b is None:
        return b if a is None else a
    known = {identity(value) for value in b}
    return tuple(value for value in a if identity(value) in known)


# ---- reading


def facts_of(schema: dict[str, Any], pointer: str) -> Facts:
    """What the keywords of one schema demand, without those that join schemas."""
    for keyword in schema:
        if keyword not in KNOWN | ANNOTATIONS | JOINING and not keyword.startswith("x-"):
            raise refuse(
                f"{pointer}/{escaped(keyword)}",
                f"the keyword {keyword!r} cannot be enforced: remove it, or say the same with "
                f"other keywords",
            )
    return Facts(
        pointer,
        _types(schema, pointer),
        _values(schema, pointer),
        _bounds(schema, pointer),
        _strings(schema, pointer),
        _objects(schema, pointer),
        _arrays(schema, pointer),
    )


def escaped(key: str) -> str:
    """A key as a part of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def _types(schema: dict[str, Any], pointer: str) -> frozenset[str] | None:
    if "type" not in schema or schema["type"] is None:
        return None
    given = schema["type"]
    types = given if isinstance(given, list) else [given]
    if not types:
        raise refuse(f"{pointer}/type", "a list of types must not be empty")
    for name in types:
        if name not in TYPES:
            raise refuse(f"{pointer}/type", f"{name!r} is no type: there are {', '.join(TYPES)}")
    found = frozenset(types)
    return found - {"integer"} if "number" in found else found


def _values(schema: dict[str, Any], pointer: str) -> tuple[Any, ...] | None:
    found = None
    if "enum" in schema:
        if not isinstance(schema["enum"], list) or not schema["enum"]:
            raise refuse(f"{pointer}/enum", "expected a list of values that is not empty")
        found = tuple(schema["enum"])
    if "const" in schema:
        found = common_values((schema["const"],), found)
    return found


def _number(schema: dict[str, Any], key: str, pointer: str) -> Decimal | None:
    if key not in schema:
        return None
    value = schema[key]
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise refuse(f"{pointer}/{key}", f"expected a number, not {value!r}")
    found = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not found.is_finite():
        raise refuse(f"{pointer}/{key}", f"expected a number, not {value!r}")
    return found


def _bounds(schema: dict[str, Any], pointer: str) -> Bounds:
    floor, ceiling = (_number(schema, key, pointer) for key in ("minimum", "maximum"))
    bounds = Bounds(floor, ceiling)
    # draft 4 has true here, which makes `minimum` and `maximum` exclude themselves
    if schema.get("exclusiveMinimum") is True:
        bounds &= Bounds(floor=floor, above=True)
    elif schema.get("exclusiveMinimum") is not False:
        above = _number(schema, "exclusiveMinimum", pointer)
        bounds &= Bounds(floor=above, above=above is not None)
    if schema.get("exclusiveMaximum") is True:
        bounds &= Bounds(ceiling=ceiling, below=True)
    elif schema.get("exclusiveMaximum") is not False:
        below = _number(schema, "exclusiveMaximum", pointer)
        bounds &= Bounds(ceiling=below, below=below is not None)
    step = _number(schema, "multipleOf", pointer)
    if step is not None and step <= 0:
        raise refuse(f"{pointer}/multipleOf", f"expected a number above 0, not {step}")
    return bounds & Bounds(divisors=() if step is None else (step,))


def _count(schema: dict[str, Any], key: str, pointer: str) -> int | None:
    if key not in schema:
        return None
    value = schema[key]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise refuse(f"{pointer}/{key}", f"expected a whole number from 0, not {value!r}")
    return value


def _strings(schema: dict[str, Any], pointer: str) -> Strings:
    patterns: tuple[tuple[str, str], ...] = ()
    if "pattern" in schema:
        if not isinstance(schema["pattern"], str):
            raise refuse(f"{pointer}/pattern", f"expected a string, not {schema['pattern']!r}")
        patterns = ((schema["pattern"], f"{pointer}/pattern"),)
    formats = (schema["format"],) if "format" in schema else ()
    if not schema.keys() & {"type", "pattern", "minLength", "maxLength"} and formats:
        # beside nothing that speaks of strings it is a remark, as the specification has it
        formats = tuple(name for name in formats if name in TYPED)
    least, most = (_count(schema, key, pointer) for key in ("minLength", "maxLength"))
    return Strings(least or 0, most, patterns, formats)


def _mapping(schema: dict[str, Any], key: str, pointer: str) -> dict[str, Any]:
    found = schema.get(key, {})
    if not isinstance(found, dict):
        raise refuse(f"{pointer}/{key}", f"expected an object, not {found!r}")
    return found


def _objects(schema: dict[str, Any], pointer: str) -> Objects:
    properties: dict[str, Subs] = {}
    for name, sub in _mapping(schema, "properties", pointer).items():
        properties[name] = ((sub, f"{pointer}/properties/{escaped(name)}"),)
    patterns = tuple(
        (pattern, (sub, f"{pointer}/patternProperties/{escaped(pattern)}"))
        for pattern, sub in _mapping(schema, "patternProperties", pointer).items()
    )
    required = schema.get("required", [])
    if not isinstance(required, list):
        raise refuse(f"{pointer}/required", f"expected a list of names, not {required!r}")
    others: Subs | None = None
    if "additionalProperties" in schema:
        given = schema["additionalProperties"]
        others = () if given is True else ((given, f"{pointer}/additionalProperties"),)
    return Objects(
        properties,
        # what is no string names no property
        tuple(name for name in required if isinstance(name, str)),
        patterns,
        others,
        _count(schema, "minProperties", pointer) or 0,
        _count(schema, "maxProperties", pointer),
        "properties" in schema,
    )


def _arrays(schema: dict[str, Any], pointer: str) -> Arrays:
    prefix: tuple[Subs, ...] = ()
    items: Subs | None = None
    for key in ("items", "prefixItems"):
        given = schema.get(key)
        if isinstance(given, list) and not prefix:
            prefix = tuple(((sub, f"{pointer}/{key}/{i}"),) for i, sub in enumerate(given))
        elif key in schema and not isinstance(given, list) and items is None:
            items = ((given, f"{pointer}/{key}"),)
    unique = schema.get("uniqueItems", False)
    if not isinstance(unique, bool):
        raise refuse(f"{pointer}/uniqueItems", f"expected true or false, not {unique!r}")
    least, most = (_count(schema, key, pointer) for key in ("minItems", "maxItems"))
    return Arrays(prefix, items, least or 0, most, unique)
