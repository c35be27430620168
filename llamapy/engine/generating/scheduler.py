"""Continuous batching: many requests share the steps of one model, and come and go as they like.

Everything that generates is a few calls of this: `submit` requests, and `step` until they are over.
One thread at a time steps.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...cache import Batch, Recurrent
from ...cache.recurrent import parts_of
from ...cache.table import ROLLBACK
from ...cache.whole import WholeCache
from ...errors import UnsupportedError
from ...models import EncoderDecoder
from ..likeliest import FEW
from .request import Request
from .running import Run, check_guesses

if TYPE_CHECKING:
    from ..model import Model

LEAST_SHARED = 8  # tokens of a beginning that are worth copying
PROMPT_PIECE = 128  # tokens of prompts in a step, while others wait for their next token


@dataclass
class Kept:
    """A sequence that is over, and may be the beginning of another."""

    tokens: list[int]
    key: Any  # what decided, beside its tokens, what was computed


class Scheduler:
    """Requests in the sequences of one cache, first come, first served.

    With `shares`, what was computed stays until its place is needed, and what begins in the same
    way goes on from there.
    """

    def __init__(
        self,
        model: Model,
        *,
        n_ctx: int,
        n_sequences: int = 1,
        rollback: int = 0,
        kv_type: str | None = None,
        shares: bool = False,
    ) -> None:
        refuse_whole(model)
        self.model, self.shares, self.rollback = model, shares, rollback
        self.n_sequences, self.n_ctx = n_sequences, min(n_ctx, model.n_ctx)
        # a state cannot go back: where prompts end, a copy of it stays
        self.copies = shares and is_recurrent(model)
        self.n_places = n_sequences * (1 + self.copies)
        self.cache = model.cache(
            n_ctx, n_sequences=self.n_places, kv_type=kv_type, rollback=rollback
        )
        self.is_sound = True  # not where Ctrl-C struck in the middle of a step
        self.waiting: deque[Run] = deque()
        self.running: list[Run] = []
        self.kept: dict[int, Kept] = {}  # by sequence, the least recently used first

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How long a context, how many sequences, and how many guesses of them it has room for."""
        return self.n_ctx, self.n_sequences, self.rollback

    @property
    def is_busy(self) -> bool:
        return bool(self.waiting or self.running)

    def check(self, request: Request) -> Run:
        """A run for this request, or an error if it can never fit."""
        if len(request.prompt) > self.n_ctx:
            raise UnsupportedError(
                f"the prompt has {len(request.prompt)} tokens, and the context {self.n_ctx}: "
                f"shorten it, or choose a larger n_ctx; nothing is cut off silently"
            )
        prompt, decoder = list(request.prompt), self.model.decoder
        if isinstance(decoder, EncoderDecoder):
            prompt = [decoder.start(self.model.metadata)]
        return Run(request, prompt, self.n_ctx)

    def submit(self, request: Request) -> Run:
        """Ask for something; it begins when its turn comes."""
        run = self.check(request)
        self.waiting.append(run)
        return run

    # ---- a step

    def step(self) -> bool:
        """One batch: a token of every sequence, and pieces of prompts. False: nothing to do."""
        self.is_sound = False
        is_busy = self._step()
        self.is_sound = True
        return is_busy

    def _step(self) -> bool:
        for run in (*self.running, *self.waiting):
            try:
                if run.is_cut_off():
                    self._leave(run)
            except Exception as error:  # of somebody's function
                self._fail(run, error)
        self._admit()
        fed = self._fed()
        if not fed:
            return self.is_busy
        batch = Batch.joined([part for _, part, _ in fed])
        started = time.perf_counter()
        few = all(_few_decide(run) for run, part, _ in fed if part.outputs)
        try:
            rows = self.model.run(self.cache, batch, few=few)
        except Exception as error:  # whatever a hook may raise
            for run, _, _ in fed:
                self._fail(run, error)
            return True
        seconds, first = time.perf_counter() - started, 0
        for run, part, guesses in fed:
            own = rows[first : first + len(part.outputs)]
            first += len(part.outputs)
            try:
                self._go_on(run, part, guesses, own, seconds)
            except Exception as error:  # of a sampler, or of somebody's function in it
                self._fail(run, error)
        return True

    def _fed(self) -> list[tuple[Run, Batch, list[int]]]:
        """What each sequence computes next, with the guesses in it."""
        room = self.cache.n_batch
        most = self.rollback if self.cache.slots is not None else ROLLBACK
        fed: list[tuple[Run, Batch, list[int]]] = []
        speaking = [run for run in self.running if not run.is_prompting]
        for number, run in enumerate(speaking):
            try:
                guesses = run.propose(min(most, room - (len(speaking) - number)))
                check_guesses(guesses, self.model.decoder.n_vocab, run.request.draft)
            except Exception as error:
                self._fail(run, error)
                continue
            tokens = [run.tokens[-1], *guesses]
            fed.append((run, Batch.of(tokens, run.sequence, logits="all"), guesses))
            room -= len(tokens)
        if fed:
            room = min(room, PROMPT_PIECE)
        # short prompts leave what they do not need of their share to longer ones
        prompting = [run for run in self.running if run.is_prompting]
        prompting.sort(key=lambda run: run.n_start - run.n_computed)
        for number, run in enumerate(prompting):
            share = room // (len(prompting) - number)
            piece = run.tokens[run.n_computed : min(run.n_start, run.n_computed + share)]
            if piece:
                is_last = run.n_computed + len(piece) == run.n_start
                wanted = is_last and run.request.max_tokens != 0
                logits = "last" if wanted else "none"
                fed.append((run, Batch.of(piece, run.sequence, logits=logits), []))
                room -= len(piece)
        return fed

    def _go_on(self, run: Run, part: Batch, guesses: list[int], rows: Any, seconds: float) -> None:
        """Take what a step gave a sequence."""
        if run.is_prompting:
            run.timings.prompt += seconds
            run.timings.n_prompt += len(part.tokens)
        else:
            run.timings.generated += seconds
        run.n_computed += len(part.tokens) - len(guesses)
        if run.is_prompting:
            return
        if self.copies and run.n_computed == run.n_start:
            self._copy(run)
        if not len(rows):
            run.end("length")
        else:
            right = run.take(rows, guesses)
            run.timings.n_accepted += right
            run.n_computed += right
            if right < len(guesses):
                self.cache.remove(run.sequence, run.n_computed)
            if guesses and hasattr(run.request.draft, "accept"):
                run.request.draft.accept(right)
        if run.is_over:
            self._leave(run)

    # ---- coming and going

    def _admit(self) -> None:
        """Let in who waits, as long as there is a sequence for it."""
        while self.waiting and len(self.running) < self.n_sequences:
            run = self.waiting.popleft()
            self.running.append(run)
            try:
                self._place(run)
                if hasattr(run.request.draft, "reset"):
                    run.request.draft.reset()
            except Exception as error:
                self._fail(run, error)

    def _place(self, run: Run) -> None:
        """Find a sequence, and what it can go on from."""
        free = self._free()
        target = free[0] if free else next(iter(self.kept))
        if isinstance(self.model.decoder, EncoderDecoder):
            run.sequence = target
            started = time.perf_counter()
            self.model.encode(self.cache, run.request.prompt, target)
            run.timings.prompt += time.perf_counter() - started
            run.timings.n_prompt += len(run.request.prompt)
            return
        source, n = self._shared(run.tokens)
        if n and source in self.kept and not free:
            target = source
        self.kept.pop(target, None)
        run.sequence, run.key = target, self.model.state_key()
        if source in self.kept:
            self.kept[source] = self.kept.pop(source)  # the latest stands last
        if source != target or not n:
            self.cache.remove(target)
        if n:
            n = self._begin_with(source, target, n)
        run.n_computed = run.timings.n_reused = n

    def _free(self) -> list[int]:
        """Sequences of which nothing is remembered."""
        taken = {*self.kept, *(run.sequence for run in self.running)}
        return [n for n in range(self.n_places) if n not in taken]

    def _copy(self, run: Run) -> None:
        """Keep what was computed so far, beside what goes on."""
        place = next(iter([*self._free(), *self.kept]))
        self.kept.pop(place, None)
        self.cache.copy(run.sequence, place)
        self.kept[place] = Kept(run.tokens[: run.n_computed], run.key)

    def _begin_with(self, source: int, target: int, n: int) -> int:
        """Let a sequence begin with what another has computed; returns how much of it."""
        try:
            if source == target:
                self.cache.remove(target, n)
            else:
                self.cache.copy(source, target, n)
        except UnsupportedError:  # a window has moved on, or nothing is free for a copy
            self.cache.remove(target)
            return 0
        return n

    def _shared(self, tokens: list[int]) -> tuple[int, int]:
        """The sequence with the longest beginning of these, and how long it is."""
        if not self.shares:
            return -1, 0
        key = self.model.state_key()
        there = {n: kept.tokens for n, kept in self.kept.items() if kept.key == key}
        there |= {r.sequence: r.tokens[: r.n_computed] for r in self.running if r.key == key}
        best = (-1, 0)
        for sequence, known in there.items():
            # the last token is computed, for what follows is asked of it
            n = common_length(known, tokens[:-1])
            if self.cache.slots is not None:
                ends = [each.end for each in self.cache.slots.snapshots(sequence)]
                n = max((end for end in ends if end <= n), default=0)
            if n >= LEAST_SHARED and n > best[1]:
                best = (sequence, n)
        return best

    def _leave(self, run: Run) -> None:
        """Give back the place of a run that is over."""
        if run in self.waiting:
            self.waiting.remove(run)
            return
        self.running.remove(run)
        if run.sequence < 0:
            return
        is_clear = run.n_computed and self.cache.end(run.sequence) == run.n_computed
        if self.shares and is_clear and run.error is None and run.key == self.model.state_key():
            self.kept[run.sequence] = Kept(run.tokens[: run.n_computed], run.key)
        else:
            self.cache.remove(run.sequence)

    def _fail(self, run: Run, error: BaseException) -> None:
        run.fail(error)
        if run in self.running or run in self.waiting:
            self._leave(run)

    def drop(self, run: Run) -> None:
        """End a run that nobody waits for."""
        run.end("cancelled")
        if self.is_sound and (run in self.running or run in self.waiting):
            self._leave(run)

    def close(self, error: BaseException) -> None:
        """End all that there is."""
        for run in (*self.running, *self.waiting):
            run.fail(error)
        self.running.clear()
        self.waiting.clear()
        self.kept.clear()
        self.is_sound = False
        del self.cache


def checked_context(model: Model, n_ctx: int | None) -> int:
    """A length of context that is asked for, if the model has it."""
    if n_ctx is None:
        return model.n_ctx
    if not 1 <= n_ctx <= model.n_ctx:
        raise UnsupportedError(
            f"n_ctx is {n_ctx}, and this model was loaded for contexts of 1 to {model.n_ctx}: "
            f"choose one of them, or load it with n_ctx={max(n_ctx, 1)}"
        )
    return n_ctx


def common_length(one: list[int], other: list[int]) -> int:
    """How long both are the same."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _few_decide(run: Run) -> bool:
    """Whether the likeliest tokens alone decide how a text goes on."""
    n = run.request.n_likeliest
    return n is not None and n <= FEW


def is_recurrent(model: Model) -> bool:
    """Whether it remembers states, which cannot go back."""
    parts = (part for state in model.decoder.states() for part in parts_of(state))
    return any(isinstance(part, Recurrent) for part in parts)


def refuse_whole(model: Model) -> None:
    """Refuse models that do not continue a text."""
    if issubclass(model.decoder.Memory, WholeCache):
        raise UnsupportedError(
            f"{type(model.decoder).__name__} sees a sequence as a whole, and does not continue it "
            f"token by token: forward gives what it computes for each token"
        )
