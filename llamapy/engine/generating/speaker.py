"""The part of a model that generates. Caches are borrowed, so that small calls cost little."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import MemoryPlanError, UnsupportedError
from ...tokenizers import KINDS, Tokenizer, from_metadata
from .request import Request
from .running import Run
from .scheduler import Scheduler
from .speaking import Asked, Speaking
from .stream import AnyStream, Stream

if TYPE_CHECKING:
    from ...chat import ChatTemplate
    from ..model import Model
    from .engine import Engine
    from .session import Session

SMALLEST_CONTEXT = 512  # of a cache that is kept for the next call
NO_TEXT = (None, "none", "no_vocab")  # kinds of tokenizers that are none
MOST_TOGETHER = 16  # prompts of a batch that are computed together

# the metadata that names tokens which end a text, of files without a vocabulary
END_KEYS = (
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",
)


class Idle:
    """The scheduler that was used last: with its cache and its plans, for who comes next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: Scheduler | None = None

    def take(self, model: Model, n_ctx: int, n_sequences: int, rollback: int) -> Scheduler:
        """One that is large enough."""
        with self._lock:
            kept, self._kept = self._kept, None
        needed = (n_ctx, n_sequences, rollback)
        if kept is not None and all(a >= b for a, b in zip(kept.sizes, needed, strict=True)):
            kept.model = model
            return kept
        del kept  # before another is made
        # a little more than asked for, so that the next call finds it large enough
        more = min(model.n_ctx, max(SMALLEST_CONTEXT, 1 << (n_ctx - 1).bit_length()))
        try:
            return Scheduler(model, n_ctx=more, n_sequences=n_sequences, rollback=rollback)
        except MemoryPlanError:
            return Scheduler(model, n_ctx=n_ctx, n_sequences=n_sequences, rollback=rollback)

    def give(self, scheduler: Scheduler) -> None:
        """Keep it, unless somebody looks inside: plans that were recorded for that pile up."""
        model = scheduler.model
        is_open = model._decoder is not None and not model.hooks
        if is_open and scheduler.is_sound and not scheduler.is_busy:
            del scheduler.model  # which has this, and could not go while it is there
            with self._lock:
                self._kept = scheduler

    def clear(self) -> bool:
        """Give the memory back, if there is any."""
        with self._lock:
            kept, self._kept = self._kept, None
        return kept is not None


class Generating(Speaking):
    """The part of `Model` that has to do with text."""

    metadata: Mapping[str, Any]
    _idle: Idle

    @property
    def _speaker(self) -> Any:
        return self

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the file."""
        if self._tokenizer_kind in NO_TEXT:
            raise UnsupportedError(
                "this file has no tokenizer: pass token ids, or set model.tokenizer to one, such "
                "as llamapy.tokenizers.from_huggingface gives"
            )
        return from_metadata(self.metadata)

    @property
    def has_tokenizer(self) -> bool:
        """Whether text can be read and written."""
        if "tokenizer" in self.__dict__:
            return True
        return self._tokenizer_kind in KINDS and self._tokenizer_kind not in NO_TEXT

    @property
    def _tokenizer_kind(self) -> Any:
        return self.metadata.get("tokenizer.ggml.model")

    @functools.cached_property
    def chat_template(self) -> ChatTemplate:
        """The template of the file's conversations."""
        if "tokenizer.chat_template" not in self.metadata:
            raise UnsupportedError(
                "this file has no chat template: pass chat_template=, a ChatTemplate or its text, "
                "or use generate"
            )
        return template_of(self, None)

    @property
    def end_tokens(self) -> frozenset[int]:
        """The tokens with which a text ends."""
        if self.has_tokenizer:
            return frozenset(self.tokenizer.end_tokens)
        return frozenset(int(self.metadata[key]) for key in END_KEYS if key in self.metadata)

    def state_key(self: Any) -> tuple[Any, ...]:
        """What decides, beside tokens, what is computed: hooks, adapters, control vectors."""
        hooks = tuple(self.hooks.items())
        adapters = tuple((each, each.scale) for each in self.adapters)
        return hooks, adapters, tuple((each, each.scale) for each in self.steering.handles)

    def session(
        self: Any, n_ctx: int | None = None, kv_type: str | None = None, *, rollback: int = 0
    ) -> Session:
        """A text or a conversation that goes on, and keeps what was computed of it.

        `rollback` is for drafts: how many guesses recurrent layers can take back.
        """
        from .session import Session

        return Session(self, n_ctx, kv_type, rollback=rollback)

    def load_session(self: Any, path: str | os.PathLike[str]) -> Session:
        """A session from the file that its `save` wrote."""
        from .session import load_session

        return load_session(self, path)

    def engine(
        self: Any,
        n_sequences: int = 8,
        n_ctx: int | None = None,
        max_waiting: int = 1024,
        **options: Any,
    ) -> Engine:
        """A thread that serves many requests at once; see `Engine`."""
        from .engine import Engine

        return Engine(self, n_sequences, n_ctx, max_waiting, **options)

    def _streams(self: Any, asked: Sequence[Asked]) -> list[AnyStream]:
        """What is asked together is computed together, while any of it is read."""
        n_ctx = max(_context_for(self, request) for request, _ in asked)
        rollback = max(request.n_drafted for request, _ in asked)
        idle: Idle = self._idle
        scheduler = idle.take(self, n_ctx, min(len(asked), MOST_TOGETHER), rollback)
        try:
            runs = [scheduler.check(request) for request, _ in asked]
        except BaseException:
            idle.give(scheduler)
            raise
        scheduler.waiting.extend(runs)
        left = len(runs)

        def over(run: Run) -> None:
            nonlocal left
            scheduler.drop(run)
            left -= 1
            if not left:
                idle.give(scheduler)

        views = (view for _, view in asked)
        return [
            Stream(run, lambda _: scheduler.step(), over, view)
            for run, view in zip(runs, views, strict=True)
        ]


def _context_for(model: Model, request: Request) -> int:
    """How long a context a request takes at most."""
    if len(request.prompt) > model.n_ctx or request.max_tokens is None:
        return model.n_ctx
    return max(1, min(model.n_ctx, len(request.prompt) + request.max_tokens))


def template_of(model: Any, given: ChatTemplate | str | None) -> ChatTemplate:
    """A chat template, which by default is the file's, with the texts of the file's tokens."""
    from ...chat import ChatTemplate

    if isinstance(given, ChatTemplate):
        return given
    tokens = {}
    if model.has_tokenizer:
        texts = model.tokenizer.vocabulary.texts
        for name in ("bos", "eos", "unk", "sep", "pad", "mask"):
            id = getattr(model.tokenizer, name)
            tokens[f"{name}_token"] = "" if id is None else texts[id]
    if given is not None:
        return ChatTemplate(given, tokens)
    return ChatTemplate.from_metadata(model.metadata, tokens=tokens)
