"""Arrays of a schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import GrammarError
from .expressions import NOTHING, Alt, Expression, Ref, Repeat, literal, seq
from .facts import Arrays, Facts, identity, refuse
from .json_rules import COMMA, array_of, dumped, list_of, sequence_of

if TYPE_CHECKING:
    from .schema import Schema

MAX_ITEMS = 10_000
MAX_UNIQUE = 8


def array(schema: Schema, facts: Facts) -> Expression:
    """A tuple has all its items, other arrays as many as they may."""
    arrays = facts.arrays
    for count in (arrays.least, arrays.most or 0):
        if count > MAX_ITEMS:
            raise GrammarError(f"{count} items are more than {MAX_ITEMS}: bound them lower")
    if arrays.most is not None and arrays.most < arrays.least:
        return NOTHING
    if arrays.unique and _may_repeat(schema, arrays):
        return _unique(schema, facts)
    if not arrays.prefix:
        if not arrays.items and not arrays.least and arrays.most is None:
            return Ref("array")
        item = schema.value(arrays.items or ())
        return array_of(list_of(item, arrays.least, arrays.most))
    prefix = [schema.value(arrays.item(i)) for i in range(len(arrays.prefix))]
    if arrays.most is not None:
        prefix = prefix[: arrays.most]
    more = max(arrays.least - len(prefix), 0)
    if arrays.items is None and not more:
        return array_of(sequence_of(prefix))
    item = schema.value(arrays.items or ())
    room = None if arrays.most is None else arrays.most - len(prefix)
    return array_of(seq(sequence_of(prefix), Repeat(seq(COMMA, item), more, room)))


def _may_repeat(schema: Schema, arrays: Arrays) -> bool:
    if arrays.most is not None and arrays.most <= 1:
        return False
    return not (len(arrays.prefix) == 1 and arrays.items is None and arrays.least <= 1)


def _unique(schema: Schema, facts: Facts) -> Expression:
    """Items of which none is there twice, if they are few: each may follow those still left."""
    arrays = facts.arrays
    values = None if arrays.prefix else listed(schema, facts)
    if values is None:
        raise refuse(
            f"{facts.pointer}/uniqueItems",
            "whether items are different can be enforced only if they are an enum: list them, or "
            "leave it away and check the result",
        )
    if len(values) > MAX_UNIQUE:
        raise refuse(
            f"{facts.pointer}/uniqueItems",
            f"different items of an enum can be enforced for {MAX_UNIQUE} values at most, not "
            f"{len(values)}",
        )
    least = arrays.least
    most = len(values) if arrays.most is None else min(arrays.most, len(values))
    if least > most:
        return NOTHING
    rest: dict[frozenset[int], Ref] = {}

    def after(used: frozenset[int]) -> Expression:
        """What may follow when these are used."""
        if used not in rest:
            rest[used] = Ref(schema.new_name(f"{facts.pointer} unique"))
            schema.made[rest[used].name] = NOTHING  # taken, until it is known
            ways: list[Expression] = [seq()] if len(used) >= least else []
            if len(used) < most:
                for i, value in enumerate(values):
                    if i not in used:
                        comma = COMMA if used else seq()
                        ways.append(seq(comma, literal(dumped(value)), after(used | {i})))
            schema.made[rest[used].name] = Alt(tuple(ways))
        return rest[used]

    return array_of(after(frozenset()))


def listed(schema: Schema, facts: Facts) -> list[object] | None:
    """All values that an item may have, if they are listed."""
    found: dict[str, object] = {}
    for item in schema.variants(facts.arrays.items or ()):
        if item.values is not None:
            values = [value for value in item.values if schema.allows(item, value)]
        elif item.likely_types <= {"boolean", "null"}:
            values = [*([False, True] if "boolean" in item.likely_types else [])]
            values += [None] if "null" in item.likely_types else []
        else:
            return None
        found.update((identity(value), value) for value in values)
    return list(found.values())
