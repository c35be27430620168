"""An engine: a model on a thread of its own, which serves many at once.

    with model.engine(n_sequences=8) as engine:
        engine.generate("Once", max_tokens=20)      # from any thread

Requests begin in the order in which they come. All that run get a token in each step, and long
prompts are read in pieces in between. What begins like something that was computed before goes on
from there.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import EngineBusy, LlamapyError, UnsupportedError
from .running import Run
from .scheduler import Scheduler, checked_context
from .speaking import Asked, Speaking
from .stream import AnyStream, Stream

if TYPE_CHECKING:
    from ..model import Model


class Engine(Speaking):
    """Generates and chats like a model, from many threads at once. Close it, or use `with`.

    At most `n_sequences` run at a time, and `max_waiting` more may wait; who comes then waits for
    `patience` seconds, and gets an `EngineBusy` error.
    """

    def __init__(
        self,
        model: Model,
        n_sequences: int = 8,
        n_ctx: int | None = None,
        max_waiting: int = 1024,
        *,
        patience: float = 0.0,
        rollback: int = 0,
        kv_type: str | None = None,
    ) -> None:
        if n_sequences < 1 or max_waiting < 0:
            raise UnsupportedError(
                f"n_sequences is {n_sequences} and max_waiting {max_waiting}: at least one "
                f"sequence runs, and 0 or more wait"
            )
        self.model, self.max_waiting, self.patience = model, max_waiting, patience
        self._scheduler = Scheduler(
            model,
            n_ctx=checked_context(model, n_ctx),
            n_sequences=n_sequences,
            rollback=rollback,
            kv_type=kv_type,
            shares=True,
        )
        self.n_sequences, self.n_ctx = n_sequences, self._scheduler.n_ctx
        self._coming: deque[Run] = deque()
        self._changed = threading.Condition()
        self._closed: LlamapyError | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="llamapy-engine")
        self._thread.start()

    @property
    def _speaker(self) -> Model:
        return self.model

    @property
    def n_running(self) -> int:
        """How many requests are being computed."""
        return len(self._scheduler.running)

    @property
    def n_waiting(self) -> int:
        """How many requests wait for their turn."""
        return len(self._coming) + len(self._scheduler.waiting)

    def _streams(self, asked: Sequence[Asked]) -> list[AnyStream]:
        if threading.current_thread() is self._thread:
            raise LlamapyError(
                "a function that the engine calls asks it for more, and would wait "
                "for itself: ask from another thread"
            )
        streams = []
        try:
            for request, view in asked:
                run = self._scheduler.check(request)
                news = threading.Event()
                run.on_news = news.set
                self._submit(run)
                streams.append(Stream(run, functools.partial(_wait, news), _give_up, view))
        except BaseException:
            for stream in streams:
                stream.close()
            raise
        return streams

    def _submit(self, run: Run) -> None:
        until = time.monotonic() + self.patience
        with self._changed:
            while self._closed is None and self._is_full():
                if not self._changed.wait(max(0.0, until - time.monotonic())):
                    raise EngineBusy(
                        f"{self.n_waiting} requests wait already, and max_waiting is "
                        f"{self.max_waiting}: try again later, or let the engine have more patience"
                    )
            if self._closed is not None:
                raise self._closed
            self._coming.append(run)
            self._changed.notify_all()

    def _is_full(self) -> bool:
        return self.n_running + self.n_waiting >= self.n_sequences + self.max_waiting

    # ---- the thread

    def _work(self) -> None:
        scheduler, error = self._scheduler, LlamapyError("the engine was closed: make a new one")
        try:
            while self._wait_for_work():
                waiting = len(scheduler.waiting)
                scheduler.step()
                if len(scheduler.waiting) < waiting:
                    with self._changed:
                        self._changed.notify_all()
        except BaseException as wrong:
            error = LlamapyError(f"the engine has failed ({wrong!r}): make a new one")
            error.__cause__ = wrong
        with self._changed:
            self._closed = self._closed or error
            scheduler.waiting.extend(self._coming)
            self._coming.clear()
            scheduler.close(self._closed)
            self._changed.notify_all()

    def _wait_for_work(self) -> bool:
        """Take in what has come, and wait where there is nothing to do. False: it is over."""
        with self._changed:
            while not (self._coming or self._scheduler.is_busy or self._closed):
                self._changed.wait()
            self._scheduler.waiting.extend(self._coming)
            self._coming.clear()
            return self._closed is None

    def close(self) -> None:
        """End everything; who waits gets an error. The memory is given back."""
        with self._changed:
            self._closed = self._closed or LlamapyError("the engine was closed: make a new one")
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._closed is not None:
            return "<Engine, closed>"
        return (
            f"<Engine of {self.n_sequences} sequences with {self.n_ctx} tokens each: "
            f"{self.n_running} running, {self.n_waiting} waiting>"
        )


def _wait(news: threading.Event, run: Run) -> None:
    news.wait()
    news.clear()


def _give_up(run: Run) -> None:
    """Nobody reads any more: the thread ends it at its next step."""
    run.cancelled = True
