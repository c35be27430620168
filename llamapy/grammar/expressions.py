"""What grammars are made of: characters, tokens, names of rules, and ways to put them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .characters import Ranges, characters


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of a set. A token may not end within a character that might still become one
    of `unsure`: so llama.cpp reads what a class excludes.
    """

    ranges: Ranges
    unsure: Ranges = ()


@dataclass(frozen=True, slots=True)
class TokenIs:
    """One token, named by its id or by its text; or any other one."""

    token: int | str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Ref:
    """What a rule matches."""

    name: str


@dataclass(frozen=True, slots=True)
class Seq:
    """One after the other."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Alt:
    """Any one of these; of none, nothing matches."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """At least `least` times, at most `most` (None: as often as one likes)."""

    item: Expression
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Machine:
    """A finite automaton: for each state the arcs `(characters, next state)`; it begins in 0."""

    arcs: tuple[tuple[tuple[Ranges, int], ...], ...]
    finals: frozenset[int]


Expression: TypeAlias = Chars | TokenIs | Ref | Seq | Alt | Repeat | Machine

EMPTY = Seq(())
NOTHING = Alt(())


def literal(text: str) -> Expression:
    """A text as it stands."""
    return Seq(tuple(Chars(characters(c)) for c in text))


def seq(*items: Expression | str) -> Expression:
    """One after the other; a str stands for itself."""
    return Seq(tuple(literal(item) if isinstance(item, str) else item for item in items))


def alt(*items: Expression | str) -> Expression:
    """Any one of these; a str stands for itself."""
    return Alt(tuple(literal(item) if isinstance(item, str) else item for item in items))


def optional(item: Expression) -> Expression:
    return Repeat(item, 0, 1)
