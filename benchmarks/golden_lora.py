"""Make tests/data/adapters.json: what llama.cpp computes with adapters and control vectors.

    python -m benchmarks.golden_lora        # needs llama-cpp-python, the [bench] extra

Models are the fixtures in tests/data/archs, some with more layers; adapters and vectors are
invented by `llamapy.testing.adapter`. What is stored is how to invent them, and logits.
"""

from __future__ import annotations

import ctypes
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from llamapy import gguf
from llamapy.testing.adapter import deeper, invented_lora, invented_vector
from llamapy.testing.model import Fixture

from .golden_rope import FOLDER, value

TARGET = FOLDER.parent / "adapters.json"
POSITIONS = [0, 15, 47]
PLAIN = ["blk.*_[qkv].weight", "blk.*.attn_output.weight", "blk.*.ffn_*.weight"]
EVERYTHING = [*PLAIN, "token_embd.weight", "output.weight"]

# adapters and vectors have scales; the range of layers counts for all vectors; the tolerance is of
# the mean square error, and 1e-9 where nothing is said
CASES: list[dict[str, Any]] = [
    {
        "name": "llama",
        "base": "llama-dense",
        "adapters": [{"names": EVERYTHING, "scale": 0.7}],
    },
    {
        "name": "llama stacked",
        "base": "llama-dense-gqa",
        "adapters": [
            {"names": PLAIN, "scale": 0.7},
            {"names": ["blk.1.*"], "scale": -0.4, "rank": 3, "alpha": None, "seed": 2},
            {"names": EVERYTHING, "scale": 0.3, "rank": 32, "alpha": 16.0, "seed": 3},
        ],
    },
    {
        "name": "half precision",
        "base": "llama-dense",
        "tolerance": 1e-5,  # llama.cpp rounds what is multiplied with such matrices
        "adapters": [{"names": EVERYTHING, "scale": 1.0, "quant": "F16"}],
    },
    {
        "name": "experts",
        "base": "llama-moe",
        "adapters": [{"names": EVERYTHING, "scale": 0.7}],
    },
    {
        "name": "experts in one matrix",
        "base": "deepseek2-moe",
        # llama.cpp leaves out what adapters say of this one's latent attention and output
        "adapters": [{"names": ["blk.*.ffn_*.weight"], "scale": 0.5}],
    },
    {
        "name": "gate and up in one",
        "base": "phi3-dense",
        "adapters": [{"names": PLAIN, "scale": 0.7}],
    },
    {
        "name": "tied",
        "base": "gemma2-dense",
        "adapters": [{"names": PLAIN, "scale": 0.5}],
    },
    {
        "name": "recurrent",
        "base": "mamba-dense",
        "adapters": [
            {"names": ["blk.*.ssm_in.weight", "blk.*.ssm_out.weight", "output.*"], "scale": 0.7}
        ],
    },
    {
        "name": "steered",
        "base": "llama-dense",
        "layers": 4,
        "vectors": [{"layers": [1, 2, 3], "scale": 3.0}],
    },
    {
        "name": "steered in some layers, twice",
        "base": "llama-dense-gqa",
        "layers": 5,
        "vectors": [
            {"layers": [1, 2, 3, 4], "scale": 3.0},
            {"layers": [2, 3], "scale": -5.0, "seed": 2},
        ],
        "range": [2, 3],
    },
    {
        "name": "steered and adapted",
        "base": "qwen3moe-moe",
        "layers": 3,
        "adapters": [{"names": PLAIN, "scale": 0.7}],
        "vectors": [{"layers": [1, 2], "scale": 4.0}],
    },
    {
        "name": "steered streams",
        "base": "gemma3n-dense",
        "tolerance": 1e-4,  # as without a vector: llama.cpp's GELU is a table
        "vectors": [{"layers": [3, 12, 21], "scale": 4.0}],
    },
    {
        "name": "steered recurrent",
        "base": "mamba-dense",
        "layers": 3,
        "vectors": [{"layers": [1, 2], "scale": 4.0}],
    },
]


def summed(vectors: list[dict[str, Any]], n_embd: int, n_layer: int) -> Any:
    """What llama.cpp's loader makes of several vectors: one, for layers from 1 on."""
    total = np.zeros((n_layer - 1, n_embd), np.float32)
    for said in vectors:
        vector = invented_vector(said["layers"], n_embd, said.get("seed", 1))
        for layer, values in vector.items():
            total[layer - 1] += values * np.float32(said["scale"])
    return total


def logits(path: str, tokens: list[int], adapters: list[tuple[str, float]], vector: Any) -> Any:
    """What llama.cpp gives for all tokens: float32 cache, no flash attention, one batch."""
    import llama_cpp as peer

    model = peer.llama_model_load_from_file(path.encode(), peer.llama_model_default_params())
    params = peer.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = 256, 64, 64
    params.type_k = params.type_v = params.flash_attn_type = 0
    context = peer.llama_init_from_model(model, params)
    if adapters:
        loaded = [peer.llama_adapter_lora_init(model, name.encode()) for name, _ in adapters]
        array = (peer.llama_adapter_lora_p_ctypes * len(loaded))(
            *(ctypes.cast(one, peer.llama_adapter_lora_p_ctypes) for one in loaded)
        )
        scales = (ctypes.c_float * len(loaded))(*(scale for _, scale in adapters))
        if peer.llama_set_adapters_lora(context, array, len(loaded), scales):
            raise SystemExit("llama.cpp refuses the adapters")
    if vector is not None:
        values, first, last = vector
        data = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        n_embd = values.shape[1]
        if peer.llama_set_adapter_cvec(context, data, values.size, n_embd, first, last):
            raise SystemExit("llama.cpp refuses the control vector")
    batch = peer.llama_batch_init(64, 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
        batch.seq_id[i][0] = 0
    if peer.llama_decode(context, batch):
        raise SystemExit(f"llama.cpp cannot compute {path}")
    n_vocab = peer.llama_vocab_n_tokens(peer.llama_model_get_vocab(model))
    values = peer.llama_get_logits(context)
    return np.ctypeslib.as_array(values, (len(tokens), n_vocab)).copy()


def compute(case: dict[str, Any]) -> dict[str, Any]:
    """The case with what llama.cpp gives."""
    path = FOLDER / f"{case['base']}.json"
    kinds = {key: kind for key, (kind, _) in json.loads(path.read_text())["kv"].items()}
    fixture = Fixture.read(path)
    if "layers" in case:
        fixture = deeper(fixture, case["layers"])
    architecture = fixture.metadata["general.architecture"]
    metadata = {key: value(kinds[key], plain) for key, plain in fixture.metadata.items()}
    with tempfile.TemporaryDirectory() as folder:
        model = str(Path(folder) / "model.gguf")
        gguf.write(model, metadata, fixture.weights())
        adapters = []
        for number, said in enumerate(case.get("adapters", ())):
            options = {key: v for key, v in said.items() if key != "scale"}
            file = Path(folder) / f"{number}.gguf"
            invented_lora(file, fixture.tensors, architecture=architecture, **options)
            adapters.append((str(file), said["scale"]))
        vector = None
        if "vectors" in case:
            n_embd = fixture.metadata[f"{architecture}.embedding_length"]
            n_layer = fixture.metadata[f"{architecture}.block_count"]
            first, last = case.get("range", (1, n_layer))
            vector = summed(case["vectors"], n_embd, n_layer), first, last
        rows = logits(model, fixture.tokens, adapters, vector)[POSITIONS]
        plain = logits(model, fixture.tokens, [], None)[POSITIONS]
    change = np.square(rows - plain).mean() / np.square(plain).mean()
    print(f"{case['name']}: differs from the plain model by {change:.3g}")
    return {**case, "logits": [[float(f"{v:.8g}") for v in row] for row in rows]}


def main() -> None:
    made = [compute(case) for case in CASES]
    TARGET.write_text(json.dumps({"positions": POSITIONS, "cases": made}) + "\n")


if __name__ == "__main__":
    main()
