"""oneOf: alternatives of which just one may hold, so that no value may fulfil two of them."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from .automaton import Automaton, automaton
from .expressions import Chars, Repeat
from .facts import Facts, Objects, Sub, Subs, identity, refuse
from .numbers import written_numbers
from .regex import ANY

if TYPE_CHECKING:
    from .schema import Schema

MAX_DEPTH = 4


def check_apart(schema: Schema, subs: list[Sub], pointer: str) -> list[Sub]:
    """The alternatives, if no value can fulfil two of them. What stands there twice is out."""
    places = [schema.followed(sub)[1] for sub in subs]
    subs = [sub for sub, place in zip(subs, places, strict=True) if places.count(place) == 1]
    variants = [schema.variants((sub,)) for sub in subs]
    for (i, first), (k, second) in combinations(enumerate(variants), 2):
        if not all(apart(schema, a, b, 0) for a in first for b in second):
            raise refuse(
                pointer,
                f"a value may fulfil both {subs[i][1]} and {subs[k][1]}, which cannot be ruled "
                f"out: write anyOf, or give them a property with different constants",
            )
    return subs


def apart(schema: Schema, a: Facts, b: Facts, depth: int) -> bool:
    """Whether it is certain that no value fulfils both."""
    if depth > MAX_DEPTH:
        return False
    if a.values is not None or b.values is not None:
        if a.values is not None and b.values is not None:
            return not {identity(v) for v in a.values} & {identity(v) for v in b.values}
        listed, other = (a, b) if a.values is not None else (b, a)
        return not any(schema.allows(other, value) for value in listed.values or ())
    return all(
        _typed_apart(schema, name, a, b, depth)
        for name in (a & b).likely_types
        if _allows_type(a, name) and _allows_type(b, name)
    )


def _allows_type(facts: Facts, name: str) -> bool:
    types = facts.likely_types
    return name in types or (name == "integer" and "number" in types)


def _typed_apart(schema: Schema, name: str, a: Facts, b: Facts, depth: int) -> bool:
    match name:
        case "object":
            return _objects_apart(schema, a.objects, b.objects, depth)
        case "array":
            both = a.arrays & b.arrays
            return both.most is not None and both.most < both.least
        case "string":
            first, second = (_strings(schema, facts) for facts in (a, b))
            return (first & second).is_empty
        case "integer" | "number":
            return written_numbers(a.bounds & b.bounds, name == "integer").is_empty
    return False


def _strings(schema: Schema, facts: Facts) -> Automaton:

    strings = facts.strings
    if strings.patterns or strings.formats or strings.least or strings.most is not None:
        return schema.set_of(strings, facts.pointer)
    return automaton(Repeat(Chars(ANY), 0, None))


def _objects_apart(schema: Schema, a: Objects, b: Objects, depth: int) -> bool:
    for name in (*a.required, *b.required):
        first, second = (_property(objects, name) for objects in (a, b))
        if first is None or second is None:
            return True
        if (name in a.required or name in b.required) and first and second:
            ways = schema.variants(first), schema.variants(second)
            if all(apart(schema, x, y, depth + 1) for x in ways[0] for y in ways[1]):
                return True
    return False


def _property(objects: Objects, name: str) -> Subs | None:
    """What a property must be; None if it may not be there."""
    if name in objects.properties:
        return objects.properties[name]
    if objects.patterns:
        return ()
    if objects.others is not None:
        return None if any(sub is False for sub, _ in objects.others) else objects.others
    return ()
