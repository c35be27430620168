"""Streams for asyncio: a thread reads, and the event loop hears of each piece."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, TypeVar

from ...errors import LlamapyError
from .result import Piece, Result
from .stream import AnyStream

P = TypeVar("P", bound=Piece)
R = TypeVar("R", bound=Result)


class AsyncStream(AsyncIterator[P], Generic[P, R]):
    """Pieces as they are generated, for `async for`; afterwards `result`.

    Cancelling the task that reads, or forgetting the stream, ends the generation within one token.
    """

    def __init__(self, begin: Callable[[], AnyStream]) -> None:
        self._reader = _Reader(begin)

    def __aiter__(self) -> AsyncStream[P, R]:
        return self

    async def __anext__(self) -> P:
        try:
            item: P | None = await self._reader.get()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if item is None:
            raise StopAsyncIteration
        return item

    async def finish(self) -> R:
        """Wait for all of it."""
        async for _ in self:
            pass
        return self.result

    @property
    def result(self) -> R:
        """What came of it, once it is over."""
        found: R = self._reader.stream_there().result
        return found

    def cancel(self) -> None:
        """End it within one token."""
        self._reader.cancel()

    async def __aenter__(self) -> AsyncStream[P, R]:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()

    def __del__(self) -> None:
        self.cancel()

    def __repr__(self) -> str:
        return f"<AsyncStream of {self._reader.stream!r}>"


class _Reader:
    """Reads a stream in a thread of its own, which begins when somebody first waits."""

    def __init__(self, begin: Callable[[], AnyStream]) -> None:
        self._begin = begin
        self.stream: AnyStream | None = None
        self._queue: asyncio.Queue[Any] | None = None
        self._cancelled = threading.Event()
        self._ended = False

    async def get(self) -> Any:
        """The next piece; None is the end."""
        if self._ended:
            return None
        if self._queue is None:
            self._queue, loop = asyncio.Queue(), asyncio.get_running_loop()
            name = "llamapy-stream"
            threading.Thread(target=self._read, args=(loop,), daemon=True, name=name).start()
        item = await self._queue.get()
        if item is None or isinstance(item, BaseException):
            self._ended = True
        if isinstance(item, BaseException):
            raise item
        return item

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            with self._begin() as self.stream:
                for piece in self.stream:
                    if self._cancelled.is_set() or not self._tell(loop, piece):
                        return
            self._tell(loop, None)
        except BaseException as error:
            self._tell(loop, error)

    def _tell(self, loop: asyncio.AbstractEventLoop, item: Any) -> bool:
        """Hand something over; False if nobody is there any more."""
        assert self._queue is not None
        try:
            loop.call_soon_threadsafe(self._queue.put_nowait, item)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def cancel(self) -> None:
        self._cancelled.set()
        if self.stream is not None:
            self.stream.cancel()

    def stream_there(self) -> AnyStream:
        if self.stream is None:
            raise LlamapyError("this has not begun: read it with `async for`, or await finish()")
        return self.stream
