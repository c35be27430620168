"""Tokens become text as they come: whole characters only, and nothing of a stop string."""

from __future__ import annotations

from collections.abc import Sequence

from ...tokenizers import Tokenizer


class Writer:
    """Gives the text of tokens as soon as it is clear. `stop` is the stop string that was found.

    What may still become a stop string is held back, however many tokens it takes; what stands
    before one is given.
    """

    def __init__(
        self, tokenizer: Tokenizer | None, stops: Sequence[str] = (), *, special: bool = False
    ) -> None:
        self._text = None if tokenizer is None else tokenizer.stream(special=special)
        self._stops = tuple(stops)
        self._held = ""
        self.stop: str | None = None

    def __call__(self, token: int) -> str:
        """The text that has become clear with this token."""
        return "" if self._text is None or self.stop is not None else self._take(self._text(token))

    def finish(self) -> str:
        """What was held back, for nothing follows."""
        if self._text is None or self.stop is not None:
            return ""
        text, self._held = self._take(self._text.finish()) + self._held, ""
        return text

    def _take(self, new: str) -> str:
        text = self._held + new
        if not self._stops:
            return text
        from ...chat.reading import any_of, half_mark

        if found := any_of(self._stops).search(text):
            self.stop, self._held = found[0], ""
            return text[: found.start()]
        clear = len(text) - half_mark(text, 0, self._stops)
        self._held = text[clear:]
        return text[:clear]
