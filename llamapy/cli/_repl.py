"""The chat: what a person types is answered; what begins with / is done."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import LlamapyError
from ._conversation import Conversation
from ._reading import Reader
from ._screen import Screen, interruptible

if TYPE_CHECKING:
    from ._running import Teller

GREETING = "/help lists commands; Ctrl-C stops an answer; Ctrl-D ends."


class Chat:
    """A conversation on the screen."""

    def __init__(self, conversation: Conversation, screen: Screen, teller: Teller) -> None:
        self.conversation, self.screen, self.teller = conversation, screen, teller
        self.is_over = self.is_quiet = False

    # ---- answers

    def answer(self, text: str) -> Any:
        """Ask, show the answer as it comes, and return the result."""
        conversation, screen = self.conversation, self.screen
        before = conversation.messages
        self.teller.begin()
        stream = conversation.ask(text)
        try:
            with interruptible(stream):
                for piece in stream:
                    self.teller.piece()
                    if not self.is_quiet:
                        self._show(piece)
            result = stream.result
        except BaseException:
            stream.close()
            conversation.messages = before
            raise
        finally:
            if not self.is_quiet:
                screen.end()
        if told := ending(result):
            screen.note(told)
        self.teller.tell(screen, result)
        return result

    def _show(self, piece: Any) -> None:
        """A part of an answer: reasoning stands apart from what is said."""
        n = len(piece.tokens)
        if piece.reasoning:
            self.screen.write(piece.reasoning, n, dim=True)
            n = 0
        self.screen.write(piece.content, n)
        for call in piece.tool_calls:
            self.screen.write(f"{call.name}({call.arguments})\n")

    # ---- the loop

    def run(self, reader: Reader, *, first: str | None = None, once: bool = False) -> None:
        """Answer until a person has had enough."""
        if first is None:
            print(GREETING, file=sys.stderr)
        else:
            self._try(self.answer, first)
        self.is_over = once and first is not None
        # one that comes while the first is answered is a second Ctrl-C, too
        with contextlib.suppress(KeyboardInterrupt):
            self._loop(reader, once)

    def _loop(self, reader: Reader, once: bool) -> None:
        was_interrupted = False
        while not self.is_over:
            try:
                text = reader.message()
                was_interrupted = False
                if text.strip():
                    self._try(self._do, text)
                    self.is_over = self.is_over or once
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print()
                if was_interrupted:
                    return
                was_interrupted = True
                print("Ctrl-C again, or Ctrl-D, ends.", file=sys.stderr)

    def _try(self, action: Callable[[str], object], text: str) -> None:
        """What goes wrong is said, and the chat goes on; as after a second Ctrl-C."""
        try:
            action(text)
        except (LlamapyError, OSError) as error:
            from ..gguf.summary import visible

            self.screen.note(visible(str(error)))
        except KeyboardInterrupt:
            print(file=sys.stderr)

    def _do(self, text: str) -> None:
        """Answer, or do what a command says; a space before a / makes it text."""
        if not text.startswith("/"):
            self.answer(text)
            return
        name, _, rest = text[1:].partition(" ")
        command = COMMANDS.get(name)
        if command is None:
            there = " ".join(f"/{each}" for each in COMMANDS)
            self.screen.note(f"no command /{name}: there are {there}; put a space before to say it")
            return
        command(self, rest.strip())

    # ---- commands: the first line of each is its help

    def help(self, _: str) -> None:
        """say this"""
        for name, command in COMMANDS.items():
            print(f"  /{name:<8} {command.__doc__}")
        print('  A line that ends in \\ goes on in the next; so do lines between two """.')

    def clear(self, _: str) -> None:
        """forget the conversation, but for the system message"""
        self.conversation.clear()
        self.screen.note("a new conversation")

    def regen(self, _: str) -> None:
        """answer the last question again"""
        question = self.conversation.undo()
        if question is None:
            self.screen.note("there is no question yet")
        else:
            self.answer(question)

    def undo(self, _: str) -> None:
        """take the last question back, and its answer"""
        from ..gguf.summary import shorten

        question = self.conversation.undo()
        if question is None:
            self.screen.note("there is no question yet")
        else:
            self.screen.note(f"taken back: {shorten(question)}")

    def save(self, path: str) -> None:
        """FILE: write the conversation down, as JSON"""
        if not path:
            self.screen.note("name a file: /save FILE")
            return
        self.conversation.save(path)
        self.screen.note(f"{len(self.conversation.messages)} messages are in {path}")

    def load(self, path: str) -> None:
        """FILE: go on with a conversation that was saved"""
        if not path:
            self.screen.note("name a file: /load FILE")
            return
        self.conversation.load(path)
        self.screen.note(f"{len(self.conversation.messages)} messages")

    def system(self, text: str) -> None:
        """[TEXT]: tell the model what it is, or show what it was told; `-` is nothing"""
        if text:
            self.conversation.system = None if text == "-" else text
        self.screen.note(f"system: {self.conversation.system or 'nothing'}")

    def temp(self, text: str) -> None:
        """[T]: set the temperature, or show it"""
        options = self.conversation.options
        if text:
            try:
                options["temperature"] = float(text)
            except ValueError:
                self.screen.note(f"{text!r} is no temperature: write a number, such as /temp 0.7")
                return
        self.screen.note(f"temperature: {options.get('temperature', 'as the model says')}")

    def exit(self, _: str) -> None:
        """leave, as Ctrl-D does"""
        self.is_over = True


COMMANDS: dict[str, Callable[[Chat, str], None]] = {
    "help": Chat.help,
    "clear": Chat.clear,
    "regen": Chat.regen,
    "undo": Chat.undo,
    "save": Chat.save,
    "load": Chat.load,
    "system": Chat.system,
    "temp": Chat.temp,
    "exit": Chat.exit,
}


def ending(result: Any) -> str:
    """What has to be said of how a text ends; nothing if it is whole."""
    n = len(result.tokens)
    return {
        "context": f"the context is full ({result.n_prompt + n} tokens): begin anew with /clear, "
        f"or start with a larger -c",
        "length": f"cut off after {n} tokens, as -n says",
        "cancelled": "stopped",
        "time": "stopped: the time is over",
    }.get(result.finish_reason, "")
