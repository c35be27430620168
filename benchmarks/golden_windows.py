"""Make tests/data/archs/variants/variants.json: what llama.cpp computes for other files.

    python -m benchmarks.golden_windows        # needs llama-cpp-python, the [bench] extra

A variant is a fixture with other keys, tensors or layers: what an architecture reads and the
fixture does not have. Layers beyond the fixture's are as its last one.
"""

from __future__ import annotations

import json
import os
import tempfile
from fnmatch import fnmatchcase
from typing import Any

from llamapy import gguf
from llamapy.gguf import ArrayType, ValueType, typed
from llamapy.testing.model import Fixture, fill

from .golden_rope import FOLDER, kind_of, logits, value

POSITIONS = [15, 47]
WINDOW, PATTERN = "attention.sliding_window", "attention.sliding_window_pattern"
BASE, WINDOW_BASE = "rope.freq_base", "rope.freq_base_swa"
TYPE, FACTOR = "rope.scaling.type", "rope.scaling.factor"
CONTEXT, ATTENTION = "rope.scaling.original_context_length", "rope.scaling.attn_factor"
WINDOWS = {WINDOW: 8, PATTERN: None, WINDOW_BASE: 777.0}
YARN = {TYPE: "yarn", FACTOR: 8.0, CONTEXT: 32, ATTENTION: 1.2}
SPLIT = ("*attn_[qkv].*",)

# fixture, what differs, layers, keys (None: without), tensors left out, tensors added
CASES: list[tuple[str, str, int, dict[str, Any], tuple[str, ...], dict[str, tuple[int, ...]]]] = [
    ("gptneox", "parallel", 2, {"use_parallel_residual": True}, (), {}),
    ("falcon", "one norm", 2, {}, ("*attn_norm_2*", "output.weight"), {}),
    ("stablelm", "parallel", 2, {"rope.dimension_count": 8}, ("*ffn_norm*",), {}),
    ("command-r", "scaled", 2, {"logit_scale": 0.0625}, (), {}),
    ("codeshell", "no embedding", 2, {}, ("token_embd.weight",), {}),
    ("nemotron", "partial", 2, {"rope.dimension_count": 16}, ("*ffn_up.bias",), {}),
    ("cohere2", "windows", 5, {**WINDOWS, "logit_scale": 0.25}, (), {}),
    ("gemma2", "list", 3, {WINDOW: 8, PATTERN: [0, 1, 1], WINDOW_BASE: 500.0}, (), {}),
    ("gemma3", "windows", 7, {**WINDOWS, **YARN, BASE: 1e6, WINDOW_BASE: None}, (), {}),
    ("gemma3", "no window", 2, {WINDOW: None, PATTERN: None, FACTOR: 8.0}, (), {}),
    ("olmo2", "windows", 5, {**WINDOWS, **YARN}, (), {}),
    ("olmo2", "no window", 2, {WINDOW: None, PATTERN: None}, (), {}),
    ("exaone4", "windows", 64, {WINDOW: 8}, (), {}),
    ("plamo3", "windows", 9, {**WINDOWS, "rope.dimension_count": 16}, (), {}),
    (
        "plamo3",
        "values",
        2,
        {"attention.value_length": 16},
        (),
        {"blk.*.attn_qkv.weight": (352, 256), "blk.*.attn_output.weight": (256, 128)},
    ),
    ("muse-glimmer", "windows", 5, {**WINDOWS, "logit_scale": 0.1}, (), {}),
    (
        "spark2_5",
        "windows",
        3,
        {**WINDOWS, PATTERN: [0, 1, 1], FACTOR: 2.0, "rope.dimension_count_swa": 16},
        (),
        {},
    ),
    ("phi3", "fused", 2, {WINDOW: 8}, SPLIT, {"blk.*.attn_qkv.weight": (384, 256)}),
    (
        "phi3",
        "longrope",
        2,
        {TYPE: "longrope", CONTEXT: 128, ATTENTION: 1.19},
        (),
        {"rope_factors_long.weight": (16,)},
    ),
    ("gpt-oss", "windows", 3, {WINDOW: 8, PATTERN: [1, 1, 0], WINDOW_BASE: 777.0, **YARN}, (), {}),
    ("afmoe", "windows", 5, {**WINDOWS, "expert_weights_norm": True}, (), {}),
    (
        "afmoe",
        "softmax",
        2,
        {"expert_gating_func": 1, "expert_shared_count": 0},
        ("*shexp*",),
        {},
    ),
    ("exaone-moe", "windows", 5, {**WINDOWS, "expert_weights_scale": 2.5}, (), {}),
    ("llama4", "list", 4, {PATTERN: [1, 0, 0, 1], WINDOW_BASE: 777.0}, ("rope_freqs*",), {}),
    ("qwen2vl", "sections", 2, {"rope.dimension_sections": [4, 6, 6, 0]}, (), {}),
    ("qwen3vl", "sections", 2, {"rope.dimension_sections": [2, 6, 1, 1]}, (), {}),
]


def typed_value(plain: Any) -> Any:
    if isinstance(plain, bool):
        return typed(ValueType.BOOL, plain)
    if isinstance(plain, list):
        return typed(ArrayType(ValueType.UINT32), plain)
    return value(kind_of(plain), plain)


def variant(case: tuple[Any, ...]) -> dict[str, Any]:
    """The changes of a case, and what llama.cpp computes."""
    architecture, name, n_layer, keys, without, added = case
    experts = architecture in ("gpt-oss", "afmoe", "exaone-moe", "llama4")
    base = f"{architecture}-{'moe' if experts else 'dense'}-gqa"
    fixture = Fixture.read(FOLDER / f"{base}.json")
    n_base = fixture.metadata[f"{architecture}.block_count"]
    metadata = {f"{architecture}.{key}": v for key, v in keys.items()}
    tensors = {}
    for index in range(n_base, n_layer):
        for tensor, shape in fixture.tensors.items():
            if tensor.startswith(f"blk.{n_base - 1}."):
                tensors[tensor.replace(f"blk.{n_base - 1}.", f"blk.{index}.")] = shape
    if tensors:
        metadata[f"{architecture}.block_count"] = n_layer
    for tensor, shape in added.items():
        tensors |= {tensor.replace("*", str(index)): shape for index in range(n_layer)}
    left_out = [t for t in fixture.tensors if any(fnmatchcase(t, p) for p in without)]

    stored = json.loads((FOLDER / f"{base}.json").read_text())["kv"]
    file = {key: value(*kind_and_value) for key, kind_and_value in stored.items()}
    for key, plain in metadata.items():
        file.pop(key, None)
        if plain is not None:
            file[key] = typed_value(plain)
    shapes = {t: s for t, s in fixture.tensors.items() if t not in left_out} | tensors
    weights = {tensor: fill(tensor, shape, fixture.seed) for tensor, shape in shapes.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        gguf.write(path, file, weights)
        rows = logits(path, fixture.tokens)[POSITIONS]
    return {
        "name": name,
        "base": base,
        "metadata": metadata,
        "without": left_out,
        "tensors": tensors,
        "logits": [[float(f"{v:.7g}") for v in row] for row in rows],
    }


def main() -> None:
    target = FOLDER / "variants" / "variants.json"
    target.parent.mkdir(exist_ok=True)
    cases = [variant(case) for case in CASES]
    target.write_text(json.dumps({"positions": POSITIONS, "cases": cases}))


if __name__ == "__main__":
    main()
