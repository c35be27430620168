"""A model's chat template: a conversation becomes the text that the model was trained on."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jinja2
import numpy as np

from ..errors import TemplateError
from ..tokenizers import Tokenizer
from ..tokenizers.vocabulary import CONTROL, UNKNOWN
from .budget import Budget, Limits
from .guarding import Guard
from .sandbox import Raised, Sandbox

Messages = Sequence[Mapping[str, Any]]

KEY = "tokenizer.chat_template"


class ChatTemplate:
    """A Jinja template in a sandbox: it sees its arguments, and has a budget of time and memory.

    >>> template = ChatTemplate("{% for m in messages %}<{{ m.role }}> {{ m.content }}{% endfor %}")
    >>> template.render([{"role": "user", "content": "Hello"}])
    '<user> Hello'
    """

    def __init__(
        self,
        source: str,
        tokens: Mapping[str, str] | None = None,
        *,
        limits: Limits = Limits(),  # noqa: B008 -- it cannot be changed
    ) -> None:
        """`tokens` are the texts of tokens that templates use by name: bos_token, eos_token ..."""
        if len(source) > limits.source:
            raise TemplateError(
                f"the chat template has {len(source)} characters, more than {limits.source}: it is "
                f"no template for conversations"
            )
        self.source, self.limits, self.tokens = source, limits, dict(tokens or {})

    @classmethod
    def from_metadata(
        cls,
        metadata: Mapping[str, Any],
        name: str | None = None,
        tokens: Mapping[str, str] | None = None,
    ) -> ChatTemplate:
        """The template of a GGUF file; some files have several, by name."""
        key = f"{KEY}.{name}" if name else KEY
        if key not in metadata:
            there = [each.removeprefix(KEY).lstrip(".") or "(the default)" for each in metadata]
            there = [
                each for each, full in zip(there, metadata, strict=True) if full.startswith(KEY)
            ]
            raise TemplateError(
                f"the file has no chat template {name or ''}".rstrip()
                + (f": it has {', '.join(there)}" if there else ", and none at all")
                + "; pass a template of your own"
            )
        return cls(str(metadata[key]), tokens)

    @functools.cached_property
    def _compiled(self) -> tuple[Sandbox, jinja2.Template]:
        sandbox = Sandbox()
        try:
            return sandbox, sandbox.compile_counted(self.source, self.limits.parts)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(
                f"the chat template is malformed in line {error.lineno}: {error.message}; mend it, "
                f"or pass another"
            ) from None
        except TemplateError:
            raise
        except Exception as error:  # Python's compiler has its own limits, such as nested blocks
            raise TemplateError(
                f"the chat template cannot be compiled ({type(error).__name__}): pass another"
            ) from None

    def render(
        self,
        messages: Messages,
        *,
        tools: Sequence[Any] | None = None,
        documents: Sequence[Any] | None = None,
        add_generation_prompt: bool = False,
        **options: Any,
    ) -> str:
        """The text of a conversation. Options, such as enable_thinking, are the template's own."""
        sandbox, template = self._compiled
        # what goes in is counted by its JSON, which also copies it
        try:
            size = len(json.dumps([messages, tools, documents, options], default=str))
        except (ValueError, RecursionError) as error:
            raise TemplateError(f"the conversation is no tree of plain values: {error}") from None
        limits = self.limits.beside(size)
        parts: list[str] = []
        context = {
            "messages": messages,
            "tools": tools,
            "documents": documents,
            "add_generation_prompt": add_generation_prompt,
            **self.tokens,
            **options,
        }
        try:
            with sandbox.running(Budget(limits)):
                room = limits.text
                for part in template.generate(context):
                    room -= len(part)
                    if room < 0:
                        raise TemplateError(
                            f"the chat template writes more than {limits.text} characters: pass "
                            f"another template"
                        )
                    parts.append(part)
        except TemplateError:
            raise
        except RecursionError:
            raise TemplateError(
                "the chat template calls itself without end: pass another template"
            ) from None
        except Exception as error:  # whatever its expressions may raise is the template's fault
            raise TemplateError(
                f"the chat template fails on this conversation: {type(error).__name__}: {error}"
            ) from None
        return "".join(parts)

    def encode(
        self,
        tokenizer: Tokenizer,
        messages: Messages,
        *,
        trusted: Collection[str] = ("system", "developer", "assistant"),
        tools: Sequence[Any] | None = None,
        documents: Sequence[Any] | None = None,
        **options: Any,
    ) -> list[int]:
        """The tokens of a conversation, to which it may be added what `render` takes.

        Control tokens come from the template, and from messages whose role is `trusted`. Where
        anybody else writes one, such as the user or a tool, it is plain text.
        """
        kinds, texts = tokenizer.vocabulary.kinds, tokenizer.vocabulary.texts
        controls = [texts[id] for id in np.flatnonzero((kinds == CONTROL) | (kinds == UNKNOWN))]
        everything = [self.source, *map(_as_text, (messages, tools, documents, options))]
        guard = Guard(controls, "".join(everything))
        rendered = self.render(
            [each if _role(each) in trusted else guard.hide(each) for each in messages],
            tools=guard.hide(tools),
            documents=guard.hide(documents),
            **options,
        )
        ids: list[int] = []
        after_special = True
        for part in tokenizer.split(rendered, special=True):
            plain = [part] if isinstance(part, int) else self._plain(tokenizer, guard, part)
            for each in plain:
                if isinstance(each, int):
                    ids.append(each)
                else:
                    ids += tokenizer.tokenize(each, after_special=after_special)
                after_special = isinstance(each, int)
        before = tokenizer.before()
        return ids if ids[: len(before)] == before else [*before, *ids]

    @staticmethod
    def _plain(tokenizer: Tokenizer, guard: Guard, part: bytes) -> list[bytes | int]:
        """Text without control tokens; it may have tokens that users may write."""
        return tokenizer.split(guard.show(part.decode()), special=False)

    def __repr__(self) -> str:
        return f"<chat template of {len(self.source)} characters>"


def _role(message: Any) -> str:
    return str(message.get("role")) if isinstance(message, Mapping) else ""


def _as_text(value: Any) -> str:
    """All characters that a tree of values has."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError) as error:
        raise TemplateError(f"the conversation is no tree of plain values: {error}") from None


__all__ = ["ChatTemplate", "Limits", "Raised"]
