"""A conversation that can be changed: answers taken back, another system message, files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import FormatError
from ..files import replacing

Message = dict[str, Any]


class Conversation:
    """The messages of a session. An answer that fails leaves them as they were."""

    def __init__(self, session: Any, system: str | None = None, **options: Any) -> None:
        self.session, self.options = session, options
        self.system = system

    @property
    def messages(self) -> list[Message]:
        found: list[Message] = self.session.messages
        return found

    @messages.setter
    def messages(self, messages: list[Message]) -> None:
        self.session.messages = messages

    @property
    def system(self) -> str | None:
        """What the model is told before all else."""
        first = self.messages[:1]
        return str(first[0]["content"]) if first and first[0]["role"] == "system" else None

    @system.setter
    def system(self, text: str | None) -> None:
        rest = self.messages if self.system is None else self.messages[1:]
        first = [] if text is None else [{"role": "system", "content": text}]
        self.messages = [*first, *rest]

    def ask(self, text: str) -> Any:
        """The stream of an answer, which the conversation has in it when it is over."""
        return self.session.chat(text, stream=True, **self.options)

    def undo(self) -> str | None:
        """Take the last question back, and its answer; returns it."""
        for at in reversed(range(len(self.messages))):
            if self.messages[at]["role"] == "user":
                question = str(self.messages[at]["content"])
                self.messages = self.messages[:at]
                return question
        return None

    def clear(self) -> None:
        """Begin anew."""
        self.messages = self.messages[: self.system is not None]

    def save(self, path: str) -> None:
        """Write the messages down, as JSON."""
        text = json.dumps({"messages": self.messages}, indent=2, ensure_ascii=False)
        with replacing(path) as out:
            out.write(f"{text}\n".encode("utf-8", "replace"))

    def load(self, path: str) -> None:
        """Go on with a conversation that was saved."""
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
            messages = found["messages"]
            right = all(isinstance(m["role"], str) and "content" in m for m in messages)
        except (ValueError, TypeError, KeyError) as error:
            raise FormatError(f"{path} is no saved conversation: {error!r}") from None
        if not right:
            raise FormatError(f"{path} is no saved conversation: its messages lack roles or texts")
        self.messages = list(messages)
