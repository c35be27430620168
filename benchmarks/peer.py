"""llama.cpp's own quantizers, from the library in the peer package (the `bench` extra)."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from llamapy import threads as pool
from llamapy.quants import Quant


def library() -> ctypes.CDLL:
    """libggml-base of the installed llama-cpp-python."""
    try:
        import llama_cpp
    except ImportError as error:
        raise SystemExit(
            "this benchmark measures llama.cpp beside llamapy: pip install 'llamapy[bench]' "
            "(it compiles for some minutes)"
        ) from error
    found = sorted(Path(llama_cpp.__file__).parent.glob("lib/libggml-base.*"))
    if not found:
        raise SystemExit(f"no libggml-base beside {llama_cpp.__file__}")
    ggml = ctypes.CDLL(str(found[0]))
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    ggml.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_void_p,
    ]
    ggml.ggml_quantize_init.argtypes = [ctypes.c_int]
    return ggml


def quantize(
    ggml: ctypes.CDLL,
    quant: type[Quant],
    rows: np.ndarray,
    importance: np.ndarray | None,
    threads: int,
) -> np.ndarray:
    """llama.cpp's bytes for these rows, which are handed to its function in pieces."""
    rows = np.ascontiguousarray(rows, np.float32)
    n_cols = rows.shape[1]
    out = np.zeros((len(rows), quant.row_bytes(n_cols)), np.uint8)
    weights = None if importance is None else importance.ctypes.data
    ggml.ggml_quantize_init(quant.id)

    def piece(first: int, last: int) -> None:
        ggml.ggml_quantize_chunk(
            quant.id,
            rows.ctypes.data,
            out.ctypes.data,
            first * n_cols,
            last - first,
            n_cols,
            weights,
        )

    pool.run(piece, len(rows), grain=max(1, len(rows) // (16 * threads)), threads=threads)
    return out
