"""How large the outcome of a text's method or of a filter will be, before it is made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..errors import TemplateError
from .budget import ITEM, Budget, size_of

# filters that write all of what they are given as text
WRITING = frozenset(
    (
        *("capitalize", "center", "e", "escape", "forceescape", "format", "indent", "join"),
        *("lower", "pprint", "replace", "safe", "string", "striptags", "title", "tojson", "trim"),
        *("truncate", "upper", "urlencode", "urlize", "wordcount", "wordwrap", "xmlattr"),
    )
)
# filters that take quadratic time, and how much they get
SLOW = frozenset(["striptags", "urlize", "wordwrap", "xmlattr", "pprint"])
SHORT = 20_000
SPACES = " \t\n\r\v\f\x1c\x1d\x1e\x1f"
# 10 to the power of it is computed
PRECISION = 300


# what `foresee` knows of
GROWING = frozenset(
    (
        *("batch", "center", "expandtabs", "format", "format_map", "indent", "ljust", "replace"),
        *("rjust", "round", "rsplit", "slice", "split", "splitlines", "to_bytes", "translate"),
        *("truncate", "wordwrap", "zfill"),
    )
)


def foresee(budget: Budget, name: str, value: Any, args: Any, kwargs: Mapping[str, Any]) -> None:
    """Refuse what would be too large. `name` is a method of `value`, or a filter for it."""
    if name not in GROWING:
        return
    given = [*args, *kwargs.values()]
    numbers = [abs(each) for each in given if isinstance(each, int)]
    largest = max(numbers, default=0)
    texts = max((size_of(each) for each in given if isinstance(each, str)), default=0)
    size = size_of(value)
    if name in ("center", "ljust", "rjust", "zfill", "to_bytes", "truncate", "batch", "slice"):
        budget.make(4 * largest + size)
    elif name == "expandtabs":
        budget.make((value.count("\t") + 1) * max(largest, 8) + size)
    elif name == "indent":
        lines = str(value).count("\n") + 1
        budget.make(lines * (max(largest, 4) + texts) + size)
    elif name == "wordwrap":
        budget.make(size * (1 + texts))
    elif name == "replace" and len(given) >= 2:
        budget.make(size + (size // max(1, size_of(given[0])) + 1) * size_of(given[1]))
    elif name == "translate":
        table = given[0] if given else {}
        each = map(size_of, table.values()) if isinstance(table, Mapping) else [4]
        budget.make(size * (1 + max(each, default=0)))
    elif name in ("split", "rsplit", "splitlines"):
        budget.make(ITEM * pieces(name, value, given) + size)
    elif name in ("format", "format_map"):
        foresee_format(budget, str(value), given)
    elif name == "round" and largest > PRECISION:
        raise TemplateError(
            f"the chat template rounds to {largest} places, more than {PRECISION}: pass another"
        )


def pieces(name: str, text: Any, args: list[Any]) -> int:
    """At most so many pieces come from splitting."""
    at_most = next((each for each in args if type(each) is int and each >= 0), math.inf)
    separator = next((each for each in args if isinstance(each, str | bytes)), None)
    if separator and name != "splitlines":
        found = text.count(separator)
    elif text.isascii():
        text = text.decode() if isinstance(text, bytes) else text
        found = sum(map(text.count, SPACES))
    else:
        found = len(text) if isinstance(text, bytes) else sum(map(str.isspace, text))
    return 1 + int(min(found, at_most))


def foresee_format(budget: Budget, text: str, args: list[Any]) -> None:
    """Widths and precisions, and how often a format can have its arguments in it."""
    number = 0
    for character in text:
        number = number * 10 + int(character) if character in "0123456789" else 0
        if number > budget.limits.value:
            budget.make(number)
    if "*" in text or "{" in text:  # a width may be an argument
        budget.make(max((abs(each) for each in args if isinstance(each, int)), default=0))
    fields = text.count("%") + text.count("{")
    budget.make(len(text) + fields * budget.shown(*args))
