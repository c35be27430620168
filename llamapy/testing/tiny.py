"""A small model with invented weights: a real file for examples and tests, made in a moment.

It says nothing sensible, but all of it is there: the metadata, a vocabulary of bytes with a few
merges, F16 weights whose rows divide into blocks of every format. llama.cpp loads it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError, UnsupportedError
from ..gguf import ArrayType, Metadata, ValueType, typed, write

ARCHITECTURES = ("llama",)
END_OF_TEXT = "<|endoftext|>"
MERGES = ("h e", "Ġ t", "Ġt he", "i n", "a n", "an d", "Ġ and")


def tiny_model(
    path: str | os.PathLike[str],
    architecture: str = "llama",
    *,
    layers: int = 2,
    embedding: int = 256,
    heads: int = 4,
    kv_heads: int = 2,
    feed_forward: int = 512,
    context: int = 512,
    experts: int = 0,
    experts_used: int = 2,
    seed: int = 0,
) -> Path:
    """Write a model of these sizes to `path` and return the path.

    The same sizes and seed give the same file. With `experts`, each layer has that many
    feed-forward networks and a router.
    """
    if architecture not in ARCHITECTURES:
        raise UnsupportedError(
            f"no tiny model of the architecture {architecture!r} can be made: "
            f"choose one of {', '.join(ARCHITECTURES)}"
        )
    sizes = dict(
        layers=layers,
        embedding=embedding,
        heads=heads,
        kv_heads=kv_heads,
        feed_forward=feed_forward,
        context=context,
    )
    _check(sizes, experts, experts_used)
    tokens, kinds = vocabulary()
    metadata = _metadata(architecture, sizes, experts, experts_used, tokens, kinds, seed)
    random = np.random.Generator(np.random.PCG64(seed))
    tensors = {
        name: _weights(random, name, shape)
        for name, shape in _shapes(sizes, experts, vocabulary_size=len(tokens))
    }
    write(path, metadata, tensors)
    return Path(path)


def vocabulary() -> tuple[list[str], list[int]]:
    """The tokens, spelled as GPT-2 spells bytes, and their kinds: 1 is text, 3 is control."""
    as_is = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in as_is]
    spelled = {byte: chr(byte) for byte in as_is}
    spelled |= {byte: chr(256 + place) for place, byte in enumerate(others)}
    tokens = [spelled[byte] for byte in range(256)]
    tokens += [merge.replace(" ", "") for merge in MERGES]
    return [*tokens, END_OF_TEXT], [1] * len(tokens) + [3]


def _check(sizes: dict[str, int], experts: int, experts_used: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ShapeError(f"{name} is {value}, but a model needs at least 1")
    embedding, heads, kv_heads = sizes["embedding"], sizes["heads"], sizes["kv_heads"]
    if embedding % heads or embedding // heads % 2:
        raise ShapeError(
            f"an embedding of {embedding} does not divide into {heads} heads of even size: "
            f"make it a multiple of {2 * heads}"
        )
    if heads % kv_heads:
        raise ShapeError(
            f"{heads} heads cannot share {kv_heads} key/value heads evenly: "
            f"choose a divisor of {heads}"
        )
    if experts < 0 or (experts and not 1 <= experts_used <= experts):
        raise ShapeError(
            f"{experts_used} of {experts} experts cannot be used: choose 1 to {max(1, experts)}"
        )


def _metadata(
    architecture: str,
    sizes: dict[str, int],
    experts: int,
    experts_used: int,
    tokens: list[str],
    kinds: list[int],
    seed: int,
) -> Metadata:
    def number(value: int) -> Any:
        return typed(ValueType.UINT32, value)

    def real(value: float) -> Any:
        return typed(ValueType.FLOAT32, value)

    last = len(tokens) - 1
    general = {
        "general.architecture": architecture,
        "general.type": "model",
        "general.name": f"Tiny {architecture} {seed}",
        "general.file_type": number(1),  # mostly F16
    }
    model = {
        "block_count": number(sizes["layers"]),
        "context_length": number(sizes["context"]),
        "embedding_length": number(sizes["embedding"]),
        "feed_forward_length": number(sizes["feed_forward"]),
        "attention.head_count": number(sizes["heads"]),
        "attention.head_count_kv": number(sizes["kv_heads"]),
        "attention.layer_norm_rms_epsilon": real(1e-5),
        "rope.dimension_count": number(sizes["embedding"] // sizes["heads"]),
        "rope.freq_base": real(10000.0),
        "vocab_size": number(len(tokens)),
    }
    if experts:
        model["expert_count"] = number(experts)
        model["expert_used_count"] = number(experts_used)
    tokenizer = {
        "model": "gpt2",
        "pre": "gpt-2",
        "tokens": typed(ArrayType(ValueType.STRING), tokens),
        "token_type": typed(ArrayType(ValueType.INT32), kinds),
        "merges": typed(ArrayType(ValueType.STRING), list(MERGES)),
        "bos_token_id": number(last),
        "eos_token_id": number(last),
        "add_bos_token": True,
    }
    return Metadata().updated(
        general
        | {f"{architecture}.{key}": value for key, value in model.items()}
        | {f"tokenizer.ggml.{key}": value for key, value in tokenizer.items()}
    )


def _shapes(
    sizes: dict[str, int], experts: int, *, vocabulary_size: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor's name and shape, rows first, in the order of the file."""
    n_embd, n_ff = sizes["embedding"], sizes["feed_forward"]
    n_kv = n_embd // sizes["heads"] * sizes["kv_heads"]
    yield "token_embd.weight", (vocabulary_size, n_embd)
    for layer in range(sizes["layers"]):
        blk = f"blk.{layer}"
        yield f"{blk}.attn_norm.weight", (n_embd,)
        yield f"{blk}.attn_q.weight", (n_embd, n_embd)
        yield f"{blk}.attn_k.weight", (n_kv, n_embd)
        yield f"{blk}.attn_v.weight", (n_kv, n_embd)
        yield f"{blk}.attn_output.weight", (n_embd, n_embd)
        yield f"{blk}.ffn_norm.weight", (n_embd,)
        if experts:
            yield f"{blk}.ffn_gate_inp.weight", (experts, n_embd)
            yield f"{blk}.ffn_gate_exps.weight", (experts, n_ff, n_embd)
            yield f"{blk}.ffn_up_exps.weight", (experts, n_ff, n_embd)
            yield f"{blk}.ffn_down_exps.weight", (experts, n_embd, n_ff)
        else:
            yield f"{blk}.ffn_gate.weight", (n_ff, n_embd)
            yield f"{blk}.ffn_up.weight", (n_ff, n_embd)
            yield f"{blk}.ffn_down.weight", (n_embd, n_ff)
    yield "output_norm.weight", (n_embd,)
    yield "output.weight", (vocabulary_size, n_embd)


def _weights(
    random: np.random.Generator, name: str, shape: tuple[int, ...]
) -> NDArray[np.floating[Any]]:
    """Norms near one; matrices scaled so that a row's product with a unit vector stays near one."""
    if "norm" in name:
        return 1 + 0.1 * random.standard_normal(shape, np.float32)
    values = random.standard_normal(shape, np.float32) / np.float32(np.sqrt(shape[-1]))
    # a router is small, and other programs keep it in F32
    return values if "gate_inp" in name else values.astype(np.float16)
