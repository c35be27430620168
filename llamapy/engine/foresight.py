"""Which kernels a model will need, so that they are compiled together and before they are needed.

The model is bound, and some batches are computed, on a backend that only notes what it would call:
no weight is read, and nothing is computed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ..backends import Backend
from ..backends.several import parts_of, with_parts
from ..cache import Batch
from ..models import EncoderDecoder
from .counting import Counting

if TYPE_CHECKING:
    from .model import Model

Progress: TypeAlias = Callable[[int, int], object]
Make: TypeAlias = "Callable[[Backend], Model]"
# tokens of a batch: one that is generated, a short prompt, a long one
USUAL = (1, 8, 64)
# all of which the kernels differ
ALL = (*USUAL, 2, 4)

_log = logging.getLogger("llamapy")


def needed_kernels(make: Make, backend: Backend, sizes: Sequence[int] = ALL) -> list[Any]:
    """The kernels that are missing for a model, which `make` makes on a backend."""
    if not any(hasattr(part, "rehearsal") for part in parts_of(backend)):
        return []
    from ..backends.cpu.ahead import missing

    rehearsal = with_parts(backend, _rehearsal)
    model = make(rehearsal)
    model._identity = None  # which would be made of weights
    for size in sizes:
        n = min(size, model.n_ctx)
        cache = model.make_cache(rehearsal, n, n_sequences=1, n_batch=n, kv_type=model.kv_type)
        if isinstance(model.decoder, EncoderDecoder):
            model.encode(cache, [0] * n)
        model.run(cache, Batch.of([0] * n))
    wanted = (getattr(part, "wanted", {}) for part in parts_of(rehearsal))
    return missing({kernel: None for each in wanted for kernel in each})


def _rehearsal(backend: Backend) -> Any:
    """What only notes what it would call; of a backend that compiles nothing, what does nothing."""
    return backend.rehearsal() if hasattr(backend, "rehearsal") else Counting(backend)


def foreseen_kernels(make: Make, backend: Backend) -> list[Any]:
    """The same before a model is loaded: quick where none is missing, and never in the way."""
    try:
        return needed_kernels(make, backend, USUAL) and needed_kernels(make, backend, ALL)
    except Exception as error:
        # a model that looks at values while it computes fails here, and works; one that is wrong
        # will be told so when it is loaded
        _log.info("kernels are compiled when they are needed, for they are unforeseen: %s", error)
        return []


def compile_kernels(kernels: list[Any], progress: Progress | None = None) -> None:
    """Compile kernels that are missing, in as many processes as there are cores."""
    if kernels:
        from ..backends.cpu.ahead import compile_ahead

        compile_ahead(kernels, progress)


def part_of(progress: Progress | None, before: int, total: int) -> Progress | None:
    """What is told of a part of the work, which begins after so many steps of so many."""
    return progress and (lambda done, _: progress(before + done, total))
