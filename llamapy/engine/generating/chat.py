"""Conversations: messages become a prompt, and what is generated becomes an answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ... import grammar as grammars
from ... import sampling
from ...chat import Answer, ChatTemplate, Dialect, Parser, ToolCall, dialect_of
from ...chat.forcing import call_grammar, tool_name
from ...chat.parsing import find_dialect
from ...errors import UnsupportedError
from ...grammar.expressions import Ref, Repeat, alt, seq
from .request import Request, request_of
from .result import Piece, Result
from .speaker import template_of
from .stream import View

if TYPE_CHECKING:
    from ..model import Model

Tools = Sequence[Mapping[str, Any]]
NOT_TEXT = ("image", "audio", "video", "file")  # in the names of parts of messages


@dataclass(frozen=True, slots=True)
class Delta(Piece):
    """What a stream adds to an answer: `message`; the sum of all is the whole."""

    message: Answer = field(default_factory=Answer)

    @property
    def content(self) -> str:
        return self.message.content

    @property
    def reasoning(self) -> str:
        return self.message.reasoning

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return self.message.tool_calls

    def __str__(self) -> str:
        return self.message.content


@dataclass(repr=False)
class ChatResult(Result):
    """An answer, in `message`. `text` is all that was generated, marks and control tokens too."""

    message: Answer = field(default_factory=Answer)

    def __str__(self) -> str:
        return self.message.content

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.message!r}, ended by {self.finish_reason}>"

    def parts(self) -> Iterable[tuple[str, str]]:
        return parts_of(self.message)


def parts_of(answer: Answer) -> Iterable[tuple[str, str]]:
    """An answer for a page."""
    yield "reasoning", answer.reasoning
    yield "", answer.content
    for call in answer.tool_calls:
        yield "calls", f"{call.name}({json.dumps(call.arguments, ensure_ascii=False)})"


class ChatParser(Parser):
    """A parser that can begin anew."""

    def __init__(self, dialect: type[Dialect], *, prompt: str, tools: Tools) -> None:
        self._given = (dialect, prompt, tools)
        super().__init__(dialect, prompt=prompt, tools=tools)

    def again(self) -> ChatParser:
        """The same for another answer."""
        dialect, prompt, tools = self._given
        return ChatParser(dialect, prompt=prompt, tools=tools)


class ChatView(View[Delta, ChatResult]):
    """Reads what a model writes as its dialect says."""

    def __init__(self, parser: ChatParser) -> None:
        self._parser, self.message = parser, Answer()

    def piece(self, piece: Piece) -> Delta:
        return self._delta(self._parser.feed(piece.text), piece)

    def rest(self) -> Delta | None:
        answer = self._parser.finish()
        return self._delta(answer, Piece("")) if answer else None

    def _delta(self, answer: Answer, piece: Piece) -> Delta:
        self.message += answer
        return Delta(piece.text, piece.tokens, piece.logprobs, answer)

    def parts(self, text: str) -> Iterable[tuple[str, str]]:
        return parts_of(self.message)

    def result(self, result: Result) -> ChatResult:
        # of what was generated, not of what was read: somebody may have stopped reading
        parser = self._parser.again()
        message = parser.feed(result.text) + parser.finish()
        return ChatResult(**vars(result), message=message)


def messages_of(messages: Any) -> list[dict[str, Any]]:
    """Messages as templates take them: a text is what a user says."""
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    if isinstance(messages, Mapping) or not isinstance(messages, Iterable):
        raise UnsupportedError(
            f"{messages!r:.200} is no conversation: pass a list of messages, or one text"
        )
    found = []
    for each in messages:
        if isinstance(each, Answer):
            each = each.as_message()
        if not isinstance(each, Mapping) or not isinstance(each.get("role"), str):
            raise UnsupportedError(
                f"a message is a dict with a role and a content, and this is {each!r:.200}: pass "
                f"a list of such dicts, or one text"
            )
        if not {"content", "tool_calls"} & each.keys():
            raise UnsupportedError(
                f"a message of the role {each['role']!r} has no content, only "
                f"{', '.join(map(str, each))}: put its text under 'content'"
            )
        _check_parts(each.get("content"))
        found.append(dict(each))
    if not found:
        raise UnsupportedError("there are no messages to answer: pass at least one")
    return found


def _check_parts(content: Any) -> None:
    """Refuse what no template here turns into text: nothing is left out silently."""
    for part in content if isinstance(content, list | tuple) else ():
        kind = part.get("type") if isinstance(part, Mapping) else None
        if any(word in str(kind) for word in NOT_TEXT):
            raise UnsupportedError(
                f"a message has a part of the type {kind!r}, and models here read text only: "
                f"leave it out, or say in words what it shows"
            )


def _check_shown(template: ChatTemplate, **given: Any) -> None:
    """Refuse what a template takes no notice of."""
    for name, value in given.items():
        if value and name not in template.source:
            raise UnsupportedError(
                f"this chat template does not show {name} to the model: leave {name}= out, or "
                f"pass chat_template= with one that does"
            )


def chat_request(
    model: Model,
    messages: Any,
    *,
    tools: Tools | None = None,
    documents: Sequence[Any] | None = None,
    template_options: Mapping[str, Any] | None = None,
    chat_template: ChatTemplate | str | None = None,
    dialect: str | type[Dialect] | None = None,
    tool_choice: Any = None,
    grammar: Any = None,
    schema: Any = None,
    **options: Any,
) -> tuple[Request, ChatView]:
    """A request for an answer, and how it is read."""
    given = messages_of(messages)
    template = model.chat_template if chat_template is None else template_of(model, chat_template)
    reads = dialect_of(template.source) if dialect is None else find_dialect(dialect)
    name = _named(tool_choice, tools)
    # who names a dialect may have described the tools in the messages
    _check_shown(template, documents=documents, tools=None if dialect or name == "none" else tools)
    ids = template.encode(
        model.tokenizer,
        given,
        tools=None if name == "none" else tools or None,
        documents=documents,
        **{"add_generation_prompt": True, **(template_options or {})},
    )
    prompt = model.tokenizer.decode(ids, special=True)
    allowed = () if name == "none" else tools or ()
    parser = ChatParser(reads, prompt=prompt, tools=list(allowed))
    if grammar is not None and schema is not None:
        raise UnsupportedError("grammar and schema both say what may be written: pass one of them")
    if schema is not None:
        grammar = grammars.from_schema(schema)
    elif isinstance(grammar, str):
        grammar = grammars.from_gbnf(grammar)
    if name not in ("auto", "none"):
        if grammar is not None:
            raise UnsupportedError(
                f"tool_choice={tool_choice!r} and a grammar both say what may be written: pass one"
            )
        grammar = call_grammar(reads, tools or (), None if name == "required" else name)
    if grammar is not None and reads(list(allowed)).thinks_already(prompt):
        grammar = _after_thinking(model, reads, grammar)
    request = request_of(model, ids, grammar=grammar, shows_special=True, **options)
    return request, ChatView(parser)


# ---- tools that have to be called


def _named(choice: Any, tools: Tools | None) -> str:
    """auto, none, required, or the name of a tool."""
    if isinstance(choice, Mapping):  # as in OpenAI's interface
        choice = choice.get("function", choice).get("name")
    if choice is None or choice in ("auto", "none"):
        return choice or "auto"
    names = [tool_name(tool) for tool in tools or ()]
    if choice != "required" and choice not in names:
        raise UnsupportedError(
            f"tool_choice is {choice!r}, and the tools are {', '.join(names) or 'none'}: choose "
            f"auto, none, required, or one of them"
        )
    if not names:
        raise UnsupportedError(f"tool_choice is {choice!r}, and there are no tools: pass tools=")
    return str(choice)


def _after_thinking(model: Model, dialect: type[Dialect], grammar: Any) -> sampling.Grammar:
    """A grammar that holds from where reasoning ends, which the prompt has opened."""
    end = dialect.thinking[1].strip()
    whole = seq(end, Repeat(alt(" ", "\n"), 0, 4), Ref(grammar.root))
    after = grammars.Grammar({**grammar.rules, "after-thinking": whole}, "after-thinking")
    return sampling.Grammar(after, model.tokenizer, words=(end,))
