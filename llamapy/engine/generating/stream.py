"""Text as it comes: an iterator of pieces, with a result behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from .result import Piece, Result
from .running import Run

P = TypeVar("P", bound=Piece)
R = TypeVar("R", bound=Result)


class View(Generic[P, R]):
    """How people see what a run gives: as it is."""

    def piece(self, piece: Piece) -> P | None:
        """What a piece is to the reader, if anything."""
        return piece  # type: ignore[return-value]

    def rest(self) -> P | None:
        """What is left when all pieces were read."""
        return None

    def result(self, result: Result) -> R:
        return result  # type: ignore[return-value]

    def parts(self, text: str) -> Iterable[tuple[str, str]]:
        """What was read so far, for a page."""
        yield "", text


class Stream(Iterator[P], Generic[P, R]):
    """Pieces as they are generated; afterwards `result`.

    `cancel()` ends it within one token, from any thread, and what there is remains readable.
    `close()` gives the place up at once, as does leaving a `with` block, or forgetting the stream.
    """

    def __init__(
        self,
        run: Run,
        advance: Callable[[Run], object],
        over: Callable[[Run], object],
        view: View[P, R],
    ) -> None:
        self._run, self._advance, self._view = run, advance, view
        self._over: Callable[[Run], object] | None = over
        self._lock = threading.RLock()
        self._rest_given = False
        self._result: R | None = None
        self._seen: list[P] = []

    def __next__(self) -> P:
        with self._lock:
            try:
                return self._next()
            except StopIteration:
                self._leave()
                raise
            except BaseException:
                self.close()
                raise

    def _next(self) -> P:
        run = self._run
        while True:
            while run.pieces:
                piece = self._view.piece(run.pieces.popleft())
                if piece is not None:
                    self._seen.append(piece)
                    return piece
            if not run.is_over:
                self._advance(run)
            elif not run.pieces:
                break
        if run.error is not None and not self._rest_given:
            self._rest_given = True
            raise run.error
        if not self._rest_given:
            self._rest_given = True
            rest = self._view.rest()
            if rest is not None:
                self._seen.append(rest)
                return rest
        raise StopIteration

    def finish(self) -> R:
        """Read all of it."""
        for _ in self:
            pass
        return self.result

    @property
    def result(self) -> R:
        """What came of it, once it is over."""
        if self._result is None:
            self._result = self._view.result(self._run.outcome())
        return self._result

    @property
    def is_over(self) -> bool:
        """Whether all of it was generated; pieces may still be there to read."""
        return self._run.is_over

    @property
    def text(self) -> str:
        """What was read so far."""
        return "".join(map(str, self._seen))

    def cancel(self) -> None:
        """End it within one token; the reason is then "cancelled"."""
        self._run.cancelled = True

    def close(self) -> None:
        """Generate no more."""
        self.cancel()
        with self._lock:
            self._leave()

    def _leave(self) -> None:
        """Give back what was borrowed, once."""
        over, self._over = self._over, None
        if over is not None:
            over(self._run)

    def __enter__(self) -> Stream[P, R]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_over", None) is not None:
            self.close()

    def __repr__(self) -> str:
        state = "running" if self._run.result is None else self._run.result.finish_reason
        return f"<{type(self).__name__} of {self._run.n_generated} tokens so far, {state}>"

    def parts(self) -> Iterable[tuple[str, str]]:
        """What was read so far, for a page."""
        return self._view.parts(self.text)

    def _ipython_display_(self) -> None:
        from .notebook import show_live

        show_live(self)


AnyStream = Stream[Any, Any]
