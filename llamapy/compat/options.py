"""Options of a Llama: those that are taken, those that do nothing, and those that are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UnsupportedError

DEFAULT_SEED = 0xFFFFFFFF  # llama.cpp takes it for: anything
N_LAYERS = 0x7FFFFFFF

# they say how llama.cpp computes, and change no result
OF_NO_EFFECT = frozenset(
    [
        "split_mode",
        "main_gpu",
        "tensor_split",
        "use_mmap",
        "use_mlock",
        "n_ubatch",
        "n_threads_batch",
        "offload_kqv",
        "flash_attn",
        "op_offload",
        "swa_full",
        "no_perf",
        "numa",
    ]
)
# they would change results: only these values are taken
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "kv_overrides": (None,),
    "rope_scaling_type": (None, -1),
    "attention_type": (-1,),
    "rope_freq_base": (0.0,),
    "rope_freq_scale": (0.0,),
    "yarn_ext_factor": (-1.0,),
    "yarn_attn_factor": (1.0,),
    "yarn_beta_fast": (32.0,),
    "yarn_beta_slow": (1.0,),
    "yarn_orig_ctx": (0,),
    "lora_base": (None,),
    "tokenizer": (None,),
    "vocab_only": (False,),
}
POOLINGS = {-1: None, 0: "none", 1: "mean", 2: "cls", 3: "last", 4: "rank"}
KV_TYPES = {None: "f16", 0: "f32", 1: "f16", 2: "q4_0", 8: "q8_0", 30: "bf16"}


def check_options(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if name in OF_NO_EFFECT or value in NEUTRAL.get(name, ()):
            continue
        if name in NEUTRAL:
            raise UnsupportedError(
                f"{name}={value!r} is not done here: leave it out, or write it into the file's "
                f"metadata"
            )
        raise UnsupportedError(f"Llama has no option {name!r}: leave it out")


def kv_type(type_k: int | None, type_v: int | None) -> str:
    """The format of remembered keys and values by llama.cpp's number."""
    if type_k != type_v:
        raise UnsupportedError(
            f"type_k is {type_k} and type_v {type_v}: keys and values have one type here"
        )
    if type_k not in KV_TYPES:
        raise UnsupportedError(f"type_k={type_k} is no format of a cache: choose 0, 1, 2, 8 or 30")
    return KV_TYPES[type_k]
