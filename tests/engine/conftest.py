"""A tiny model whose weights a formula gives, and the importance matrix for it."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamapy import gguf
from llamapy.engine.model import Model
from llamapy.engine.quantizing.imatrix import Entry, Imatrix
from llamapy.gguf import ValueType, typed
from llamapy.testing.model import invented
from llamapy.testing.tiny import MERGES, vocabulary

LAYERS, EXPERTS = 4, 3
MATRICES = {
    "attn_q.weight": (6, 256),
    "attn_k.weight": (4, 256),
    "attn_v.weight": (4, 256),
    "attn_output.weight": (6, 256),
    "ffn_gate_inp.weight": (EXPERTS, 256),
    "ffn_gate_exps.weight": (EXPERTS, 4, 256),
    "ffn_up_exps.weight": (EXPERTS, 4, 256),
    "ffn_down_exps.weight": (EXPERTS, 4, 256),
}


def numbers(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Nearly normal float32 numbers, the same everywhere: four bytes of a hash added up."""
    count = int(np.prod(shape))
    x = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(zlib.crc32(name.encode()) << 16)
    with np.errstate(over="ignore"):
        x *= np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(31)
    parts = sum((x >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48))
    return ((parts.astype(np.int64) - 131070) / 32768).astype(np.float32).reshape(shape)


def tiny_tensors() -> dict[str, np.ndarray]:
    """All tensors, in no particular order; one row is zero and one value large."""
    tensors = {
        "output.weight": numbers("output.weight", (12, 256)),
        "token_embd.weight": numbers("token_embd.weight", (12, 256)),
        "output_norm.weight": 1 + numbers("output_norm.weight", (256,)) / 8,
    }
    for layer in reversed(range(LAYERS)):
        name = f"blk.{layer}.attn_norm.weight"
        tensors[name] = 1 + numbers(name, (256,)) / 8
        for matrix, shape in MATRICES.items():
            name = f"blk.{layer}.{matrix}"
            tensors[name] = numbers(name, shape) / 16
    tensors["blk.1.attn_q.weight"][2] = 0
    tensors["blk.2.attn_v.weight"][1, 7] = 9
    return tensors


def tiny_metadata() -> dict[str, object]:
    """What llama.cpp asks of a model before it quantizes it."""
    counts = {
        "context_length": 64,
        "embedding_length": 256,
        "block_count": LAYERS,
        "feed_forward_length": 256,
        "expert_count": EXPERTS,
        "expert_used_count": 2,
        "attention.head_count": 8,
        "attention.head_count_kv": 2,
    }
    return {
        "general.architecture": "llama",
        "general.file_type": typed(ValueType.UINT32, 0),
        "general.name": "tiny",
        **{f"llama.{key}": typed(ValueType.UINT32, value) for key, value in counts.items()},
        "llama.attention.layer_norm_rms_epsilon": typed(ValueType.FLOAT32, 1e-5),
    }


def write_tiny(path: Path, **changes: np.ndarray) -> Path:
    """The tiny model as a file of F32."""
    gguf.write(path, tiny_metadata(), {**tiny_tensors(), **changes})
    return path


def tiny_imatrix() -> Imatrix:
    """Importance for all matrices but the embedding; one expert was never asked."""
    entries = {}
    for name, tensor in tiny_tensors().items():
        if tensor.ndim > 1 and name != "token_embd.weight":
            experts = tensor.shape[0] if tensor.ndim > 2 else 1
            sums = numbers(name + " importance", (experts, 256)) ** 2 + np.float32(0.01)
            counts = np.full(experts, 8)
            if name == "blk.1.ffn_up_exps.weight":
                counts[1] = 0
            entries[name] = Entry(sums, counts)
    return Imatrix(entries, path="tiny.gguf", datasets=["text.txt"], chunks=2, chunk_size=512)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="session")
def imatrix() -> Imatrix:
    return tiny_imatrix()


# ---- a tiny model that reads and writes text: bytes, a few merges, marks of a conversation

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer_metadata() -> dict[str, Any]:
    """A vocabulary as files have it."""
    tokens, kinds = vocabulary()
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": [*tokens, "<|im_start|>", "<|im_end|>"],
        "tokenizer.ggml.token_type": [*kinds, 3, 3],
        "tokenizer.ggml.merges": list(MERGES),
        "tokenizer.ggml.bos_token_id": len(tokens) - 1,
        "tokenizer.ggml.eos_token_id": len(tokens) - 1,
        "tokenizer.ggml.add_bos_token": True,
    }


@pytest.fixture(scope="session")
def speaking() -> Callable[..., Model]:
    """Makes invented models with a tokenizer and a chat template; what they say is nonsense."""

    def make(architecture: str = "llama", template: str = TEMPLATE, **options: Any) -> Model:
        text = tokenizer_metadata()
        sizes = {"context_length": 512, "block_count": 2, **options.pop("sizes", {})}
        n_vocab = len(text["tokenizer.ggml.tokens"])
        model = invented(architecture, sizes, n_vocab=n_vocab, **options)
        model.metadata = {**model.metadata, **text, "tokenizer.chat_template": template}
        return model

    return make
