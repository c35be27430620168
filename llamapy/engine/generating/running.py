"""A request while it is computed: its tokens, what of them is remembered, and what came of it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import LlamapyError, UnsupportedError
from ..likeliest import candidates_of
from .request import Request
from .result import Logprob, Piece, Result, Timings
from .writing import Writer

Floats = NDArray[np.float32]


@dataclass
class _New:
    """What a step adds."""

    text: str = ""
    tokens: list[int] = field(default_factory=list)
    logprobs: list[Logprob] = field(default_factory=list)


class Run:
    """One sequence on its way. `pieces` wait to be read; `result` or `error` says that it is over.

    Only who computes changes it; others read pieces, and may set `cancelled`.
    """

    def __init__(self, request: Request, prompt: list[int], limit: int) -> None:
        self.request, self.limit = request, limit
        self.tokens = prompt  # all of them, the prompt's and those after it
        self.n_start = len(prompt)
        self.n_computed = 0  # how many of them the cache remembers
        self.sequence = -1
        self.key: Any = None  # what decides, beside its tokens, what is computed
        self.pieces: deque[Piece] = deque()
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.cancelled = False
        self.ended = threading.Event()
        self.on_news: Callable[[], object] = lambda: None
        self.timings = Timings()
        self._logprobs: list[Logprob] = []
        self._text: list[str] = []
        self._writer = Writer(request.tokenizer, request.stops, special=request.special)

    @property
    def is_over(self) -> bool:
        return self.result is not None or self.error is not None

    @property
    def is_prompting(self) -> bool:
        """Whether some of the prompt has yet to be computed."""
        return self.n_computed < self.n_start

    @property
    def n_generated(self) -> int:
        return len(self.tokens) - self.n_start

    # ---- before a step

    def is_cut_off(self) -> bool:
        """End it if somebody wants that, or its time is over."""
        if self.cancelled or self.request.cancelled():
            self.end("cancelled")
        elif time.monotonic() >= self.request.deadline:
            self.end("time")
        return self.is_over

    def propose(self, most: int) -> list[int]:
        """Guesses of what follows, so many at most."""
        draft, request = self.request.draft, self.request
        if request.max_tokens is not None:
            most = min(most, request.max_tokens - self.n_generated - 1)
        most = min(most, request.n_drafted, self.limit - len(self.tokens))
        if draft is None or most < 1:
            return []
        guesses = [int(token) for token in draft.propose(list(self.tokens))][:most]
        self.timings.n_drafted += len(guesses)
        return guesses

    # ---- after a step

    def take(self, rows: Floats, guesses: list[int]) -> int:
        """Choose a token by each row of logits, as long as guesses are right. Returns how many
        were.
        """
        n_right, new = 0, _New()
        for row, guess in zip(rows, [*guesses, None], strict=True):
            candidates = candidates_of(row)
            if np.isnan(candidates.logits.max()):
                raise LlamapyError(
                    f"the logits after {len(self.tokens)} tokens are not numbers: the model is "
                    f"damaged, or a hook has spoiled them; model.forward(capture=...) shows where"
                )
            token = self.request.sampler(candidates)
            if token in self.request.end_tokens:
                self._give(new)
                self.end("stop", token)
                return n_right
            if self.request.logprobs is not None:
                new.logprobs.append(Logprob.of(row, token, self.request.logprobs))
            self.tokens.append(token)
            new.tokens.append(token)
            new.text += self._writer(token)
            n_right += token == guess
            if reason := self._reason():
                self._give(new)
                self.end(reason, self._writer.stop)
                return n_right
            if token != guess:
                break
        self._give(new)
        return n_right

    def _reason(self) -> str | None:
        """Why the text ends with its last token, if it does."""
        request = self.request
        if self._writer.stop is not None:
            return "stop"
        if request.constraint is not None and request.constraint.is_finished:
            return "stop"
        if request.max_tokens is not None and self.n_generated >= request.max_tokens:
            return "length"
        return "context" if len(self.tokens) > self.limit else None

    def _give(self, new: _New) -> None:
        if new.tokens or new.text:
            self._text.append(new.text)
            self._logprobs += new.logprobs
            self.pieces.append(Piece(new.text, tuple(new.tokens), tuple(new.logprobs)))
            self.on_news()

    # ---- the end

    def end(self, reason: str, stop: str | int | None = None) -> None:
        """There is no more; what was held back is given."""
        if self.is_over:
            return
        self._give(_New(self._writer.finish()))
        request, timings = self.request, self.timings
        timings.n_generated = self.n_generated
        self.result = Result(
            "".join(self._text),
            self.tokens[self.n_start :],
            reason,
            stop,
            None if request.logprobs is None else self._logprobs,
            len(request.prompt),
            timings,
        )
        self._over()

    def fail(self, error: BaseException) -> None:
        """It cannot go on."""
        if not self.is_over:
            self.error = error
            self._over()

    def _over(self) -> None:
        self.ended.set()
        self.on_news()

    def outcome(self) -> Result:
        """The result, or the error."""
        if self.error is not None:
            raise self.error
        if self.result is None:
            raise LlamapyError("this is not over: read the stream to its end, or call finish()")
        return self.result


def check_guesses(guesses: list[int], n_vocab: int, draft: Any) -> None:
    """Refuse what a draft should not say."""
    for token in guesses:
        if not 0 <= token < n_vocab:
            raise UnsupportedError(
                f"{draft!r} proposes token {token}, and the vocabulary has 0 to {n_vocab - 1}: "
                f"let it propose tokens of this model"
            )
