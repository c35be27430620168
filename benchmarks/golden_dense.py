"""Make tests/data/archs/variants/dense.json: layers that differ, loops, optional keys.

    python -m benchmarks.golden_dense        # needs llama-cpp-python, the [bench] extra

A variant is a fixture with other keys. Its tensors are those that the architecture declares, or
of optional ones those that the fixture has, so that llama.cpp, which must load them, checks the
declaration as well.
"""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

from llamapy import gguf
from llamapy.models import find
from llamapy.ops._signature import evaluate
from llamapy.testing.model import fill

from .golden_rope import FOLDER, POSITIONS, logits, value

SMALL = {
    "embedding_length": 64,
    "feed_forward_length": 64,
    "attention.head_count": 4,
    "attention.key_length": 16,
    "attention.value_length": 16,
    "rope.dimension_count": 16,
}

# what differs, fixture, keys that it has not or has otherwise, keys that it must not have
CASES: list[tuple[str, str, dict[str, Any], list[str]]] = [
    (
        "mixed",
        "deci-dense-gqa",
        {
            "block_count": 5,
            "attention.head_count": [8, 0, 8, 0, 4],
            "attention.head_count_kv": [2, 0, 0, 0, 1],
            "feed_forward_length": [96, 96, 96, 0, 64],
        },
        [],
    ),
    (
        "mixed",
        "openelm-dense-gqa",
        {
            "attention.head_count": [8, 4],
            "attention.head_count_kv": [2, 1],
            "feed_forward_length": [96, 64],
        },
        [],
    ),
    ("twice", "nanbeige-dense-gqa", {"num_loops": 2}, []),
    (
        "thrice",
        "nanbeige-dense-gqa",
        {"num_loops": 3, "skip_loop_final_norm": True},
        [],
    ),
    (
        "stacks",
        "hrm_text-dense-gqa",
        {
            "block_count": 8,
            "hrm.layers_per_stack": 2,
            "hrm.h_cycles": 2,
            "hrm.l_cycles": 1,
            "embedding_scale": 3.0,
        },
        [],
    ),
    ("unturned", "smollm3-dense-gqa", {"block_count": 5}, []),
    ("13b", "baichuan-dense-gqa", {"block_count": 40, **SMALL}, []),
    ("7b", "baichuan-dense-gqa", {"block_count": 32, **SMALL}, []),
    (
        "scales",
        "granite-dense-gqa",
        {
            "logit_scale": 4.0,
            "embedding_scale": 6.0,
            "residual_scale": 0.3,
            "attention.scale": 0.05,
            "rope.scaling.finetuned": False,
        },
        [],
    ),
    ("defaults", "minicpm-dense-gqa", {}, ["residual_scale"]),
    (
        "far",
        "mistral3-dense-gqa",
        {"attention.temperature_scale": 0.3, "rope.scaling.original_context_length": 6},
        [],
    ),
    ("text", "glm4-dense-gqa", {}, ["rope.dimension_sections"]),
    ("fourth", "glm4-dense-gqa", {"rope.dimension_sections": [4, 4, 4, 4]}, []),
    ("long", "hunyuan-dense-dense-gqa", {"rope.scaling.alpha": 50.0}, []),
    (
        "heads",
        "bloom-dense-gqa",
        {"embedding_length": 192, "attention.head_count": 6, "attention.head_count_kv": 3},
        [],
    ),
    ("unbiased", "jais-dense-gqa", {}, ["attention.max_alibi_bias"]),
    ("plain", "graniteswitch-dense", {}, ["residual_scale", "embedding_scale"]),
]


def kind_of(plain: Any) -> str:
    if isinstance(plain, list):
        return f"ARRAY:{kind_of(plain[0])}"
    return {bool: "BOOL", str: "STRING", int: "UINT32", float: "FLOAT32"}[type(plain)]


def variant(name: str, base: str, keys: dict[str, Any], removed: list[str]) -> dict[str, Any]:
    """What differs from the fixture, and what llama.cpp computes."""
    data = json.loads((FOLDER / f"{base}.json").read_text())
    architecture = data["kv"]["general.architecture"][1]
    changed = {f"{architecture}.{key}": v for key, v in keys.items()}
    changed |= {f"{architecture}.{key}": None for key in removed}
    kinds = {key: kind for key, kind in data["kv"].items() if key not in changed}
    kinds |= {key: [kind_of(v), v] for key, v in changed.items() if v is not None}

    plain = {key: plain for key, (_, plain) in kinds.items()}
    cls = find(architecture)
    n_vocab = plain[f"{architecture}.vocab_size"]
    stored = {tensor for tensor, _, _ in data["tensors"]}
    shapes = {
        tensor.name: tuple(evaluate(s, {"V": n_vocab, **sizes}) for s in tensor.shape)
        for tensor, sizes in cls.declares(cls.Config.read(architecture, plain))
        if tensor.required or tensor.name in stored
    }
    weights = {tensor: fill(tensor, shape, data["seed"]) for tensor, shape in shapes.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        gguf.write(path, {key: value(*kind) for key, kind in kinds.items()}, weights)
        rows = logits(path, data["tokens"])[POSITIONS]
    return {
        "name": name,
        "base": base,
        "metadata": changed,
        "without": sorted(stored - shapes.keys()),
        "tensors": shapes,
        "logits": [[float(f"{v:.7g}") for v in row] for row in rows],
    }


def main() -> None:
    cases = [variant(*case) for case in CASES]
    target = FOLDER / "variants" / "dense.json"
    target.write_text(json.dumps({"positions": POSITIONS, "cases": cases}))


if __name__ == "__main__":
    main()
