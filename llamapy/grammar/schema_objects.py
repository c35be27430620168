"""Objects of a schema: which properties there may be, in which order."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from .automaton import Automaton, automaton
from .expressions import EMPTY, NOTHING, Alt, Chars, Expression, Ref, Repeat, literal, optional, seq
from .facts import Facts, Objects, Subs, refuse
from .json_rules import COMMA, SPACE, dumped, list_of, object_of, sequence_of, spelled
from .regex import ANY, anywhere

if TYPE_CHECKING:
    from .schema import Schema

MAX_PATTERNS = 5
MAX_COUNTED = 10


def object_(schema: Schema, facts: Facts) -> Expression:
    """Required properties, then those that may be there, then others."""
    objects = facts.objects
    if objects.most is not None and objects.most < max(objects.least, len(objects.required)):
        return NOTHING
    others = objects.others
    if others is None and not objects.declares and not objects.patterns:
        others = ()
    properties = dict(objects.properties)
    for name in objects.required:
        properties.setdefault(name, others or ())
    if not properties and not objects.patterns and others == () and not _counts(objects):
        return Ref("object")
    patterns = [(automaton(anywhere(text)), sub) for text, sub in objects.patterns]
    for name in properties:
        properties[name] += tuple(sub for names, sub in patterns if name in names)
    members = {
        name: seq(literal(dumped(name)), SPACE, ":", SPACE, schema.value(subs))
        for name, subs in properties.items()
    }
    required = [member for name, member in members.items() if name in objects.required]
    free = [member for name, member in members.items() if name not in objects.required]
    wild = _other_members(schema, facts, set(properties), others, patterns)
    if _counts(objects):
        return _counted(facts, required, free, wild)
    return object_of(_members(schema, facts.pointer, required, free, wild))


def _counts(objects: Objects) -> bool:
    return bool(objects.least) or objects.most is not None


def _members(
    schema: Schema,
    pointer: str,
    required: list[Expression],
    free: list[Expression],
    wild: Expression,
) -> Expression:
    """Members with commas between them. `free` ones may be left out, of `wild` ones any number."""
    rest: Expression = EMPTY if wild == NOTHING else Repeat(seq(COMMA, wild), 0, None)
    firsts = [] if wild == NOTHING else [seq(wild, rest)]
    for member in reversed(free):
        name = schema.new_name(f"{pointer} rest")
        schema.made[name] = rest
        firsts.insert(0, seq(member, Ref(name)))
        rest = seq(optional(seq(COMMA, member)), Ref(name))
    if required:
        return seq(sequence_of(required), rest)
    return optional(Alt(tuple(firsts))) if firsts else EMPTY


def _other_members(
    schema: Schema,
    facts: Facts,
    names: set[str],
    others: Subs | None,
    patterns: list[tuple[Automaton, tuple[object, str]]],
) -> Expression:
    """Members that are not named in the schema."""
    if not names and not patterns and others is not None:
        return seq(Ref("string"), ":", SPACE, schema.value(others))
    if len(patterns) > MAX_PATTERNS:
        raise refuse(
            f"{facts.pointer}/patternProperties", f"more than {MAX_PATTERNS} patterns: use fewer"
        )
    if others is None and not patterns:
        return NOTHING
    any_name = automaton(Repeat(Chars(ANY), 0, None))
    left = any_name - automaton(Alt(tuple(map(literal, sorted(names))))) if names else any_name
    found = []
    for size in range(len(patterns), -1, -1):
        for chosen in combinations(range(len(patterns)), size):
            if not chosen and others is None:
                continue
            keys = left
            for i, (matching, _) in enumerate(patterns):
                keys = keys & matching if i in chosen else keys - matching
            if keys.is_empty:
                continue
            subs = tuple(patterns[i][1] for i in chosen) if chosen else others or ()
            found.append(seq(spelled(keys), ":", SPACE, schema.value(subs)))
    return Alt(tuple(found)) if found else NOTHING


def _counted(
    facts: Facts, required: list[Expression], free: list[Expression], wild: Expression
) -> Expression:
    """Objects with a least and a largest number of members."""
    objects = facts.objects
    least = max(objects.least - len(required), 0)
    most = None if objects.most is None else objects.most - len(required)
    if wild != NOTHING and least > 1:
        raise refuse(
            f"{facts.pointer}/minProperties",
            "names that are not known beforehand may be repeated, and cannot be counted: name the "
            "properties, and require them",
        )
    if least > len(free) and wild == NOTHING:
        return NOTHING
    return object_of(_choice(required, free, wild, least, most, facts.pointer))


def _choice(
    required: list[Expression],
    free: list[Expression],
    wild: Expression,
    least: int,
    most: int | None,
    pointer: str,
) -> Expression:
    """So many of the free members, and wild ones, behind the required ones."""
    if len(free) > MAX_COUNTED:
        raise refuse(
            pointer,
            f"more than {MAX_COUNTED} optional properties cannot be counted: require some of them",
        )
    lists = []
    for size in range(len(free) + 1):
        if most is not None and size > most:
            break
        for chosen in combinations(free, size):
            items = [*required, *chosen]
            room = None if most is None else most - size
            need = max(least - size, 0)
            if wild == NOTHING or room == 0:
                if not need:
                    lists.append(sequence_of(items))
            elif items:
                lists.append(seq(sequence_of(items), Repeat(seq(COMMA, wild), need, room)))
            else:
                lists.append(list_of(wild, need, room))
    return Alt(tuple(lists))
