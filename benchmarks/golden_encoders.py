"""Make tests/data/archs/encoders/variants.json: what llama.cpp gives for encoders of other kinds.

    python -m benchmarks.golden_encoders        # needs llama-cpp-python, the [bench] extra

The models are fixtures with other keys and tensors: optional weights, fused and split matrices,
classifiers. Embeddings are pooled in each way; T5 reads one text with its encoder, and goes on with
another.
"""

from __future__ import annotations

import json
import os
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from llamapy import gguf
from llamapy.testing.model import Fixture, fill

from .golden_rope import FOLDER, kind_of, value

SEED = 7
SOURCE = [5, 9, 100, 3, 77, 20, 33, 64, 2, 90, 11, 12, 13]
TEXTS = [[3, 17, 99, 4, 5], [*range(40, 77)], [8, 8, 9]]
ROWS, COLUMNS = 3, 24  # the last rows, the first columns are kept
E, F, N_CLASSES, BUCKETS = 64, 96, 3, 16
POOLINGS = ("none", "mean", "cls", "last", "rank")
LABELS = {"classifier.output_labels": ["a", "b", "c"]}
OUTPUT = {"cls.output.weight": [N_CLASSES, E], "cls.output.bias": [N_CLASSES]}
CLASSIFIER = {"cls.weight": [E, E], "cls.bias": [E], **OUTPUT}
DENSE = {"dense_2_feat_in": E, "dense_2_feat_out": 128, "dense_3_feat_in": 128}


def layers(tensors: dict[str, list[int]], prefix: str = "blk.", count: int = 2) -> dict[str, Any]:
    """The same tensors in each layer."""
    return {f"{prefix}{i}.{name}": shape for i in range(count) for name, shape in tensors.items()}


def norm(name: str) -> dict[str, list[int]]:
    return {f"{name}.weight": [E], f"{name}.bias": [E]}


def case(
    name: str,
    fixture: str,
    poolings: str,
    keys: dict[str, Any] | None = None,
    added: dict[str, Any] | None = None,
    removed: tuple[str, ...] = (),
) -> dict[str, Any]:
    return {
        "name": name,
        "fixture": fixture,
        "poolings": poolings.split(),
        "keys": keys or {},
        "added": added or {},
        "removed": list(removed),
    }


CASES = [
    case("bert-pooled", "bert-dense", "mean cls last rank", LABELS, CLASSIFIER),
    case("bert-one-matrix-ranks", "bert-dense", "rank", LABELS, OUTPUT),
    case(
        "bert-fused",
        "bert-dense",
        "none",
        {},
        layers({"attn_qkv.weight": [3 * E, E], "attn_qkv.bias": [3 * E]}),
        ("blk.*.attn_[qkv].*", "token_types.*", "*.attn_output.bias"),
    ),
    case(
        "jina-2-all-norms",
        "jina-bert-v2-dense",
        "none rank",
        {},
        layers(norm("attn_q_norm") | norm("attn_k_norm") | norm("attn_norm_2"))
        | {"cls.weight": [1, E], "cls.bias": [1]},
    ),
    case(
        "jina-2-fused",
        "jina-bert-v2-dense",
        "none",
        {},
        layers({"ffn_up.weight": [2 * F, E]}),
        ("*.ffn_gate.*", "*.ffn_up.*"),
    ),
    case(
        "jina-2-ungated",
        "jina-bert-v2-dense",
        "none",
        {},
        layers({"ffn_up.bias": [F]}),
        ("*.ffn_gate.*",),
    ),
    case(
        "nomic-split",
        "nomic-bert-dense",
        "last",
        {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
        layers({f"attn_{x}.weight": [E, E] for x in "qkv"}),
        ("*.attn_qkv.*",),
    ),
    case(
        "modern-silu-without-windows",
        "modern-bert-dense",
        "none",
        {"hidden_activation": "silu", "attention.sliding_window": 0},
    ),
    case(
        "modern-ranks",
        "modern-bert-dense",
        "none rank",
        {**LABELS, "attention.sliding_window": 7, "attention.sliding_window_pattern": 2},
        {"cls.weight": [E, E], "cls.norm.weight": [E], **OUTPUT},
    ),
    case(
        "modern-ranks-by-the-first-token",
        "modern-bert-dense",
        "rank",
        {
            **LABELS,
            "attention.sliding_window_pattern": [True, False, False, True],
            "classifier.pooling_type": 2,
        },
        {"cls.weight": [E, E], "cls.output.weight": [N_CLASSES, E]},
    ),
    case("neo-ranks", "neo-bert-dense", "rank", LABELS, CLASSIFIER),
    case(
        "gemma-projected",
        "gemma-embedding-dense",
        "none mean",
        {**DENSE, "dense_3_feat_out": E, "attention.sliding_window": 5},
        {"dense_2.weight": [128, E], "dense_3.weight": [E, 128], "output.weight": [128, E]},
    ),
    case("llama-factors", "llama-embed-dense", "last", {}, {"rope_freqs.weight": [8]}),
    case(
        "t5-encoder-gated",
        "t5encoder-dense",
        "mean",
        {"attention.relative_buckets_count": BUCKETS},
        layers({"ffn_gate.weight": [F, E], "attn_rel_b.weight": [BUCKETS, 4]}, "enc.blk."),
    ),
    case(
        "t5-gated",
        "t5-dense",
        "decode",
        {"attention.relative_buckets_count": BUCKETS, "decoder_block_count": 1},
        layers({"ffn_gate.weight": [F, E]}, "enc.blk.")
        | layers({"attn_rel_b.weight": [BUCKETS, 4]}, "enc.blk.", 1)
        | layers({"ffn_gate.weight": [F, E], "attn_rel_b.weight": [BUCKETS, 4]}, "dec.blk.", 1)
        | layers({"cross_attn_rel_b.weight": [BUCKETS, 4]}, "dec.blk.", 1)
        | {"output.weight": [128, E]},
        ("dec.blk.1.*",),
    ),
]


def variant(case: dict[str, Any], fixture: Fixture) -> dict[str, Any]:
    """The weights of a case."""
    kept = {
        name: shape
        for name, shape in fixture.tensors.items()
        if not any(fnmatchcase(name, pattern) for pattern in case["removed"])
    }
    tensors = {**kept, **{name: tuple(shape) for name, shape in case["added"].items()}}
    return {name: fill(name, shape, SEED) for name, shape in tensors.items()}


def typed_value(plain: Any) -> Any:
    if isinstance(plain, list):
        return value("ARRAY:BOOL" if isinstance(plain[0], bool) else "ARRAY:STRING", plain)
    return value(kind_of(plain), plain)


def batch(llama_cpp: Any, tokens: list[int]) -> Any:
    made = llama_cpp.llama_batch_init(64, 0, 1)
    made.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        made.token[i], made.pos[i], made.n_seq_id[i], made.logits[i] = token, i, 1, 1
        made.seq_id[i][0] = 0
    return made


def computed(path: str, pooling: str) -> Any:
    """What llama.cpp gives: a row for each text, or the last rows of one."""
    import llama_cpp

    model = llama_cpp.llama_model_load_from_file(
        path.encode(), llama_cpp.llama_model_default_params()
    )
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = 256, 64, 64
    params.type_k = params.type_v = params.flash_attn_type = 0
    params.embeddings = pooling in POOLINGS
    if pooling in POOLINGS:
        params.pooling_type = POOLINGS.index(pooling)
    context = llama_cpp.llama_init_from_model(model, params)
    n_embd = llama_cpp.llama_model_n_embd(model)
    if pooling == "decode":
        llama_cpp.llama_encode(context, batch(llama_cpp, SOURCE))
        llama_cpp.llama_decode(context, batch(llama_cpp, TEXTS[1]))
        n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        values, shape = llama_cpp.llama_get_logits(context), (len(TEXTS[1]), n_vocab)
        return np.ctypeslib.as_array(values, shape)[-ROWS:, :COLUMNS].copy()
    if pooling == "none":
        llama_cpp.llama_encode(context, batch(llama_cpp, TEXTS[1]))
        values, shape = llama_cpp.llama_get_embeddings(context), (len(TEXTS[1]), n_embd)
        return np.ctypeslib.as_array(values, shape)[-ROWS:, :COLUMNS].copy()
    width = llama_cpp.llama_model_n_cls_out(model) if pooling == "rank" else n_embd
    rows = []
    for text in TEXTS:
        llama_cpp.llama_encode(context, batch(llama_cpp, text))
        values = llama_cpp.llama_get_embeddings_seq(context, 0)
        rows.append(np.ctypeslib.as_array(values, (width,))[:COLUMNS].copy())
    return np.array(rows)


def main() -> None:
    made = []
    for case in CASES:
        fixture = Fixture.read(FOLDER / f"{case['fixture']}.json")
        stored = json.loads((FOLDER / f"{case['fixture']}.json").read_text())["kv"]
        architecture = fixture.metadata["general.architecture"]
        metadata = {key: value(*kind_and_value) for key, kind_and_value in stored.items()}
        for key, plain in case["keys"].items():
            metadata[f"{architecture}.{key}"] = typed_value(plain)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.gguf")
            gguf.write(path, metadata, variant(case, fixture))
            results = {
                pooling: [[float(f"{v:.7g}") for v in row] for row in computed(path, pooling)]
                for pooling in case["poolings"]
            }
        made.append({**case, "results": results})
    target = Path(FOLDER) / "encoders" / "variants.json"
    target.parent.mkdir(exist_ok=True)
    sizes = {"seed": SEED, "source": SOURCE, "texts": TEXTS, "rows": ROWS, "columns": COLUMNS}
    target.write_text(json.dumps({**sizes, "cases": made}))


if __name__ == "__main__":
    main()
