"""A session: a text, or a conversation, that goes on; what was computed of it is kept.

session = model.session()
session.generate("Once upon a time")
other = session.fork()
session.chat("And then?")
session.save("story.session")

bytes   what
16      the letters LLAMAPY SESSION and a zero
8       the length of what follows: JSON with the tokens, the messages, and the context
...     the JSON
...     the sequence, as a cache saves it; nothing, if nothing was computed
32      SHA-256 of all of it
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ...errors import FormatError, LlamapyError, ShapeError, UnsupportedError
from ...files import replacing
from ...models import EncoderDecoder
from .result import Piece, Result, as_html
from .running import Run
from .scheduler import Kept, Scheduler, checked_context
from .speaking import Asked, Speaking
from .stream import AnyStream, Stream, View
from .texts import ids_of, is_one_text

if TYPE_CHECKING:
    from ..model import Model

Computed: TypeAlias = tuple[list[int], bytes]  # tokens, and what a cache remembers of them

MAGIC = b"LLAMAPY SESSION\0"
START = struct.Struct("<16sQ")
SUM_BYTES = 32


class Session(Speaking):
    """Text that goes on. `tokens` are all so far, and `messages` the conversation.

    `generate` continues what there is with a prompt behind it. `chat` adds to `messages`, which may
    be edited: what they begin with is only computed once, whatever follows is computed anew.
    """

    def __init__(
        self,
        model: Model,
        n_ctx: int | None = None,
        kv_type: str | None = None,
        *,
        rollback: int = 0,
    ) -> None:
        if isinstance(model.decoder, EncoderDecoder):
            raise UnsupportedError(
                f"{type(model.decoder).__name__} reads a source as a whole, and has no text that "
                f"goes on: use model.generate"
            )
        self.model, self.n_ctx = model, checked_context(model, n_ctx)
        self.kv_type, self.rollback = kv_type or model.kv_type, rollback
        self.tokens: list[int] = []
        self.messages: list[dict[str, Any]] = []
        self._open: Run | None = None
        self._closed = False
        self._scheduler = self._new()

    def _new(self) -> Scheduler:
        return Scheduler(
            self.model,
            n_ctx=self.n_ctx,
            kv_type=self.kv_type,
            rollback=self.rollback,
            shares=True,
        )

    @property
    def _speaker(self) -> Model:
        return self.model

    # ---- going on

    def _asked(self, prompt: Any, options: dict[str, Any]) -> Asked:
        if not is_one_text(prompt):
            raise UnsupportedError("a session goes on with one prompt: fork it for others")
        special, bos = options.pop("special", True), False if self.tokens else None
        ids = self.tokens + ids_of(self.model, prompt, special=special, bos=bos)
        return super()._asked(ids, options)

    def _asked_in_chat(self, messages: Any, options: dict[str, Any]) -> Asked:
        from .chat import messages_of

        told = [*self.messages, *messages_of(messages)]
        request, view = super()._asked_in_chat(told, options)
        return request, _Remembering(self, told, view)

    def _streams(self, asked: Sequence[Asked]) -> list[AnyStream]:
        self._check_idle()
        if len(asked) != 1:
            raise UnsupportedError("a session goes on with one prompt: fork it for others")
        ((request, view),) = asked
        if not self._scheduler.is_sound:  # Ctrl-C struck in the middle of a step
            self._scheduler = self._new()
        scheduler = self._scheduler
        run = self._open = scheduler.submit(request)

        def over(run: Run) -> None:
            scheduler.drop(run)
            self._open = None
            if run.result is not None:
                self.tokens = list(run.tokens)
                view.result(run.result)  # a conversation remembers it

        return [Stream(run, lambda _: scheduler.step(), over, view)]

    def _check_idle(self) -> None:
        if self._closed:
            raise LlamapyError("this session is closed: make a new one, or load it from a file")
        if self._open is not None:
            raise LlamapyError(
                "this session is in the middle of a stream: read it to its end, or close it"
            )

    # ---- changing what there is

    def truncate(self, n: int) -> None:
        """Keep the first `n` tokens. A conversation is rendered anew: edit `messages` instead."""
        self._check_idle()
        if not 0 <= n <= len(self.tokens):
            raise ShapeError(f"there are {len(self.tokens)} tokens, and {n} were to be kept")
        del self.tokens[n:]

    def fork(self) -> Session:
        """Another session that goes on from the same place; they part from here."""
        self._check_idle()
        other = Session(self.model, self.n_ctx, self.kv_type, rollback=self.rollback)
        other._restore(self.tokens, self.messages, self._computed())
        return other

    def close(self) -> None:
        """Give the memory back."""
        if not self._closed:
            self._closed = True
            self._scheduler.close(LlamapyError("this session was closed: make a new one"))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _computed(self) -> list[Computed]:
        """What the cache remembers, and of which tokens."""
        scheduler, key = self._scheduler, self.model.state_key()
        return [
            (kept.tokens, scheduler.cache.dump(sequence))
            for sequence, kept in scheduler.kept.items()
            if kept.key == key
        ]

    def _restore(
        self, tokens: list[int], messages: list[dict[str, Any]], computed: list[Computed]
    ) -> None:
        scheduler, key = self._scheduler, self.model.state_key()
        for sequence, (known, data) in enumerate(computed[: scheduler.n_places]):
            scheduler.cache.load(data, sequence)
            if scheduler.cache.end(sequence) != len(known):
                raise FormatError(
                    f"a sequence of {scheduler.cache.end(sequence)} tokens is said to have "
                    f"{len(known)}: save the session again"
                )
            scheduler.kept[sequence] = Kept(list(known), key)
        self.tokens = list(tokens)
        self.messages = json.loads(json.dumps(messages))

    # ---- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, which appears whole or not at all."""
        self._check_idle()
        computed = self._computed()
        about = {
            "tokens": self.tokens,
            "messages": self.messages,
            "kept": [tokens for tokens, _ in computed],
            "sizes": [len(data) for _, data in computed],
            "n_ctx": self.n_ctx,
            "kv_type": self.kv_type,
            "model": self.model.hash(),
        }
        text = json.dumps(about).encode()
        parts = [START.pack(MAGIC, len(text)), text, *(data for _, data in computed)]
        checksum = hashlib.sha256()
        with replacing(path, sum(map(len, parts)) + SUM_BYTES) as out:
            for part in parts:
                checksum.update(part)
                out.write(part)
            out.write(checksum.digest())

    def __repr__(self) -> str:
        if self._closed:
            return "<Session, closed>"
        messages = f", {len(self.messages)} messages" if self.messages else ""
        return f"<Session of {len(self.tokens)} tokens{messages}, in a context of {self.n_ctx}>"

    def _repr_html_(self) -> str:
        if self.messages:
            parts = [(str(m["role"]), str(m.get("content") or "")) for m in self.messages]
        elif self.model.has_tokenizer:
            parts = [("", self.model.tokenizer.decode(self.tokens))]
        else:
            parts = []
        return as_html(parts, repr(self)[1:-1])


class _Remembering(View[Any, Any]):
    """Reads an answer, and adds it to the conversation when it is over."""

    def __init__(self, session: Session, told: list[dict[str, Any]], view: View[Any, Any]) -> None:
        self._session, self._told, self._view = session, told, view
        self._found: Any = None

    def piece(self, piece: Piece) -> Any:
        return self._view.piece(piece)

    def rest(self) -> Any:
        return self._view.rest()

    def parts(self, text: str) -> Iterable[tuple[str, str]]:
        return self._view.parts(text)

    def result(self, result: Result) -> Any:
        if self._found is None:
            self._found = self._view.result(result)
            self._session.messages = [*self._told, self._found.message.as_message()]
        return self._found


def load_session(model: Model, path: str | os.PathLike[str]) -> Session:
    """A session that was saved with the same model."""
    name, data = os.fspath(path), Path(path).read_bytes()
    about, computed = _read(name, data)
    if about["model"] != model.hash():
        raise UnsupportedError(
            f"{name} was saved with another model ({about['model']:.16}, and this one is "
            f"{model.hash():.16}): load that model"
        )
    session = Session(model, about["n_ctx"], about["kv_type"])
    if about["tokens"]:
        model.check_tokens(about["tokens"])
    session._restore(about["tokens"], about["messages"], computed)
    return session


def _read(name: str, data: bytes) -> tuple[dict[str, Any], list[Computed]]:
    """What a file says, and the sequences in it."""
    if len(data) < START.size + SUM_BYTES or not data.startswith(MAGIC):
        raise FormatError(f"{name} is no saved session: choose a file that session.save wrote")
    if hashlib.sha256(data[:-SUM_BYTES]).digest() != data[-SUM_BYTES:]:
        raise FormatError(f"{name} is truncated or damaged: its checksum is another one")
    _, size = START.unpack(data[: START.size])
    at, end = START.size + size, len(data) - SUM_BYTES
    try:
        about = json.loads(data[START.size : at])
        fits = _is_header(about) and at + sum(about["sizes"]) == end
    except (ValueError, KeyError, TypeError, RecursionError):
        fits = False
    if not fits:
        raise FormatError(f"{name} has a header that is none: save the session again")
    ends = [at + sum(about["sizes"][: n + 1]) for n in range(len(about["sizes"]))]
    parts = [data[end - size : end] for end, size in zip(ends, about["sizes"], strict=True)]
    return about, list(zip(about["kept"], parts, strict=True))


def _is_header(about: Any) -> bool:
    """Whether this says what a session's file has to say."""
    lists = [about["tokens"], about["sizes"], *about["kept"]]
    numbers = [n for each in lists for n in each]
    return (
        all(type(n) is int and n >= 0 for n in [*numbers, about["n_ctx"]])
        and len(about["kept"]) == len(about["sizes"])
        and isinstance(about["messages"], list)
        and isinstance(about["kv_type"], str)
        and isinstance(about["model"], str)
    )
