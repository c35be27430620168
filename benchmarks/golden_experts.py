"""Make tests/data/archs/variants/moe.json: routers, groups, sizes, and latent attention's keys.

    python -m benchmarks.golden_experts        # needs llama-cpp-python, the [bench] extra

A variant is a fixture with other keys, and with tensors that a function changes: it takes and gives
names with shapes.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from typing import Any, TypeAlias

from llamapy import gguf
from llamapy.testing.model import Fixture, fill

from .golden_rope import CONTEXT, FACTOR, FOLDER, POSITIONS, TYPE, logits, value
from .golden_windows import typed_value

Shapes: TypeAlias = dict[str, tuple[int, ...]]

GROUPS = {"expert_group_count": 4, "expert_group_used_count": 2}
NORMALIZED = {"expert_weights_norm": True, "expert_weights_scale": 2.5}
NEXTN = {"block_count": 3, "nextn_predict_layers": 1}
YARN = {TYPE: "yarn", FACTOR: 4.0, CONTEXT: 16}
SHARPNESS = "rope.scaling.yarn_log_multiplier"
HEADS = "attention.head_count"
MADE = {
    "attention.key_length_mla": None,
    "attention.value_length_mla": None,
    "attention.key_length": 192,
    "attention.value_length": 128,
    "attention.head_count": 3,
    "attention.head_count_kv": 3,
}


def same(shapes: Shapes) -> Shapes:
    return shapes


def sized(expert: int, shared: int = 0) -> Callable[[Shapes], Shapes]:
    """Experts of another size, and the shared one."""

    def changed(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        kinds = (("shexp", shared), ("exps", expert))
        for kind, size in kinds:
            if size and f"down_{kind}" in name:
                return (*shape[:-1], size)
            if size and f"_{kind}" in name and "inp" not in name:
                return (*shape[:-2], size * (2 if "gate_up" in name else 1), shape[-1])
        return shape

    return lambda shapes: {name: changed(name, shape) for name, shape in shapes.items()}


def without(*parts: str) -> Callable[[Shapes], Shapes]:
    return lambda shapes: {n: s for n, s in shapes.items() if not any(p in n for p in parts)}


def split_gate_up(shapes: Shapes) -> Shapes:
    out = {}
    for name, shape in shapes.items():
        if "gate_up" not in name:
            out[name] = shape
            continue
        experts, rows, columns = shape
        for part in ("gate", "up"):
            out[name.replace("gate_up", part)] = experts, rows // 2, columns
    return out


def alone(shapes: Shapes) -> Shapes:
    """Grok without dense blocks, and its last norm under the other name."""
    dense = ("ffn_gate.weight", "ffn_up.weight", "ffn_down.weight")
    return {
        name.replace("layer_output_norm", "post_ffw_norm"): shape
        for name, shape in shapes.items()
        if not name.endswith(dense)
    }


def chunks_of_two(shapes: Shapes) -> Shapes:
    return {n: (s[0] // 2, *s[1:]) if "chexps" in n else s for n, s in shapes.items()}


def guessing(*norms: str) -> Callable[[Shapes], Shapes]:
    """A third block that guesses further tokens."""

    def added(shapes: Shapes) -> Shapes:
        (width,) = shapes["output_norm.weight"]
        further = {n.replace("blk.1.", "blk.2."): s for n, s in shapes.items() if "blk.1." in n}
        further["blk.2.nextn.eh_proj.weight"] = width, 2 * width
        for norm in ("nextn.enorm", "nextn.hnorm", "nextn.shared_head_norm", *norms):
            further[f"blk.2.{norm}.weight"] = (width,)
        return shapes | further

    return added


def heads(count: int, *, wide: str = "") -> Callable[[Shapes], Shapes]:
    """Latent attention with several heads; `wide` queries are made at once."""

    def changed(shapes: Shapes) -> Shapes:
        out: Shapes = {}
        for name, shape in shapes.items():
            if "attn_q_b." in name:
                shape = 192 * count, 512
            elif "attn_k_b." in name:
                shape = count, 512, 128
            elif "attn_v_b." in name:
                shape = count, 128, 512
            elif "attn_output." in name:
                shape = 128, 128 * count
            if wide and "attn_q_a" in name:
                continue
            if wide and "attn_q_b." in name:
                name, shape = name.replace("attn_q_b", wide), (192 * count, 128)
            out[name] = shape
        return out

    return changed


def made(count: int) -> Callable[[Shapes], Shapes]:
    """Latent attention whose keys and values one matrix makes."""

    def changed(shapes: Shapes) -> Shapes:
        out = without("attn_k_b.")(heads(count)(shapes))
        for name in [name for name in out if "attn_v_b." in name]:
            del out[name]
            out[name.replace("attn_v_b", "attn_kv_b")] = count * 256, 512
        return out

    return changed


def plain_keys(shapes: Shapes) -> Shapes:
    """MiniCPM 3 with heads of 192 of which 64 are turned."""
    others = {
        "attn_q_b": (384, 512),
        "attn_kv_a_mqa": (576, 256),
        "attn_kv_b": (512, 512),
        "rope_factors_short": (32,),
    }
    parts = {name: name.removesuffix(".weight").rpartition(".")[2] for name in shapes}
    return {name: others.get(parts[name], shape) for name, shape in shapes.items()}


# fixture, what differs, keys (None: without), change of tensors
CASES: list[tuple[str, str, dict[str, Any], Callable[[Shapes], Shapes]]] = [
    ("bailingmoe2-moe-gqa", "groups", GROUPS, same),
    ("bailingmoe2-moe-gqa", "normalized", NORMALIZED, same),
    ("bailingmoe2-moe-gqa", "softmax", {"expert_gating_func": 1}, same),
    ("bailingmoe2-moe-gqa", "chosen-softmax", {"expert_gating_func": 3}, same),
    ("bailingmoe2-moe-gqa", "sqrt-softplus", {"expert_gating_func": 4, **NORMALIZED}, same),
    ("bailingmoe2-moe-gqa", "nextn", NEXTN, guessing("layer_output_norm")),
    (
        "bailingmoe2-moe-gqa",
        "sizes",
        {"expert_shared_count": 2, "expert_shared_feed_forward_length": 50},
        sized(352, 100),
    ),
    ("glm4moe-moe-gqa", "partial", {"rope.dimension_count": 16, **NORMALIZED}, same),
    ("glm4moe-moe-gqa", "sections", {"rope.dimension_sections": [4, 4, 4, 4]}, same),
    ("glm4moe-moe-gqa", "no-head-norms", {}, without("attn_q_norm", "attn_k_norm")),
    ("glm4moe-moe-gqa", "nextn", NEXTN, guessing()),
    ("hy_v3-moe-gqa", "split", NORMALIZED, split_gate_up),
    ("hy_v3-moe-gqa", "nextn", NEXTN, guessing()),
    ("minimax-m2-moe-gqa", "partial", {"rope.dimension_count": 16}, same),
    ("qwen3moe-moe-gqa", "default-size", {"expert_feed_forward_length": None}, sized(117)),
    ("qwen3moe-moe-gqa", "groups", GROUPS, same),
    (
        "qwen2moe-moe-gqa",
        "sizes",
        {"expert_feed_forward_length": 96, "expert_shared_feed_forward_length": 48},
        sized(96, 48),
    ),
    ("deepseek-moe-gqa", "scaled", {"expert_weights_scale": 3.0}, same),
    ("bailingmoe-moe-gqa", "normalized", {"expert_weights_norm": True}, same),
    ("grok-moe-gqa", "alone", {}, alone),
    (
        "grok-moe-gqa",
        "scales",
        {
            "logit_scale": 0.5,
            "attention.output_scale": 0.1,
            "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 2.0,
        },
        same,
    ),
    ("grok-moe-gqa", "yarn", {**YARN, "rope.scaling.yarn_beta_fast": 4.0}, same),
    (
        "grovemoe-moe-gqa",
        "chunks",
        {"experts_per_group": 2, "expert_group_scale": 0.3},
        chunks_of_two,
    ),
    ("granitemoe-moe-gqa", "scales", {"logit_scale": 4.0, "attention.scale": 0.2}, same),
    (
        "granitemoe-moe-gqa",
        "nothing-shared",
        {"expert_shared_feed_forward_length": 0},
        without("shexp"),
    ),
    ("dbrx-moe-gqa", "all", {"expert_used_count": 8, "attention.clamp_kqv": 0.3}, same),
    ("deepseek2-moe-gqa", "heads", {HEADS: 3, **GROUPS, **NORMALIZED}, heads(3)),
    ("deepseek2-moe-gqa", "yarn", {HEADS: 2, **YARN}, heads(2)),
    (
        "deepseek2-moe-gqa",
        "sharp",
        {HEADS: 2, **YARN, SHARPNESS: 0.0707, "rope.scaling.attn_factor": 0.9},
        heads(2),
    ),
    ("deepseek2-moe-gqa", "linear", {TYPE: "linear", FACTOR: 4.0}, same),
    (
        "deepseek2-moe-gqa",
        "temperature",
        {"attention.temperature_scale": 0.3, "attention.temperature_length": 8},
        same,
    ),
    ("deepseek2-moe-gqa", "wide", {"attention.q_lora_rank": 0}, heads(1, wide="attn_q")),
    ("deepseek2-moe-gqa", "made", MADE, made(3)),
    ("deepseek2-moe-gqa", "no-gating", {"expert_gating_func": None}, same),
    ("deepseek2-moe-gqa", "nextn", NEXTN, guessing()),
    ("mistral4-moe-gqa", "sharp", {**YARN, SHARPNESS: 0.07}, same),
    (
        "minicpm3-dense",
        "plain-keys",
        {
            "rope.dimension_count": 64,
            "attention.key_length": 192,
            "attention.value_length": 128,
        },
        plain_keys,
    ),
]


def variant(
    base: str, name: str, keys: dict[str, Any], change: Callable[[Shapes], Shapes]
) -> dict[str, Any]:
    """The changes of a case, and what llama.cpp computes."""
    fixture = Fixture.read(FOLDER / f"{base}.json")
    architecture = fixture.metadata["general.architecture"]
    metadata = {f"{architecture}.{key}": plain for key, plain in keys.items()}
    shapes = change(dict(fixture.tensors))
    stored = json.loads((FOLDER / f"{base}.json").read_text())["kv"]
    file = {key: value(*kind_and_value) for key, kind_and_value in stored.items()}
    for key, plain in metadata.items():
        file.pop(key, None)
        if plain is not None:
            file[key] = typed_value(plain)
    weights = {tensor: fill(tensor, shape, fixture.seed) for tensor, shape in shapes.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        gguf.write(path, file, weights)
        rows = logits(path, fixture.tokens)[POSITIONS]
    return {
        "name": name,
        "base": base,
        "metadata": metadata,
        "without": [tensor for tensor in fixture.tensors if tensor not in shapes],
        "tensors": {t: s for t, s in shapes.items() if fixture.tensors.get(t) != s},
        "logits": [[float(f"{v:.7g}") for v in row] for row in rows],
    }


def main() -> None:
    cases = [variant(*case) for case in CASES]
    target = FOLDER / "variants" / "moe.json"
    target.write_text(json.dumps({"positions": POSITIONS, "cases": cases}))


if __name__ == "__main__":
    main()
