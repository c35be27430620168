"""Loading: a file becomes a model on a device."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from .. import backends
from ..backends import Backend
from ..backends.several import parts_of
from ..errors import Cancelled, FormatError, UnsupportedError
from ..gguf import GGUF
from ..models import Decoder, find
from ..nn import Names
from .available import free_bytes, placed
from .foresight import compile_kernels, foreseen_kernels, part_of
from .identity import model_hash
from .memory import LEAST_CONTEXT, MemoryPlan, Planner
from .model import Model

LONGEST = 1 << 25  # tokens of a context; planning one notes all its positions

# called with the steps that are done and all there are: kernels that had to be compiled, for this
# machine has not seen them before, and tensors; False stops the loading
Progress: TypeAlias = Callable[[int, int], object]


def load(
    path: str | os.PathLike[str] | bytes | None = None,
    *,
    device: str | Backend | Sequence[str | Backend] = "auto",
    threads: int | None = None,
    n_ctx: int | None = None,
    kv_type: str = "f16",
    precision: str | None = None,
    deterministic: bool = False,
    n_gpu_layers: int | None = None,
    split: Sequence[float] | None = None,
    model: type[Decoder] | None = None,
    progress: Progress | None = None,
) -> Model:
    """Load a model from a GGUF file, or from the bytes of one; without a path, the default model.

    `n_ctx` is the longest context, by default the one that the model was trained with. `kv_type`
    is the format of remembered keys and values. `precision="float32"` rounds no activations.
    `deterministic=True` asks for the same bits whenever the same is computed on the same machine:
    all devices here give them anyway, so it changes nothing; on the device cpu they depend neither
    on the threads nor on what is computed beside it.
    `model` is an architecture of your own. A device that is not there is an error. Several devices,
    such as "cuda:0,cuda:1", share the layers, by free memory or as `split` says; with
    `n_gpu_layers`, the last ones lie on the GPU and the others on the CPU.
    """
    if path is None:
        path = default_path()
    if precision not in (None, "float32"):
        raise UnsupportedError(f"precision is {precision!r}: choose None or 'float32'")
    if n_ctx is not None and not (isinstance(n_ctx, int) and 1 <= n_ctx <= LONGEST):
        raise UnsupportedError(f"n_ctx is {n_ctx!r}: a context has 1 to {LONGEST} tokens")
    options: dict[str, Any] = {
        "threads": threads,
        "precision": precision,
        "deterministic": deterministic or None,
        "n_gpu_layers": n_gpu_layers,
        "split": split,
    }
    backend = backends.get(device, **{k: v for k, v in options.items() if v is not None})

    def again(backend: Backend) -> Model:
        return load(path, device=backend, n_ctx=n_ctx, kv_type=kv_type, model=model)

    file = GGUF.open(path)
    try:
        backend = placed(backend, file.metadata)
        plan = plan_memory(file, backend, n_ctx=n_ctx, kv_type=kv_type, model=model)
        plan.check()

        def make(backend: Backend, **more: Any) -> Model:
            return build(
                file.metadata, file, backend, n_ctx=n_ctx, kv_type=kv_type, model=model, **more
            )

        kernels = foreseen_kernels(make, backend)
        compile_kernels(kernels, part_of(progress, 0, len(kernels) + len(file)))
        progress = part_of(progress, len(kernels), len(kernels) + len(file))
        return make(backend, progress=progress, source=file, again=again)
    except BaseException:
        file.close()
        raise


def default_path() -> Path:
    """Where the model is that ships with llamapy."""
    path = Path(__file__).parent.parent / "data" / "default.gguf"
    if not path.is_file():
        raise UnsupportedError(
            f"this installation has no default model ({path} is missing): install llamapy again, "
            f"or pass the path of a GGUF file"
        )
    return path


def plan_memory(
    path: str | os.PathLike[str] | bytes | GGUF,
    device: str | Backend | Sequence[str | Backend] = "auto",
    *,
    n_gpu_layers: int | None = None,
    split: Sequence[float] | None = None,
    n_ctx: int | None = None,
    kv_type: str = "f16",
    n_sequences: int = 1,
    n_batch: int = 512,
    model: type[Decoder] | None = None,
) -> MemoryPlan:
    """What a model takes on a device, found without allocating it.

    What is free is asked of the system. Without `n_ctx`, a short context is planned: the one that
    a model was trained with may be far longer than what anybody asks of it.
    """
    if not isinstance(path, GGUF):
        with GGUF.open(path) as file:
            return plan_memory(
                file,
                device,
                n_gpu_layers=n_gpu_layers,
                split=split,
                n_ctx=n_ctx,
                kv_type=kv_type,
                n_sequences=n_sequences,
                n_batch=n_batch,
                model=model,
            )
    file = path

    def make(backend: Backend) -> Model:
        return build(file.metadata, file, backend, n_ctx=n_ctx, kv_type=kv_type, model=model)

    backend = placed(backends.get(device, n_gpu_layers=n_gpu_layers, split=split), file.metadata)
    planner = Planner(make, backend, n_sequences=n_sequences, n_batch=n_batch)
    length = n_ctx or min(planner.n_ctx, LEAST_CONTEXT)
    return planner.plan(length, free=[free_bytes(part) for part in parts_of(backend)])


def build(
    metadata: Mapping[str, Any],
    tensors: Mapping[str, Any],
    backend: Backend,
    *,
    n_ctx: int | None = None,
    kv_type: str = "f16",
    model: type[Decoder] | None = None,
    progress: Progress | None = None,
    source: Any = None,
    again: Callable[[Backend], Model] | None = None,
) -> Model:
    """A model of metadata and tensors: those of a file, or arrays by name."""
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise FormatError(
            "the file does not say which architecture it is of: it is not a model",
            field="general.architecture",
        )
    total, done = len(tensors), 0
    backend = placed(backend, metadata)

    def loaded(_: Any) -> None:
        nonlocal done
        done += 1
        if source is not None:
            source.forget()  # a backend that packs has its own copy now
        if progress is not None and progress(done, total) is False:
            raise Cancelled(f"loading was stopped by its progress callback after {done} tensors")

    kind = model or find(architecture)
    _check_counts(architecture, metadata, len(tensors))
    names = Names(tensors, backend, loaded=loaded)
    try:
        decoder = kind(architecture, metadata, names, n_ctx=n_ctx)
    except ArithmeticError as error:  # a count of 0, which something is divided by
        raise FormatError(
            f"the sizes in its metadata do not fit together ({error}): it is damaged, convert it "
            f"again",
            field=architecture,
        ) from error
    _check_sizes(architecture, decoder)

    def rebuilt(backend: Backend) -> Model:
        return build(metadata, tensors, backend, n_ctx=n_ctx, kv_type=kv_type, model=model)

    return Model(
        decoder,
        metadata,
        n_ctx=decoder.n_ctx,
        kv_type=kv_type,
        source=source,
        again=again or rebuilt,
        identity=functools.partial(model_hash, type(decoder), metadata, tensors),
    )


def _check_counts(architecture: str, metadata: Mapping[str, Any], n_tensors: int) -> None:
    """Refuse more blocks than there are tensors, before anything is made for each of them."""
    count = metadata.get(f"{architecture}.block_count")
    if isinstance(count, int) and count > n_tensors:
        raise FormatError(
            f"it says {count} blocks, and the file has {n_tensors} tensors: it is incomplete, "
            f"convert it again",
            field=f"{architecture}.block_count",
        )


def _check_sizes(architecture: str, decoder: Decoder) -> None:
    """Refuse what no shape of a tensor shows, and a kernel would trust."""
    if decoder.n_ctx < 1:
        raise FormatError(
            f"the context is {decoder.n_ctx}: pass n_ctx, or convert the model again",
            field=f"{architecture}.context_length",
        )
    turned = getattr(decoder.config, "rope_dim", 0)
    if isinstance(turned, int) and turned % 2:
        raise FormatError(
            f"{turned} values of a head would be turned, in pairs: convert the model again",
            field=f"{architecture}.rope.dimension_count",
        )
