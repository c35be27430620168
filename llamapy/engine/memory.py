"""How much memory a model takes, found before any is allocated.

The model is bound, its cache made and a step computed as always, but on a backend that only counts:
its memory is nothing but sizes, and its kernels do nothing. So a plan cannot forget what the code
that it plans allocates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import tables
from ..backends import GRAPHICS, Backend
from ..backends.several import parts_of, with_parts
from ..cache import PAGE, Batch, Cache
from ..cache.table import ROLLBACK
from ..errors import MemoryPlanError
from ..gguf.summary import size
from ..models import Encoder, EncoderDecoder
from .available import free_bytes
from .counting import Counting

if TYPE_CHECKING:
    from .model import Model

Free: TypeAlias = Sequence[int | None]  # bytes, of each device
LEAST_CONTEXT = 512  # for which there must be room when no context was asked for
SMALL = 1 << 20  # bytes; as little as this is not asked for


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes: of weights, of a cache for `n_ctx` tokens, and of what a step computes with.

    `free` is what this machine has left, None if it does not say. `largest` is the largest context
    that fits, 0 if none does. Of several devices, `parts` has each one's plan.
    """

    device: str
    n_ctx: int
    kv_type: str
    weights: int
    cache: int
    scratch: int
    free: int | None
    largest: int | None = None
    parts: tuple[MemoryPlan, ...] = ()

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.scratch

    @property
    def missing(self) -> int:
        """How many bytes too few are free; 0 if it fits."""
        if self.parts:
            return sum(part.missing for part in self.parts)
        return 0 if self.free is None else max(0, self.total - self.free)

    @property
    def advice(self) -> str:
        """What to do when it does not fit."""
        if self.largest:
            return f"the largest context that fits is n_ctx={self.largest}"
        names = (part.device.partition(":")[0] for part in self.parts or (self,))
        fewer = ", fewer n_gpu_layers" if not set(GRAPHICS).isdisjoint(names) else ""
        return f"no context fits, so free memory, or choose a smaller model{fewer}"

    def check(self) -> None:
        """Refuse what does not fit."""
        for part in self.parts:
            part.check()
        if not self.missing:
            return
        assert self.free is not None
        raise MemoryPlanError(
            f"a context of {self.n_ctx} tokens takes {size(self.total)} on {self.device} (weights "
            f"{size(self.weights)}, cache of {self.kv_type} {size(self.cache)}, scratch "
            f"{size(self.scratch)}), which is {size(self.missing)} more than the "
            f"{size(self.free)} that are free: {self.advice}"
        )

    def rows(self) -> Iterator[tuple[str, int | None]]:
        """What is printed, in bytes."""
        for part in self.parts:
            yield from ((f"{part.device}: {name}", n_bytes) for name, n_bytes in part.rows())
        if self.parts:
            yield "all together", self.total
            return
        yield "weights", self.weights
        yield f"cache of {self.n_ctx} tokens, {self.kv_type}", self.cache
        yield "scratch", self.scratch
        yield "together", self.total
        yield "free", self.free

    def __str__(self) -> str:
        return "\n".join(f"{name}: {shown}" for name, shown in self._shown())

    def _repr_html_(self) -> str:
        return tables.as_html(self._shown(), caption=f"memory on {self.device}")

    def _shown(self) -> Iterator[tuple[str, str]]:
        return ((name, "unknown" if n is None else size(n)) for name, n in self.rows())


class Planner:
    """Counts for one model; `make` makes it on a backend that it is given."""

    def __init__(
        self,
        make: Callable[[Backend], Model],
        backend: Backend,
        *,
        n_sequences: int = 1,
        n_batch: int = 512,
    ) -> None:
        self.backend = with_parts(backend, Counting)
        self.countings: list[Any] = list(parts_of(self.backend))
        self.n_sequences, self.n_batch = n_sequences, n_batch
        self.model = make(self.backend)
        self.weights = [counting.live for counting in self.countings]

    @property
    def n_ctx(self) -> int:
        """The context that the model is loaded with."""
        return self.model.n_ctx

    def plan(self, n_ctx: int | None, free: Free) -> MemoryPlan:
        """What a context takes; if that is too much, the plan says which one would fit.

        `free` is what each device has left.
        """
        n_ctx = n_ctx or self.n_ctx
        plan = self._plan(n_ctx, free)
        return self._plan(n_ctx, free, self.largest(n_ctx, free)) if plan.missing else plan

    def largest(self, n_ctx: int, free: Free) -> int:
        """The largest context up to this one that fits: a whole number of pages."""
        low, high = 0, -(-n_ctx // PAGE)  # pages; so many fit, so many do not
        while high - low > 1:
            middle = (low + high) // 2
            if self._plan(middle * PAGE, free).missing:
                high = middle
            else:
                low = middle
        return low * PAGE

    def _plan(self, n_ctx: int, free: Free, largest: int | None = None) -> MemoryPlan:
        kv_type, made = self.model.kv_type, self.measure(n_ctx)
        parts = tuple(
            MemoryPlan(counting.name, n_ctx, kv_type, weights, *each, left, largest)
            for counting, weights, each, left in zip(
                self.countings, self.weights, made, free, strict=True
            )
        )
        if len(parts) == 1:
            return parts[0]
        cache, scratch = (sum(each) for each in zip(*made, strict=True))
        weights = sum(self.weights)
        return MemoryPlan(
            self.backend.name, n_ctx, kv_type, weights, cache, scratch, None, largest, parts
        )

    def measure(self, n_ctx: int) -> list[tuple[int, int]]:
        """The bytes of a cache, and of the largest steps when it is full, on each device."""
        before = [counting.live for counting in self.countings]
        n_batch = min(self.n_batch, n_ctx)
        cache = self.model.make_cache(
            self.backend,
            n_ctx,
            n_sequences=self.n_sequences,
            n_batch=n_batch,
            kv_type=self.model.kv_type,
        )
        made = [counting.live - n for counting, n in zip(self.countings, before, strict=True)]
        for counting in self.countings:
            counting.peak = counting.live
        if isinstance(self.model.decoder, Encoder):
            n_batch = n_ctx  # it sees a sequence as a whole
        if isinstance(self.model.decoder, EncoderDecoder):
            self.model.encode(cache, [0] * n_ctx)
        for n_tokens in (1, n_batch):
            _fill(cache, n_ctx - n_tokens)
            self.model.run(cache, Batch.of([0] * n_tokens))
        return [
            (n_bytes, counting.peak - n - n_bytes + counting.thread_room)
            for counting, n, n_bytes in zip(self.countings, before, made, strict=True)
        ]


def _fill(cache: Cache, n_tokens: int) -> None:
    """Let a sequence have so many tokens, none of which is computed."""
    for table in cache.tables.values():
        kept = n_tokens if table.window is None else min(n_tokens, table.window + ROLLBACK)
        table.restore(0, range(n_tokens - kept, n_tokens), n_tokens - kept)
    if cache.slots is not None:
        cache.slots.drop(0)
        if n_tokens:
            cache.slots.restore(0, n_tokens)


def cache_bytes(model: Model, n_ctx: int, **options: Any) -> int:
    """What a cache of a loaded model takes."""
    return sum(_cache_bytes(model, n_ctx, options))


def _cache_bytes(model: Model, n_ctx: int, options: dict[str, Any]) -> list[int]:
    """The same on each device."""
    backend = with_parts(model.backend, Counting)
    cache = model.make_cache(backend, n_ctx, **options)
    n_bytes = [counting.live for counting in parts_of(backend)]  # type: ignore[attr-defined]
    del cache  # which has lived until here
    return n_bytes


def check_cache(model: Model, n_ctx: int, **options: Any) -> None:
    """Refuse a cache for which there is not the memory."""
    parts, needed = parts_of(model.backend), _cache_bytes(model, n_ctx, options)
    free = [
        free_bytes(part) if n_bytes > SMALL else None
        for part, n_bytes in zip(parts, needed, strict=True)
    ]
    if (lacking := _lacking(needed, free)) is None:
        return
    low, high = 0, -(-n_ctx // PAGE)
    while high - low > 1:
        middle = (low + high) // 2
        fits = _lacking(_cache_bytes(model, middle * PAGE, options), free) is None
        low, high = (middle, high) if fits else (low, middle)
    todo = f"the largest that fits is n_ctx={low * PAGE}" if low else "free some memory"
    has = free[lacking] or 0
    raise MemoryPlanError(
        f"a cache for {n_ctx} tokens takes {size(needed[lacking])} on {parts[lacking].name}, which "
        f"is {size(needed[lacking] - has)} more than the {size(has)} that are free: {todo}"
    )


def _lacking(needed: list[int], free: Free) -> int | None:
    """The first device on which there is too little."""
    pairs = enumerate(zip(needed, free, strict=True))
    return next((at for at, (n_bytes, n) in pairs if n is not None and n_bytes > n), None)
