"""Getting this machine ready for models: their kernels are compiled before they are needed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import backends, quants
from ..gguf import GGUF
from ..gguf.source import Source
from ..gguf.tensor import TensorInfo
from .foresight import Make, Progress, compile_kernels, needed_kernels
from .load import build

# what most files are made of
COMMON = ("Q4_K", "Q5_K", "Q6_K", "Q8_0", "Q4_0", "F16", "BF16")
SIZE = 256  # of a plain llama: its kernels are those of a large one


def warmup(
    models: Sequence[str | os.PathLike[str]] = (),
    *,
    formats: Sequence[str] = COMMON,
    kv_type: str = "f16",
    precision: str | None = None,
    progress: Progress | None = None,
) -> int:
    """Compile the kernels of these models, or of a plain llama in these formats; returns how many.

    They stay on the disk. What is there already is not compiled again.
    """
    backend = backends.get("cpu", precision=precision)
    wanted: dict[Any, None] = {}
    for path in models:
        with GGUF.open(path) as file:
            make: Make = partial(build, file.metadata, file, kv_type=kv_type)
            wanted |= dict.fromkeys(needed_kernels(make, backend))
    for name in () if models else formats:
        make = partial(build, _metadata(), dict(_tensors(name)), kv_type=kv_type)
        wanted |= dict.fromkeys(needed_kernels(make, backend))
    compile_kernels(list(wanted), progress)
    return len(wanted)


def _metadata() -> dict[str, Any]:
    sizes = {
        "block_count": 1,
        "context_length": SIZE,
        "embedding_length": SIZE,
        "feed_forward_length": SIZE,
        "attention.head_count": 2,
        "attention.layer_norm_rms_epsilon": 1e-5,
    }
    return {"general.architecture": "llama"} | {f"llama.{key}": n for key, n in sizes.items()}


def _tensors(format_name: str) -> Iterator[tuple[str, Any]]:
    """A layer of which nothing is ever read: all matrices are as large as each other."""
    quant, ones = quants.get(format_name), np.ones(SIZE, np.float32)
    n_bytes = SIZE * quant.row_bytes(SIZE)
    source = Source(bytes(n_bytes))
    parts = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    for name in ("token_embd", "output", *(f"blk.0.{part}" for part in parts)):
        name = f"{name}.weight"
        yield name, TensorInfo(name, (SIZE, SIZE), quant, n_bytes, 0, source)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        yield f"{name}.weight", ones
