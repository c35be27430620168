"""Numbers within bounds, and multiples, as automata over how they are written.

A number is compared with a bound digit by digit while it is written. As in llama.cpp there are at
most 16 digits before the point, behind it, and in exponents. Where a size is bounded there is no
exponent: a set of numbers with both is too large for an automaton of sensible size.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from ..errors import GrammarError
from .automaton import Automaton, explore
from .characters import Ranges, characters
from .expressions import Expression, Ref

MAX_DIGITS = 16
MAX_DIVISOR = 300
MAX_BOUND = 400

LESS, SAME, MORE = -1, 0, 1


@dataclass(frozen=True)
class Bounds:
    """What numbers are allowed. `floor` and `ceiling` may themselves be excluded."""

    floor: Decimal | None = None
    ceiling: Decimal | None = None
    above: bool = False
    below: bool = False
    divisors: tuple[Decimal, ...] = ()

    def __and__(self, other: Bounds) -> Bounds:
        floor, above = _tighter(self.floor, self.above, other.floor, other.above, 1)
        ceiling, below = _tighter(self.ceiling, self.below, other.ceiling, other.below, -1)
        divisors = tuple(dict.fromkeys(self.divisors + other.divisors))
        return Bounds(floor, ceiling, above, below, divisors)

    def of_sign(self, negative: bool) -> Bounds | None:
        """The bounds of the magnitude of numbers with this sign; None if there are none."""
        if negative:
            turned = replace(
                self,
                floor=None if self.ceiling is None else -self.ceiling,
                ceiling=None if self.floor is None else -self.floor,
                above=self.below,
                below=self.above,
            )
            return turned.of_sign(False)
        if self.ceiling is not None and (self.ceiling < 0 or (self.ceiling == 0 and self.below)):
            return None
        if self.floor is not None and self.floor < 0:
            return replace(self, floor=None, above=False)
        return self


def _tighter(
    a: Decimal | None, a_open: bool, b: Decimal | None, b_open: bool, sign: int
) -> tuple[Decimal | None, bool]:
    if a is None or b is None:
        return (b, b_open) if a is None else (a, a_open)
    if a == b:
        return a, a_open or b_open
    return (a, a_open) if (a > b) == (sign > 0) else (b, b_open)


def integers(bounds: Bounds) -> Expression:
    """Whole numbers within bounds."""
    if bounds == Bounds():
        return Ref("integer")
    return written_numbers(bounds, True).as_expression()


def numbers(bounds: Bounds) -> Expression:
    """Numbers within bounds."""
    if bounds == Bounds():
        return Ref("number")
    return written_numbers(bounds, False).as_expression()


class Digits(NamedTuple):
    """How a number that is being written compares: its sign, which part of it one is in (`int`,
    `zero`, `point`, `decimals`), the digits written in that part, whether all are 0 so far, the
    power of ten of its first other digit while that matters, how it compares with floor and
    ceiling, and its remainders.
    """

    negative: bool
    part: str
    n_digits: int
    is_zero: bool
    power: int
    floor: int
    ceiling: int
    remainders: tuple[int, ...]


class Exponent(NamedTuple):
    """An exponent that is being written: `sign` (one may follow), `first` (a digit must follow),
    `zero` or `digits`.
    """

    part: str
    n_digits: int


class Sign(NamedTuple):
    """The beginning of a number."""

    negative: bool
    is_written: bool


State: TypeAlias = Sign | Digits | Exponent
Leaving: TypeAlias = Iterator[tuple[Ranges, State]]

START: State = Sign(False, False)


@functools.lru_cache(maxsize=256)
def written_numbers(bounds: Bounds, is_whole: bool) -> Automaton:
    """The ways to write the numbers within bounds."""
    writer = _Writer(bounds, is_whole)
    return explore(START, writer.leave, writer.is_final)


class _Writer:
    """The states in which a number may be while it is written, and what may follow."""

    def __init__(self, bounds: Bounds, is_whole: bool) -> None:
        self.bounds, self.is_whole = bounds, is_whole
        self.signed = {sign: bounds.of_sign(sign) for sign in (False, True)}
        # 0 with a sign is as llama.cpp has it: only where negative numbers are asked for
        self.has_negative_zero = not is_whole or (bounds.floor is not None and bounds.floor < 0)
        self.scale, self.divisors = _scaled(bounds.divisors)
        if any(divisor > MAX_DIVISOR for divisor in self.divisors):
            raise GrammarError(
                f"multipleOf is enforced up to {MAX_DIVISOR} steps of its last digit: ask for a "
                f"smaller one"
            )
        longest = max((b.adjusted() + 1 for b in (bounds.floor, bounds.ceiling) if b), default=0)
        if longest > MAX_BOUND:
            raise GrammarError(f"a bound has more than {MAX_BOUND} digits: ask for a smaller one")
        self.max_digits = max(MAX_DIGITS, longest)

    def leave(self, state: State) -> Leaving:
        match state:
            case Sign(negative, is_written):
                if not is_written and self.signed[True]:
                    yield characters("-"), Sign(True, True)
                if self.signed[negative]:
                    none = (0,) * len(self.divisors)
                    begin = Digits(negative, "begin", 0, True, 0, SAME, SAME, none)
                    yield from self.digits(begin)
            case Digits(part=part, n_digits=n_digits):
                if part == "int" and n_digits < self.max_digits:
                    yield from self.digits(state)
                if part in ("point", "decimals") and n_digits < MAX_DIGITS:
                    yield from self.digits(state)
                if part in ("int", "zero") and not self.is_whole:
                    yield characters("."), self.pointed(state)
                if part != "point" and self.may_have_exponent(state):
                    yield characters("eE"), Exponent("sign", 0)
            case Exponent(part, n_digits):
                if part == "sign":
                    yield characters("+-"), Exponent("first", 0)
                if part != "zero" and n_digits < MAX_DIGITS:
                    yield characters("0"), Exponent("digits" if n_digits else "zero", n_digits + 1)
                    yield characters("123456789"), Exponent("digits", n_digits + 1)

    def digits(self, at: Digits) -> Leaving:
        for digit in range(10):
            # what has more decimals than the steps is no multiple
            has_more = at.part in ("point", "decimals") and at.n_digits >= self.scale
            if digit and has_more and self.divisors:
                continue
            yield characters(str(digit)), self.written(at, digit)

    def written(self, at: Digits, digit: int) -> Digits:
        """The number with one more digit."""
        bounds = self.signed[at.negative]
        assert bounds is not None
        n_digits = at.n_digits + 1
        is_zero = at.is_zero and not digit
        if at.part in ("begin", "int"):
            part = "zero" if is_zero else "int"
            power, place = n_digits - 1, n_digits - 1
        else:
            part = "decimals"
            power = -n_digits if at.is_zero else at.power
            place = power + n_digits
        floor, ceiling = (
            SAME if is_zero else self.compared(part, before, bound, power, place, digit)
            for before, bound in ((at.floor, bounds.floor), (at.ceiling, bounds.ceiling))
        )
        remainders = at.remainders
        if part != "decimals" or n_digits <= self.scale:
            remainders = tuple(
                (r * 10 + digit) % d for r, d in zip(remainders, self.divisors, strict=True)
            )
        if is_zero or (part == "decimals" and SAME not in (floor, ceiling)):
            power = 0
        return Digits(at.negative, part, n_digits, is_zero, power, floor, ceiling, remainders)

    def pointed(self, at: Digits) -> Digits:
        """The number with a point behind its digits: now one knows how large it is."""
        bounds = self.signed[at.negative]
        assert bounds is not None
        power = 0 if at.is_zero else at.n_digits - 1
        floor, ceiling = at.floor, at.ceiling
        if not at.is_zero and bounds.floor and power != bounds.floor.adjusted():
            floor = MORE if power > bounds.floor.adjusted() else LESS
        if not at.is_zero and bounds.ceiling and power != bounds.ceiling.adjusted():
            ceiling = MORE if power > bounds.ceiling.adjusted() else LESS
        if SAME not in (floor, ceiling):
            power = 0
        return at._replace(part="point", n_digits=0, power=power, floor=floor, ceiling=ceiling)

    def compared(
        self, part: str, before: int, bound: Decimal | None, power: int, place: int, digit: int
    ) -> int:
        """How the digits compare with those of a bound, if the point is where the bound's is."""
        if not bound:
            return MORE
        if before != SAME:
            return before
        if part == "decimals" and power != bound.adjusted():
            return MORE if power > bound.adjusted() else LESS
        digits = bound.normalize().as_tuple().digits
        other = digits[place] if place < len(digits) else 0
        return (digit > other) - (digit < other)

    def may_have_exponent(self, at: Digits) -> bool:
        bounds = self.signed[at.negative]
        assert bounds is not None
        unbounded = not bounds.floor and bounds.ceiling is None
        return unbounded and not self.is_whole and not self.divisors and self.fits(at)

    def is_final(self, state: State) -> bool:
        match state:
            case Exponent(part):
                return part in ("zero", "digits")
            case Digits(part=part):
                return part != "point" and self.fits(state) and self.is_multiple(state)
        return False

    def fits(self, at: Digits) -> bool:
        """Whether the number is within the bounds if it ends here."""
        bounds = self.signed[at.negative]
        assert bounds is not None
        if at.is_zero:
            if at.negative and not self.has_negative_zero:
                return False
            return (
                not bounds.floor and not bounds.above and not (bounds.ceiling == 0 and bounds.below)
            )
        floor, ceiling = (
            self.ended(at, bounds.floor, at.floor),
            self.ended(at, bounds.ceiling, at.ceiling),
        )
        if bounds.floor and (floor == LESS or (floor == SAME and bounds.above)):
            return False
        if bounds.ceiling is None:
            return True
        return ceiling == LESS or (ceiling == SAME and not bounds.below)

    def ended(self, at: Digits, bound: Decimal | None, compared: int) -> int:
        """How the number compares with a bound if it ends here."""
        if not bound:
            return MORE
        if at.part != "decimals":
            power = at.n_digits - 1
            if power != bound.adjusted():
                return MORE if power > bound.adjusted() else LESS
            n_written = at.n_digits
        else:
            n_written = at.power + at.n_digits + 1
        if compared == SAME and n_written < len(bound.normalize().as_tuple().digits):
            return LESS
        return compared

    def is_multiple(self, at: Digits) -> bool:
        written = at.n_digits if at.part == "decimals" else 0
        missing = 10 ** max(self.scale - written, 0)
        return not any(r * missing % d for r, d in zip(at.remainders, self.divisors, strict=True))


def _scaled(divisors: tuple[Decimal, ...]) -> tuple[int, list[int]]:
    """Divisors as whole numbers, and the power of ten by which numbers are multiplied for it."""
    scale = max((-int(d.normalize().as_tuple().exponent) for d in divisors), default=0)
    scale = max(scale, 0)
    return scale, [int(Fraction(d) * 10**scale) for d in divisors]
