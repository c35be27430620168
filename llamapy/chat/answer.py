"""What a model answered: text for people, reasoning, and calls of tools."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ToolCall:
    """A model wants this function called with these arguments."""

    name: str
    arguments: dict[str, Any]
    id: str | None = None

    def as_message(self) -> dict[str, Any]:
        """As messages have it, the arguments being JSON."""
        arguments = json.dumps(self.arguments, ensure_ascii=False)
        call = {"type": "function", "function": {"name": self.name, "arguments": arguments}}
        return {"id": self.id, **call} if self.id is not None else call


@dataclass(frozen=True)
class CallPiece:
    """What a stream adds to the call of this number: its name first, then JSON of its arguments.

    Where `is_new`, forget what came for this number before: it was no call, or another one.
    """

    index: int
    name: str = ""
    arguments: str = ""
    id: str | None = None
    is_new: bool = False

    def __add__(self, more: CallPiece) -> CallPiece:
        if more.is_new:
            return more
        name, arguments = self.name + more.name, self.arguments + more.arguments
        id = self.id if more.id is None else more.id
        return CallPiece(self.index, name, arguments, id, self.is_new)

    def __bool__(self) -> bool:
        return bool(self.name or self.arguments or self.id or self.is_new)


@dataclass(frozen=True)
class Answer:
    """An answer, or what a stream adds to it: the sum of the parts is the whole.

    `tool_calls` are complete; `call_pieces` say the same, and also what came of calls so far.
    """

    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    call_pieces: tuple[CallPiece, ...] = field(default=(), compare=False, repr=False)

    def __add__(self, more: Answer) -> Answer:
        pieces = {piece.index: piece for piece in self.call_pieces}
        for piece in more.call_pieces:
            pieces[piece.index] = pieces[piece.index] + piece if piece.index in pieces else piece
        return Answer(
            self.content + more.content,
            self.reasoning + more.reasoning,
            self.tool_calls + more.tool_calls,
            tuple(pieces[index] for index in sorted(pieces)),
        )

    def __bool__(self) -> bool:
        return bool(self.content or self.reasoning or self.tool_calls or self.call_pieces)

    def as_message(self) -> dict[str, Any]:
        """A message to go on with the conversation."""
        message: dict[str, Any] = {"role": "assistant", "content": self.content}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = [call.as_message() for call in self.tool_calls]
        return message


class Flow:
    """Text of one kind, as it comes. White space beside something else is layout, unless text
    stands on both sides.
    """

    def __init__(self) -> None:
        self.new = ""  # nobody has taken it yet
        self.begun = False
        self._held = ""
        self._beside = False

    def write(self, text: str) -> None:
        text = self._held + text
        if self._beside and not self.begun:
            text = text.lstrip()
        kept = text.rstrip()
        self._held = text[len(kept) :]
        if kept:
            self.begun, self._beside = True, False
            self.new += kept

    def aside(self) -> None:
        """Here stands something else."""
        self._beside = True

    def end(self) -> None:
        if not self._beside:
            self.new += self._held
        self._held = ""

    def take(self) -> str:
        taken, self.new = self.new, ""
        return taken
