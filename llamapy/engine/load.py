"""Loading: a file becomes a model on a device."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from .. import backends
from ..backends import Backend
from ..errors import Cancelled, FormatError, UnsupportedError
from ..gguf import GGUF
from ..models import Decoder, find
from ..nn import Names
from .model import Model

# called with the tensors that are loaded and all there are; False stops the loading
Progress: TypeAlias = Callable[[int, int], object]


def load(
    path: str | os.PathLike[str] | bytes | None = None,
    *,
    device: str | Backend = "auto",
    threads: int | None = None,
    n_ctx: int | None = None,
    kv_type: str = "f16",
    precision: str | None = None,
    deterministic: bool = False,
    n_gpu_layers: int | None = None,
    model: type[Decoder] | None = None,
    progress: Progress | None = None,
) -> Model:
    """Load a model from a GGUF file, or from the bytes of one.

    `n_ctx` is the longest context, by default the one that the model was trained with. `kv_type`
    is the format of remembered keys and values. `precision="float32"` rounds no activations.
    `model` is an architecture of your own. A device that is not there is an error.
    """
    if path is None:
        raise UnsupportedError("no model ships with this version: pass the path of a GGUF file")
    if precision not in (None, "float32"):
        raise UnsupportedError(f"precision is {precision!r}: choose None or 'float32'")
    if n_ctx is not None and n_ctx < 1:
        raise UnsupportedError(f"n_ctx is {n_ctx}: a context has at least one token")
    options = {
        "threads": threads,
        "precision": precision,
        "deterministic": deterministic or None,
        "n_gpu_layers": n_gpu_layers,
    }
    backend = backends.get(device, **{k: v for k, v in options.items() if v is not None})

    def again(backend: Backend) -> Model:
        return load(path, device=backend, n_ctx=n_ctx, kv_type=kv_type, model=model)

    file = GGUF.open(path)
    try:
        return build(
            file.metadata,
            file,
            backend,
            n_ctx=n_ctx,
            kv_type=kv_type,
            model=model,
            progress=progress,
            source=file,
            again=again,
        )
    except BaseException:
        file.close()
        raise


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

    def loaded(_: Any) -> None:
        nonlocal done
        done += 1
        if source is not None:
            source.forget()  # a backend that packs has its own copy now
        if progress is not None and progress(done, total) is False:
            raise Cancelled(f"loading was stopped by its progress callback after {done} tensors")

    names = Names(tensors, backend, loaded=loaded)
    decoder = (model or find(architecture))(architecture, metadata, names, n_ctx=n_ctx)

    def rebuilt(backend: Backend) -> Model:
        return build(metadata, tensors, backend, n_ctx=n_ctx, kv_type=kv_type, model=model)

    return Model(
        decoder,
        metadata,
        n_ctx=decoder.n_ctx,
        kv_type=kv_type,
        source=source,
        again=again or rebuilt,
    )
