"""JSON Schema to rules. What cannot be enforced is refused, with the place where it stands.

What llama.cpp restricts beyond the schema is restricted here too: properties come in their order,
those that are required first; an object with `properties` has no others unless
`additionalProperties` says so; a tuple has all its items; `^...$` around a pattern spans all of it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import GrammarError
from .automaton import Automaton, automaton
from .expressions import NOTHING, Alt, Expression, Ref, literal, seq
from .facts import (
    ANNOTATIONS,
    Facts,
    Objects,
    Strings,
    Sub,
    Subs,
    facts_of,
    refuse,
)
from .formats import pattern_of
from .grammar import Grammar
from .json_rules import QUOTE, RULES, dumped, spelled, times
from .numbers import integers, numbers
from .regex import ANY, anywhere, full
from .schema_arrays import array
from .schema_objects import object_
from .schema_unions import check_apart

MAX_DEPTH = 64
MAX_NESTING = 4
MAX_VARIANTS = 256
MAX_LENGTH = 1 << 20
MAX_STRING = 10_000


def rules_of(schema: Any) -> dict[str, Expression]:
    """The rules of the values that a schema allows, beginning with `root`."""
    return Schema(schema).rules()


def parsed(text: str) -> Any:
    """A schema from its JSON text."""
    if len(text) > MAX_LENGTH:
        raise GrammarError(f"the schema has more than {MAX_LENGTH} characters: split it up")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GrammarError(f"the schema is no JSON: {error}; check its text") from None


class Schema:
    """A schema, and the rules that were made of its parts so far."""

    def __init__(self, root: Any, nesting: int = 0, *, beside: Schema | None = None) -> None:
        """`beside` is another schema, of whose rules this one's shall be told apart."""
        if nesting > MAX_NESTING:
            raise refuse("#", "listed values have demands that list values, and so on: list fewer")
        self.root, self._nesting = root, nesting
        self.made: dict[str, Expression] = {}
        self._names: dict[frozenset[str], str] = {}
        self._taken: set[str] = {"root", *RULES} if beside is None else beside._taken
        self._used: set[str] = set()
        self._depth = 0
        self._later: list[tuple[str, Subs]] = []

    def rules(self) -> dict[str, Expression]:
        return self.rules_from(self.value(((self.root, "#"),)))

    def rules_from(self, root: Expression) -> dict[str, Expression]:
        while self._later:
            name, subs = self._later.pop()
            self.made[name] = self.body(subs)
        return {"root": root, **RULES, **self.made}

    # ---- one value

    def value(self, subs: Subs) -> Expression:
        """A value for which all these schemas hold: a rule of its own, unless it is a short one."""
        given, subs = subs, tuple({sub[1]: sub for sub in map(self.followed, subs)}.values())
        key = frozenset(pointer for _, pointer in subs)
        if key in self._names:
            name = self._names[key]
            self._used.add(name)
            return Ref(name)
        name = self._names[key] = self.new_name(" & ".join(sorted(key)) or "any")
        if {place for _, place in given} != key:
            # references may go on and on: they are followed one after the other
            self._later.append((name, subs))
            return Ref(name)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise refuse(subs[0][1], f"schemas are nested deeper than {MAX_DEPTH}")
        body = self.body(subs)
        self._depth -= 1
        if isinstance(body, Ref) and name not in self._used:
            del self._names[key]
            return body
        self.made[name] = body
        return Ref(name)

    def new_name(self, wanted: str) -> str:
        name, n = wanted, 1
        while name in self._taken:
            n += 1
            name = f"{wanted} {n}"
        self._taken.add(name)
        return name

    def body(self, subs: Subs) -> Expression:
        if len(subs) == 1:
            schema, pointer = subs[0]
            keys = schema.keys() - ANNOTATIONS if isinstance(schema, dict) else set()
            if keys in ({"anyOf"}, {"oneOf"}):
                alternatives = self.alternatives(schema, next(iter(keys)), pointer)
                return Alt(tuple(self.value((sub,)) for sub in alternatives))
        variants = self.variants(subs)
        return alternatives_of([self.expression(facts) for facts in variants])

    def alternatives(self, schema: Mapping[str, Any], key: str, pointer: str) -> list[Sub]:
        found = schema[key]
        pointer = f"{pointer}/{key}"
        if not isinstance(found, list) or not found:
            raise refuse(pointer, "expected a list of schemas that is not empty")
        subs = [(sub, f"{pointer}/{i}") for i, sub in enumerate(found)]
        return check_apart(self, subs, pointer) if key == "oneOf" else subs

    # ---- schemas that are one

    def followed(self, sub: Sub) -> Sub:
        """What a schema that is only a reference refers to."""
        seen = set()
        while True:
            schema, pointer = sub
            keys = schema.keys() - ANNOTATIONS if isinstance(schema, dict) else set()
            if keys != {"$ref"}:
                return sub
            if pointer in seen:
                raise refuse(pointer, "this reference leads back to itself")
            seen.add(pointer)
            sub = self.resolved(schema["$ref"], pointer)

    def resolved(self, reference: Any, pointer: str) -> Sub:
        pointer = f"{pointer}/$ref"
        if not isinstance(reference, str):
            raise refuse(pointer, f"expected a string, not {reference!r}")
        if reference != "#" and not reference.startswith("#/"):
            raise refuse(
                pointer,
                f"{reference!r} is not in this schema: only references such as '#/$defs/name' "
                f"can be followed",
            )
        target = self.root
        for part in reference.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict) and key in target:
                target = target[key]
            elif isinstance(target, list) and key.isdecimal() and int(key) < len(target):
                target = target[int(key)]
            else:
                raise refuse(pointer, f"{reference!r} leads nowhere: there is no {key!r}")
        return target, reference

    def variants(self, subs: Subs, within: frozenset[str] = frozenset()) -> list[Facts]:
        """The ways to fulfil all of these schemas."""
        found = [Facts("#" if not subs else subs[0][1])]
        for sub in subs:
            found = joined(found, self.variants_of(sub, within))
        return found

    def variants_of(self, sub: Sub, within: frozenset[str]) -> list[Facts]:
        schema, pointer = sub
        if schema is True:
            return [Facts(pointer)]
        if schema is False:
            return []
        if not isinstance(schema, dict):
            raise refuse(pointer, f"expected a schema, not {schema!r}")
        if pointer in within:
            raise refuse(pointer, "this schema is a part of itself by references alone")
        within |= {pointer}
        if len(within) > MAX_DEPTH:
            raise refuse(pointer, f"schemas refer to each other through more than {MAX_DEPTH}")
        own = facts_of(schema, pointer)
        found = [own]
        if "$ref" in schema:
            target = self.resolved(schema["$ref"], pointer)
            found = joined(found, self.variants_of(target, within))
        if "allOf" in schema:
            found = self.all_of(schema, own, found, within, f"{pointer}/allOf")
        for key in ("anyOf", "oneOf"):
            if key in schema:
                subs = self.alternatives(schema, key, pointer)
                found = joined(found, [f for sub in subs for f in self.variants_of(sub, within)])
        return found

    def all_of(
        self,
        schema: Mapping[str, Any],
        own: Facts,
        found: list[Facts],
        within: frozenset[str],
        pointer: str,
    ) -> list[Facts]:
        """Schemas that all hold. As in llama.cpp their properties are required, unless the schema
        has properties itself, to which then only those are added that it requires.
        """
        parts = schema["allOf"]
        if not isinstance(parts, list) or not parts:
            raise refuse(pointer, "expected a list of schemas that is not empty")
        required: list[str] = []
        for i, part in enumerate(parts):
            sub = self.followed((part, f"{pointer}/{i}"))
            loose = self.loose_properties(sub)
            variants = [loose] if loose else self.variants_of(sub, within)
            if not loose and len(variants) == 1:
                required += variants[0].objects.properties
            found = joined(found, variants)
        return [
            facts.only(objects=_closed(facts.objects, own.objects, required)) for facts in found
        ]

    def loose_properties(self, sub: Sub) -> Facts | None:
        """Alternatives that only describe properties without requiring any: all may be there."""
        schema, pointer = sub
        keys = schema.keys() - ANNOTATIONS if isinstance(schema, dict) else set()
        if keys != {"anyOf"} or not isinstance(schema["anyOf"], list):
            return None
        found = Facts(pointer, objects=Objects(declares=True))
        for i, part in enumerate(schema["anyOf"]):
            schema, place = self.followed((part, f"{pointer}/anyOf/{i}"))
            keys = schema.keys() - ANNOTATIONS if isinstance(schema, dict) else set()
            if not {"properties"} <= keys <= {"properties", "type"}:
                return None
            found &= facts_of(schema, place)
        return found

    # ---- facts to expressions

    def expression(self, facts: Facts) -> Expression:
        if facts.values is not None:
            allowed = [value for value in facts.values if self.allows(facts, value)]
            return alternatives_of([literal(dumped(value)) for value in allowed])
        types = facts.likely_types
        if types == Facts("").likely_types and facts.only(pointer="") == Facts(""):
            return Ref("value")
        return alternatives_of([self.typed(facts, name) for name in sorted(types)])

    def typed(self, facts: Facts, name: str) -> Expression:
        with at(facts.pointer):
            match name:
                case "object":
                    return object_(self, facts)
                case "array":
                    return array(self, facts)
                case "string":
                    return self.string(facts.strings, facts.pointer)
                case "integer":
                    return integers(facts.bounds)
                case "number":
                    return numbers(facts.bounds)
        return Ref(name)

    def string(self, strings: Strings, pointer: str) -> Expression:
        if strings == Strings():
            return Ref("string")
        for count in (strings.least, strings.most or 0):
            if count > MAX_STRING:
                raise GrammarError(f"a length of {count} is more than {MAX_STRING}: bound it lower")
        if not strings.patterns and not strings.formats:
            if strings.most is not None and strings.most < strings.least:
                return NOTHING
            # two escapes may be one character: they count as two only where that does no harm
            unit = Ref("char") if not strings.least else spelled_character()
            return seq(QUOTE, times(unit, strings.least, strings.most), QUOTE)
        return spelled(self.set_of(strings, pointer))

    def set_of(self, strings: Strings, pointer: str) -> Automaton:
        """The strings that fulfil patterns, formats and lengths at once."""
        found = []
        for pattern, place in strings.patterns:
            with at(place):
                found.append(automaton(anywhere(pattern)))
        for name in strings.formats:
            found.append(automaton(full(pattern_of(name, f"{pointer}/format"))))
        if strings.least or strings.most is not None:
            found.append(lengths(strings.least, strings.most))
        result = found[0]
        for other in found[1:]:
            result &= other
        return result

    def allows(self, facts: Facts, value: Any) -> bool:
        """Whether a value that is listed fulfils what else is demanded."""
        types = types_of(value)
        if facts.types is not None and not facts.types & types:
            return False
        rest = facts.only(values=None, types=types - ({"integer"} if "number" in types else set()))
        if rest == Facts(facts.pointer, rest.types):
            return True
        apart = Schema(self.root, self._nesting + 1)
        return Grammar(apart.rules_from(apart.expression(rest))).accepts(dumped(value))


def _closed(objects: Objects, own: Objects, required: list[str]) -> Objects:
    if own.declares and objects.others is None:
        kept = {
            name: subs
            for name, subs in objects.properties.items()
            if name in own.properties or name in objects.required
        }
        required = []
    else:
        kept = objects.properties
    names = tuple(dict.fromkeys([*objects.required, *required]))
    return Objects(
        kept, names, objects.patterns, objects.others, objects.least, objects.most, objects.declares
    )


def joined(a: list[Facts], b: list[Facts]) -> list[Facts]:
    if len(a) * len(b) > MAX_VARIANTS:
        raise refuse(
            b[0].pointer, f"alternatives combine in more than {MAX_VARIANTS} ways: use fewer"
        )
    return [first & second for first in a for second in b]


def alternatives_of(items: list[Expression]) -> Expression:
    items = [item for item in dict.fromkeys(items) if item != NOTHING]
    return items[0] if len(items) == 1 else Alt(tuple(items))


def lengths(least: int, most: int | None) -> Automaton:
    """Strings of so many characters."""
    arcs = [((ANY, i + 1),) for i in range(least if most is None else most)]
    last: tuple[Any, ...] = () if most is not None else ((ANY, len(arcs)),)
    return Automaton((*arcs, last), frozenset(range(least, len(arcs) + 1)))


def spelled_character() -> Expression:
    body = spelled(lengths(1, 1))
    return body.items[1]  # type: ignore[union-attr]


def types_of(value: Any) -> frozenset[str]:
    match value:
        case None:
            return frozenset({"null"})
        case bool():
            return frozenset({"boolean"})
        case int():
            return frozenset({"integer", "number"})
        case float():
            return frozenset({"number", "integer"} if value.is_integer() else {"number"})
        case str():
            return frozenset({"string"})
        case list():
            return frozenset({"array"})
    return frozenset({"object"})


@contextlib.contextmanager
def at(pointer: str) -> Iterator[None]:
    """Errors from within say where in the schema they belong."""
    try:
        yield
    except GrammarError as error:
        if str(error).startswith("#"):
            raise
        raise GrammarError(f"{pointer}: {error}") from None
