"""The tiny models of which llama.cpp's programs have measured perplexities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..engine.quantizing.quantize import quantize
from .tiny import tiny_model

SIZES: dict[str, Any] = {
    "embedding": 32,
    "heads": 2,
    "kv_heads": 1,
    "feed_forward": 48,
    "context": 256,
}


def measured_models(folder: Path) -> dict[str, Path]:
    """A dense model, the same after rounding to Q4_0, and one of experts; all in F32."""
    made = {}
    for name, n_experts in (("dense", 0), ("experts", 4)):
        half = tiny_model(folder / f"{name}-f16.gguf", **SIZES, experts=n_experts)
        made[name] = folder / f"{name}.gguf"
        quantize(half, made[name], "F32")
    quantize(made["dense"], folder / "q4_0.gguf", "Q4_0")
    made["rounded"] = folder / "rounded.gguf"
    quantize(folder / "q4_0.gguf", made["rounded"], "F32", allow_requantize=True)
    return made
