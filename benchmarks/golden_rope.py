"""Make tests/data/archs/rope/scalings.json: what llama.cpp computes with scaled positions.

    python -m benchmarks.golden_rope        # needs llama-cpp-python, the [bench] extra

The model is the fixture llama-dense with other keys, and with vectors of factors that
`linspace(first, last)` gives.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from llamapy import gguf
from llamapy.gguf import ArrayType, ValueType, typed
from llamapy.testing.model import Fixture

FOLDER = Path(__file__).parent.parent / "tests" / "data" / "archs"
POSITIONS = [15, 47]
TYPE, FACTOR = "rope.scaling.type", "rope.scaling.factor"
CONTEXT, ATTENTION = "rope.scaling.original_context_length", "rope.scaling.attn_factor"
YARN = "rope.scaling.yarn_"
FACTORS = {"rope_factors_long.weight": [1, 9], "rope_factors_short.weight": [1, 2]}

# name, architecture, keys, vectors of factors; Mistral 3 has keys for YaRN that Llama lacks
CASES: list[tuple[str, str, dict[str, Any], dict[str, list[float]]]] = [
    ("none", "llama", {TYPE: "none", FACTOR: 4.0}, {}),
    ("linear", "llama", {TYPE: "linear", FACTOR: 4.0}, {}),
    ("base", "llama", {"rope.freq_base": 500000.0}, {}),
    ("yarn", "llama", {TYPE: "yarn", FACTOR: 4.0, CONTEXT: 64}, {}),
    ("yarn-attn", "llama", {TYPE: "yarn", FACTOR: 8.0, CONTEXT: 32, ATTENTION: 1.3}, {}),
    ("longrope-long", "llama", {TYPE: "longrope", CONTEXT: 64, ATTENTION: 1.2}, FACTORS),
    ("longrope-short", "llama", {TYPE: "longrope", CONTEXT: 512, FACTOR: 2.0}, FACTORS),
    (
        "yarn-log",
        "mistral3",
        {TYPE: "yarn", FACTOR: 8.0, CONTEXT: 32, YARN + "log_multiplier": 0.7},
        {},
    ),
    (
        "yarn-beta",
        "mistral3",
        {
            TYPE: "yarn",
            FACTOR: 8.0,
            CONTEXT: 128,
            YARN + "beta_fast": 16.0,
            YARN + "beta_slow": 2.0,
        },
        {},
    ),
]


def value(kind: str, plain: Any) -> Any:
    if kind.startswith("ARRAY:"):
        return typed(ArrayType(ValueType[kind.removeprefix("ARRAY:")]), plain)
    return typed(ValueType[kind], plain)


def kind_of(plain: Any) -> str:
    return {str: "STRING", int: "UINT32", float: "FLOAT32"}[type(plain)]


def logits(path: str, tokens: list[int]) -> Any:
    """What llama.cpp gives for all tokens: float32 cache, no flash attention, one batch."""
    import llama_cpp

    model = llama_cpp.llama_model_load_from_file(
        path.encode(), llama_cpp.llama_model_default_params()
    )
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = 256, 64, 64
    params.type_k = params.type_v = params.flash_attn_type = 0
    context = llama_cpp.llama_init_from_model(model, params)
    batch = llama_cpp.llama_batch_init(64, 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
        batch.seq_id[i][0] = 0
    if llama_cpp.llama_decode(context, batch):
        raise SystemExit(f"llama.cpp cannot compute {path}")
    n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    values = llama_cpp.llama_get_logits(context)
    return np.ctypeslib.as_array(values, (len(tokens), n_vocab)).copy()


def main() -> None:
    fixture = Fixture.read(FOLDER / "llama-dense.json")
    stored = json.loads((FOLDER / "llama-dense.json").read_text())["kv"]
    made = []
    for name, architecture, keys, factors in CASES:
        metadata = {
            key.replace("llama.", f"{architecture}.", 1): value(*kind_and_value)
            for key, kind_and_value in stored.items()
        }
        metadata["general.architecture"] = architecture
        metadata |= {f"{architecture}.{key}": value(kind_of(v), v) for key, v in keys.items()}
        weights = fixture.weights()
        if factors:
            del weights["rope_freqs.weight"]
        for tensor, ends in factors.items():
            weights[tensor] = np.linspace(*ends, 64, dtype=np.float32)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.gguf")
            gguf.write(path, metadata, weights)
            rows = logits(path, fixture.tokens)[POSITIONS]
        made.append(
            {
                "name": name,
                "architecture": architecture,
                "keys": keys,
                "factors": factors,
                "logits": [[float(f"{v:.7g}") for v in row] for row in rows],
            }
        )
    target = FOLDER / "rope" / "scalings.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"positions": POSITIONS, "cases": made}))


if __name__ == "__main__":
    main()
