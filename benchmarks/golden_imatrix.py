"""Make tests/data/measuring/inputs.json: what goes into the matrices of llama.cpp's models.

    python -m benchmarks.golden_imatrix        # needs llama-cpp-python, the [bench] extra

llama.cpp computes the fixtures of tests/data/archs, and its products are watched as llama-imatrix
watches them. For each matrix are kept: how many rows it got (of experts: each), the sum of all
their squares, and the same weighted by the column, so that columns cannot be confused.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import tempfile
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as peer

from llamapy import gguf
from llamapy.testing.model import fill

from .golden_rope import FOLDER, value
from .peer import library

TARGET = FOLDER.parent / "measuring" / "inputs.json"
LEAST_ROWS = 16  # llama-imatrix leaves smaller products out

# one of each kind of layer
FIXTURES = (
    "afmoe-moe-gqa",
    "arctic-moe-gqa",
    "bitnet-dense",
    "chatglm-dense-gqa",
    "cohere2-dense-gqa",
    "dbrx-moe-gqa",
    "deepseek2-moe-gqa",
    "ernie4_5-moe-moe-gqa",
    "falcon-h1-dense-gqa",
    "gemma2-dense-gqa",
    "gemma4-moe",
    "gpt-oss-moe-gqa",
    "gpt2-dense-gqa",
    "granitehybrid-dense-gqa",
    "grok-moe-gqa",
    "grovemoe-moe-gqa",
    "hrm_text-dense-gqa",
    "jamba-dense-gqa",
    "kimi-linear-moe-gqa",
    "lfm2-dense-gqa",
    "llama-dense-gqa",
    "llama-moe-gqa",
    "llama4-moe-gqa",
    "mamba-dense",
    "mamba2-dense",
    "minicpm3-dense",
    "mistral4-moe-gqa",
    "mpt-dense-gqa",
    "phi2-dense-gqa",
    "plamo2-dense-gqa",
    "qwen2moe-moe-gqa",
    "qwen3next-moe",
    "rwkv7-dense",
)


class Tensor(ctypes.Structure):
    """ggml_tensor."""


Tensor._fields_ = [
    ("type", ctypes.c_int),
    ("buffer", ctypes.c_void_p),
    ("ne", ctypes.c_int64 * 4),
    ("nb", ctypes.c_size_t * 4),
    ("op", ctypes.c_int),
    ("op_params", ctypes.c_int32 * 16),
    ("flags", ctypes.c_int32),
    ("src", ctypes.POINTER(Tensor) * 10),
    ("view_src", ctypes.c_void_p),
    ("view_offs", ctypes.c_size_t),
    ("data", ctypes.c_void_p),
    ("name", ctypes.c_char * 64),
]


@peer.llama_log_callback
def _silent(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    """llama.cpp has much to say about each model."""


peer.llama_log_set(_silent, ctypes.c_void_p(0))


GGML = library()
GGML.ggml_op_name.restype = ctypes.c_char_p
PRODUCTS = (b"MUL_MAT", b"MUL_MAT_ID")


def array(tensor: Tensor, kind: Any) -> np.ndarray:
    """The values where they lie, last dimension first."""
    n_bytes = 1 + sum((n - 1) * step for n, step in zip(tensor.ne, tensor.nb, strict=True))
    n_bytes += np.dtype(kind).itemsize - 1
    raw = (ctypes.c_char * n_bytes).from_address(tensor.data)
    flat = np.frombuffer(raw, np.uint8)
    shape, strides = tuple(tensor.ne)[::-1], tuple(tensor.nb)[::-1]
    return np.ndarray(shape, kind, flat, 0, strides)


class Watcher:
    """Sums of squares by weight, as llama-imatrix adds them up."""

    def __init__(self) -> None:
        self.sums: dict[str, np.ndarray] = {}
        self.counts: dict[str, np.ndarray] = {}
        self.callback = peer.ggml_backend_sched_eval_callback(self._see)

    def _see(self, address: Any, ask: bool, _: Any) -> bool:
        tensor = ctypes.cast(address, ctypes.POINTER(Tensor)).contents
        op = GGML.ggml_op_name(tensor.op)
        if op not in PRODUCTS:
            return False
        weight, x = tensor.src[0].contents, tensor.src[1].contents
        name = weight.name.decode()
        if op == b"MUL_MAT":
            if x.ne[1] < LEAST_ROWS or x.type != 0 or not name.startswith("blk."):
                return False
            if not ask:
                self._dense(name, array(x, np.float32), weight.ne[3] * weight.ne[2])
        elif not ask:
            ids = array(tensor.src[2].contents, np.int32)[0, 0]  # [tokens, used]
            self._experts(name, array(x, np.float32)[0], ids, weight.ne[2])
        return True

    def _dense(self, name: str, x: np.ndarray, n_matrices: int) -> None:
        squares = np.square(x.astype(np.float64))
        sums = np.zeros((n_matrices, x.shape[-1]))
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                sums[(i * x.shape[1] + j) % n_matrices] += squares[i, j].sum(0)
        rows = x[..., 0].size // n_matrices
        self._add(name, sums.reshape(1, -1), np.array([rows]))

    def _experts(self, name: str, x: np.ndarray, ids: np.ndarray, n_experts: int) -> None:
        sums, counts = np.zeros((n_experts, x.shape[-1])), np.zeros(n_experts, np.int64)
        for token, experts in enumerate(ids):
            for place, expert in enumerate(experts):
                row = x[token, place % x.shape[1]].astype(np.float64)
                sums[expert] += row**2
                counts[expert] += 1
        self._add(name, sums, counts)

    def _add(self, name: str, sums: np.ndarray, counts: np.ndarray) -> None:
        self.sums[name] = self.sums.get(name, 0) + sums
        self.counts[name] = self.counts.get(name, 0) + counts


def condensed(sums: np.ndarray, counts: np.ndarray) -> list[Any]:
    """Rows, and two sums over all columns."""
    flat = sums.reshape(-1)
    weighted = flat @ np.linspace(0.5, 1.5, len(flat))
    return [counts.tolist(), float(f"{flat.sum():.8g}"), float(f"{weighted:.8g}")]


def watched(data: dict[str, Any]) -> dict[str, list[Any]]:
    """What goes into the matrices of one fixture, for its tokens."""
    weights = {
        name: fill(name, tuple(reversed(shape)), data["seed"]) for name, shape, _ in data["tensors"]
    }
    metadata = {key: value(*kind) for key, kind in data["kv"].items()}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        gguf.write(path, metadata, weights)
        model = peer.llama_model_load_from_file(path.encode(), peer.llama_model_default_params())
    if not model:
        raise SystemExit("llama.cpp does not load this model")
    tokens, watcher = data["tokens"], Watcher()
    params = peer.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = 256
    params.type_k = params.type_v = 0
    params.flash_attn_type = 0
    params.n_threads = params.n_threads_batch = 1
    params.cb_eval = watcher.callback
    context = peer.llama_init_from_model(model, params)
    batch = peer.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, i, 1
        batch.seq_id[i][0], batch.logits[i] = 0, True
    if peer.llama_decode(context, batch):
        raise SystemExit("llama.cpp cannot compute this")
    peer.llama_batch_free(batch)
    peer.llama_free(context)
    peer.llama_model_free(model)
    return {name: condensed(sums, watcher.counts[name]) for name, sums in watcher.sums.items()}


def main() -> None:
    names = sys.argv[1:] or FIXTURES
    found = {}
    for name in names:
        data = json.loads((FOLDER / f"{name}.json").read_text())
        if data.get("mode", "decode") == "decode":
            found[name] = watched(data)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(found, separators=(",", ":")) + "\n")
    print(f"{TARGET}: {TARGET.stat().st_size} bytes, {len(found)} models")


if __name__ == "__main__":
    main()
