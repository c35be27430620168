"""What models, engines and sessions have in common: they continue texts, and hold conversations."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from ...errors import UnsupportedError
from .asynchronous import AsyncStream
from .request import ChatOptions, Options, Request, request_of
from .result import Piece, Result
from .scheduler import refuse_whole
from .stream import AnyStream, Stream, View
from .texts import is_one_text

if TYPE_CHECKING:
    from ...chat import Answer
    from ..model import Model
    from .chat import ChatResult, Delta

Asked: TypeAlias = tuple[Request, View[Any, Any]]
Text: TypeAlias = str | Sequence[int] | NDArray[np.integer[Any]]
Texts: TypeAlias = list[str] | list[list[int]] | tuple[str, ...] | tuple[list[int], ...]
Messages: TypeAlias = "str | Sequence[Mapping[str, Any] | Answer]"


class Speaking(ABC):
    """Generating in all its ways; whoever computes says how requests become streams."""

    @property
    @abstractmethod
    def _speaker(self) -> Model:
        """The model."""

    @abstractmethod
    def _streams(self, asked: Sequence[Asked]) -> list[AnyStream]:
        """A stream for each request."""

    @overload
    def generate(
        self, prompt: Text, *, stream: Literal[False] = False, **options: Unpack[Options]
    ) -> Result: ...
    @overload
    def generate(
        self, prompt: Texts, *, stream: Literal[False] = False, **options: Unpack[Options]
    ) -> list[Result]: ...
    @overload
    def generate(
        self, prompt: Text, *, stream: Literal[True], **options: Unpack[Options]
    ) -> Stream[Piece, Result]: ...
    def generate(self, prompt: Any, *, stream: bool = False, **options: Any) -> Any:
        """Continue a text, token ids, or each of a list of either.

        * max_tokens=256: how many at most; None is all that the context has room for
        * sampler, or its options: temperature=0.8, top_k=40, top_p=0.95, min_p=0.05 ... What is not
          given is as the file says, and else as in llama.cpp. seed=1 makes it repeatable.
        * stop: strings and token ids that end it, beside what the file says; ignore_end=True leaves
          those of the file alone
        * grammar: GBNF or a Grammar; schema: JSON Schema, or a type. Nothing else is written.
        * logprobs=k: for each token its log-probability, and the k likeliest, before sampling
        * logits_processors: functions of all token ids and the logits, which return logits
        * time_limit: seconds; cancel: a threading.Event, or a function that says whether to stop
        * draft: guesses what follows, which is then checked faster; see `Draft`
        * special=False: special tokens that are written out in the prompt are plain text

        Gives a `Result`, a list of them, or with `stream=True` a `Stream` of pieces.
        """
        refuse_whole(self._speaker)
        if is_one_text(prompt):
            (one,) = self._streams([self._asked(prompt, options)])
            return one if stream else one.finish()
        if stream:
            raise UnsupportedError(
                "several prompts have no single stream: pass one prompt, or use model.engine(), "
                "where each has a stream of its own"
            )
        streams = self._streams([self._asked(each, options) for each in prompt])
        try:
            return [each.finish() for each in streams]
        finally:
            for each in streams:
                each.close()

    @overload
    def chat(
        self, messages: Messages, *, stream: Literal[False] = False, **options: Unpack[ChatOptions]
    ) -> ChatResult: ...
    @overload
    def chat(
        self, messages: Messages, *, stream: Literal[True], **options: Unpack[ChatOptions]
    ) -> Stream[Delta, ChatResult]: ...
    def chat(self, messages: Any, *, stream: bool = False, **options: Any) -> Any:
        """Answer a conversation: a list of messages, or the text of one.

        * tools, documents, template_options: what the file's template takes; chat_template: another
          one, as a ChatTemplate or its text
        * tool_choice: "auto", "none", "required", or the name of a tool
        * dialect: how answers are read, if not as the template tells
        * and everything that `generate` takes

        Control tokens that users, tools or documents write out are plain text. Gives a
        `ChatResult`, whose `message` is an Answer, or with `stream=True` a `Stream` of what adds up
        to it.
        """
        refuse_whole(self._speaker)
        (one,) = self._streams([self._asked_in_chat(messages, options)])
        return one if stream else one.finish()

    def _asked(self, prompt: Any, options: dict[str, Any]) -> Asked:
        return request_of(self._speaker, prompt, **options), View()

    def _asked_in_chat(self, messages: Any, options: dict[str, Any]) -> Asked:
        from .chat import chat_request

        return chat_request(self._speaker, messages, **options)

    # ---- beside others

    @overload
    def agenerate(
        self, prompt: Text, *, stream: Literal[False] = False, **options: Unpack[Options]
    ) -> Awaitable[Result]: ...
    @overload
    def agenerate(
        self, prompt: Texts, *, stream: Literal[False] = False, **options: Unpack[Options]
    ) -> Awaitable[list[Result]]: ...
    @overload
    def agenerate(
        self, prompt: Text, *, stream: Literal[True], **options: Unpack[Options]
    ) -> AsyncStream[Piece, Result]: ...
    def agenerate(self, prompt: Any, *, stream: bool = False, **options: Any) -> Any:
        """The same, to be awaited; with `stream=True`, an asynchronous iterator.

        Cancelling the task that waits ends the generation.
        """
        if not is_one_text(prompt):
            return self._all_of(prompt, stream, options)
        begun: AsyncStream[Any, Any] = AsyncStream(
            lambda: self.generate(prompt, stream=True, **options)
        )
        return begun if stream else begun.finish()

    @overload
    def achat(
        self, messages: Messages, *, stream: Literal[False] = False, **options: Unpack[ChatOptions]
    ) -> Awaitable[ChatResult]: ...
    @overload
    def achat(
        self, messages: Messages, *, stream: Literal[True], **options: Unpack[ChatOptions]
    ) -> AsyncStream[Delta, ChatResult]: ...
    def achat(self, messages: Any, *, stream: bool = False, **options: Any) -> Any:
        """`chat`, to be awaited; with `stream=True`, an asynchronous iterator."""
        begun: AsyncStream[Any, Any] = AsyncStream(
            lambda: self.chat(messages, stream=True, **options)
        )
        return begun if stream else begun.finish()

    async def _all_of(self, prompts: Any, stream: bool, options: dict[str, Any]) -> Any:
        stopped = threading.Event()
        given = options.pop("cancel", None)
        asked = getattr(given, "is_set", given) or (lambda: False)

        def cancel() -> bool:
            return stopped.is_set() or bool(asked())

        generate: Any = self.generate
        try:
            return await asyncio.to_thread(
                generate, prompts, stream=stream, cancel=cancel, **options
            )
        except asyncio.CancelledError:
            stopped.set()
            raise
