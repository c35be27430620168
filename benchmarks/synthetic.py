"""A llama of a published model's shape with random weights and a real vocabulary: for timing.

usage: python -m benchmarks.synthetic MODEL.gguf --vocab VOCAB.gguf [--size 1b | 150m]

The file is F16. Its text is noise, its speed is real.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from llamapy import gguf
from llamapy.gguf import GGUF, Stream

# layers, embedding, heads, heads of keys, size of a head, feed-forward
SIZES = {
    "tiny": (2, 256, 4, 2, 64, 512),
    "150m": (12, 768, 12, 4, 64, 2048),
    "1b": (16, 2048, 32, 8, 64, 8192),
    "8b": (32, 4096, 32, 8, 128, 14336),
}


def shapes(size: str, n_vocab: int, *, tied: bool = True) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The tensors. Tied: the output is the embedding, as in small published models."""
    layers, n_embd, heads, kv_heads, head, n_ff = SIZES[size]
    yield "token_embd.weight", (n_vocab, n_embd)
    yield "output_norm.weight", (n_embd,)
    if not tied:
        yield "output.weight", (n_vocab, n_embd)
    for layer in range(layers):
        at = f"blk.{layer}."
        yield at + "attn_norm.weight", (n_embd,)
        yield at + "attn_q.weight", (heads * head, n_embd)
        yield at + "attn_k.weight", (kv_heads * head, n_embd)
        yield at + "attn_v.weight", (kv_heads * head, n_embd)
        yield at + "attn_output.weight", (n_embd, heads * head)
        yield at + "ffn_norm.weight", (n_embd,)
        yield at + "ffn_gate.weight", (n_ff, n_embd)
        yield at + "ffn_up.weight", (n_ff, n_embd)
        yield at + "ffn_down.weight", (n_embd, n_ff)


def keys(size: str, n_vocab: int) -> dict[str, Any]:
    """The keys of a llama."""
    layers, n_embd, heads, kv_heads, head, n_ff = SIZES[size]
    return {
        "general.architecture": "llama",
        "general.name": f"synthetic-{size}",
        "llama.context_length": np.uint32(8192),
        "llama.embedding_length": np.uint32(n_embd),
        "llama.block_count": np.uint32(layers),
        "llama.feed_forward_length": np.uint32(n_ff),
        "llama.attention.head_count": np.uint32(heads),
        "llama.attention.head_count_kv": np.uint32(kv_heads),
        "llama.attention.layer_norm_rms_epsilon": np.float32(1e-5),
        "llama.rope.freq_base": np.float32(500_000),
        "llama.rope.dimension_count": np.uint32(head),
        "llama.vocab_size": np.uint32(n_vocab),
    }


def matrix(rng: np.random.Generator, shape: tuple[int, ...], deviation: float) -> Stream:
    """Random weights, made piece by piece while they are written."""

    def pieces() -> Iterator[bytes]:
        for start in range(0, shape[0], 4096):
            rows = min(4096, shape[0] - start)
            values = rng.standard_normal((rows, shape[1]), np.float32)
            yield (values * np.float32(deviation)).astype("<f2").tobytes()

    return Stream("F16", shape, pieces)


def make(path: Path, vocab: Path, size: str = "1b") -> Path:
    """Write the model."""
    rng = np.random.default_rng(0)
    with GGUF.open(vocab) as vocabulary:
        words = vocabulary.metadata
        n_vocab = len(words["tokenizer.ggml.tokens"])
        metadata = keys(size, n_vocab) | {"general.file_type": np.uint32(1)}
        metadata |= {key: words.value(key) for key in words if key.startswith("tokenizer.")}
        tensors: dict[str, Any] = {}
        for name, shape in shapes(size, n_vocab):
            if len(shape) == 1:
                noise = rng.standard_normal(shape, np.float32)
                tensors[name] = 1 + np.float32(0.05) * noise
            else:
                deviation = 0.02 if name.startswith("token_embd") else shape[1] ** -0.5
                tensors[name] = matrix(rng, shape, deviation)
        gguf.write(path, metadata, tensors)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--vocab", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES, default="1b")
    options = parser.parse_args()
    make(options.model, options.vocab, options.size)


if __name__ == "__main__":
    main()
