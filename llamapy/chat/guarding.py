"""Text that somebody else wrote, marked so that no control token can come of it.

Before a conversation is rendered, every character with which a control token begins or ends is
replaced by a stand-in that occurs nowhere else, wherever the text is not to be trusted. Whatever
a template does to such text, the control tokens in the outcome are then the template's own. When
they have been split out, stand-ins become what they stood for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import TemplateError

# characters that Unicode leaves to private use
PRIVATE = (*range(0xE000, 0xF900), *range(0xF0000, 0xF1000))
# what templates compare rather than show
WORDS = frozenset({"role", "type", "name", "id", "tool_call_id"})


class Guard:
    """Stand-ins for the edges of control tokens, none of which is in the conversation."""

    def __init__(self, controls: Iterable[str], conversation: str) -> None:
        self.controls = [text for text in controls if text]
        self.longest = max(map(len, self.controls), default=0)
        self._free = (
            code
            for code in PRIVATE
            if chr(code) not in conversation and escape(code) not in conversation
        )
        self._stand_ins: dict[str, str] = {}
        edges = {edge for text in self.controls for edge in edges_of(text)}
        self._hidden = {ord(edge): self._stand_in(edge) for edge in sorted(edges)}

    def _stand_in(self, character: str) -> str:
        if character not in self._stand_ins:
            if (code := next(self._free, None)) is None:
                raise TemplateError(
                    "the conversation has every character for private use in it, so that none is "
                    "left to guard control tokens with: take some out"
                )
            self._stand_ins[character] = chr(code)
        return self._stand_ins[character]

    def hide(self, value: Any, key: str = "") -> Any:
        """A tree of values, its texts guarded."""
        if isinstance(value, str):
            return self._hide_text(value, key in WORDS)
        if isinstance(value, Mapping):
            return {self.hide(name, "name"): self.hide(each, name) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.hide(each, key) for each in value]
        return value

    def _hide_text(self, text: str, is_word: bool) -> str:
        inside = text.strip()
        # the template may have the rest of a token around it
        may_be_inside = 0 < len(inside) < self.longest and not is_word
        if may_be_inside and any(inside in control for control in self.controls):
            text = text.replace(inside[0], self._stand_in(inside[0]), 1)
        return text.translate(self._hidden)

    def show(self, text: str) -> str:
        """The text as it was; JSON may have stand-ins as escapes."""
        for character, stand_in in self._stand_ins.items():
            text = text.replace(stand_in, character).replace(escape(ord(stand_in)), character)
        return text


def edges_of(control: str) -> set[str]:
    """The characters to hide: the first and the last that are neither letters, digits nor space."""
    marks = [each for each in control if not each.isalnum() and not each.isspace()]
    return {marks[0], marks[-1]} if marks else {control[0]}


def escape(code: int) -> str:
    """A character as JSON in ASCII has it."""
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
