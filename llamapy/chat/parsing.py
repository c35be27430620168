"""Answers read whole, or as they come."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from ..errors import UnsupportedError
from .answer import Answer
from .dialect import Dialect, Tools


@functools.cache
def all_dialects() -> dict[str, type[Dialect]]:
    """The dialects that there are, by name: the folder is the list."""
    package = importlib.import_module(f"{__package__}.dialects")
    found: dict[str, type[Dialect]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        found[info.name] = next(
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, Dialect)
            and value.__module__ == module.__name__
        )
    return found


def dialect_of(template: str) -> type[Dialect]:
    """The dialect of models that have this chat template: that with most of its signs in it."""
    found = [each for each in all_dialects().values() if each.is_of(template)]
    return max(found, key=lambda each: sum(map(len, each.signs)))


def find_dialect(dialect: str | type[Dialect]) -> type[Dialect]:
    if not isinstance(dialect, str):
        return dialect
    if dialect not in all_dialects():
        raise UnsupportedError(
            f"there is no dialect {dialect!r}: there are {', '.join(all_dialects())}; "
            f"dialect_of(template) finds that of a chat template"
        )
    return all_dialects()[dialect]


class Parser:
    """An answer as it comes: what `feed` and `finish` give adds up to the whole answer.

    `tool_calls` has a call when it is complete, and `call_pieces` what came of it so far: until
    then it may turn out to be text. Nothing is an error, and nothing is lost: what cannot be read
    as anything else is content.

    >>> parser = Parser("hermes")
    >>> parser.feed("<think>Hm.</think>He"), parser.feed("llo")
    (Answer(content='He', reasoning='Hm.', tool_calls=()), Answer(content='llo', reasoning='', \
tool_calls=()))
    """

    def __init__(
        self, dialect: str | type[Dialect], *, prompt: str = "", tools: Tools | None = None
    ) -> None:
        """`prompt` is the text that is answered; its end may have opened the reasoning already.

        `tools` give arguments their types; an empty list says that there are no calls.
        """
        self._dialect = find_dialect(dialect)(tools)
        self._reading = self._dialect.read(prompt)
        self._go_on()

    def feed(self, text: str) -> Answer:
        """What this text adds."""
        reader = self._dialect.reader
        if text and not reader.ended:
            reader.text += text
            self._go_on()
        return self._dialect.take()

    def finish(self) -> Answer:
        """What was held back; the text is over."""
        if not self._dialect.reader.ended:
            self._dialect.reader.ended = True
            self._go_on()
        return self._dialect.take()

    def _go_on(self) -> None:
        next(self._reading, None)


def parse(
    text: str, dialect: str | type[Dialect], *, prompt: str = "", tools: Tools | None = None
) -> Answer:
    """A whole answer.

    >>> parse('<tool_call>{"name": "now", "arguments": {}}</tool_call>', "hermes").tool_calls
    (ToolCall(name='now', arguments={}, id=None),)
    """
    parser = Parser(dialect, prompt=prompt, tools=tools)
    return parser.feed(text) + parser.finish()
