"""llama.cpp's own whole-model quantization, called through llama-cpp-python's C bindings.

Needs the `bench` extra. Used by the scripts here that make golden figures and compare speed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from llama_cpp import llama_cpp as peer

from .peer import library

_log: list[str] = []


@peer.llama_log_callback
def _remember(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    _log.append(text.decode("utf-8", "replace"))


peer.llama_log_set(_remember, ctypes.c_void_p(0))


def _type_names() -> dict[str, int]:
    """ggml's type numbers, by the names that its log uses, in capitals."""
    ggml = library()
    ggml.ggml_type_name.restype = ctypes.c_char_p
    names = {number: ggml.ggml_type_name(number) for number in range(43)}
    return {name.decode().upper(): number for number, name in names.items() if name}


TYPES = _type_names()


def quantize(
    source: str | Path,
    target: str | Path,
    file_type: int,
    *,
    imatrix: Mapping[str, np.ndarray] | None = None,
    tensor_types: Sequence[tuple[str, str]] = (),
    overrides: Sequence[tuple[str, object]] = (),
    output: str = "",
    embedding: str = "",
    prune_layers: Sequence[int] = (),
    threads: int = 1,
    leave_output: bool = False,
    **flags: bool,
) -> tuple[bool, str]:
    """Quantize a file; whether llama.cpp did, and what it logged.

    `flags` are its own: allow_requantize, only_copy, pure, keep_split, dry_run.
    """
    params = peer.llama_model_quantize_default_params()
    params.nthread, params.ftype = threads, file_type
    no_type = params.output_tensor_type
    params.output_tensor_type = TYPES[output] if output else no_type
    params.token_embedding_type = TYPES[embedding] if embedding else no_type
    params.quantize_output_tensor = not leave_output
    for name, value in flags.items():
        getattr(params, name)
        setattr(params, name, value)
    keep: list[object] = []
    if imatrix is not None:
        entries = (peer.llama_model_imatrix_data * (len(imatrix) + 1))()
        for entry, (name, values) in zip(entries, imatrix.items(), strict=False):
            values = np.ascontiguousarray(values, np.float32)
            keep.append(values)
            entry.name, entry.size = name.encode(), values.size
            entry.data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        params.imatrix = entries
    if tensor_types:
        patterns = (peer.llama_model_tensor_override * (len(tensor_types) + 1))()
        for slot, (pattern, name) in zip(patterns, tensor_types, strict=False):
            slot.pattern, slot.type = pattern.encode(), TYPES[name]
        patterns[len(tensor_types)].type = no_type
        params.tt_overrides = patterns
    if overrides:
        slots = (peer.llama_model_kv_override * (len(overrides) + 1))()
        for slot, (key, value) in zip(slots, overrides, strict=False):
            slot.key = key.encode()
            if isinstance(value, bool):
                slot.tag, slot.value.val_bool = 2, value
            elif isinstance(value, int):
                slot.tag, slot.value.val_i64 = 0, value
            elif isinstance(value, float):
                slot.tag, slot.value.val_f64 = 1, value
            else:
                slot.tag, slot.value.val_str = 3, str(value).encode()
        params.kv_overrides = slots
    if prune_layers:
        params.prune_layers = (ctypes.c_int32 * (len(prune_layers) + 1))(*prune_layers, -1)
    _log.clear()
    status = peer.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(params)
    )
    return status == 0, "".join(_log)
