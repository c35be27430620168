"""Make tests/data/archs/variants/states.json: recurrences, delta rules, and Gemma's late layers.

    python -m benchmarks.golden_states        # needs llama-cpp-python, the [bench] extra

A variant is a fixture with other keys, and with tensors that a function changes: it takes and gives
names with shapes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from .golden_experts import Shapes, guessing, same, split_gate_up, variant, without
from .golden_rope import FOLDER, POSITIONS

SHARED_HEADS = {"ssm.group_count": 1}
RECURRENT, PATTERN = "attention.recurrent_layers", "attention.sliding_window_pattern"
HEADS, KEYS = "attention.head_count", "attention.head_count_kv"


def changed(new: dict[str, tuple[int, ...] | None]) -> Callable[[Shapes], Shapes]:
    """Tensors that match a pattern have another shape, or are left out."""

    def change(shapes: Shapes) -> Shapes:
        out: Shapes = {}
        for name, shape in shapes.items():
            found = [value for pattern, value in new.items() if fnmatchcase(name, pattern)]
            if not found or found[0]:
                out[name] = found[0] if found and found[0] else shape
        return out

    return change


def added(new: Shapes, *others: Callable[[Shapes], Shapes]) -> Callable[[Shapes], Shapes]:
    """Further tensors, after other changes."""

    def change(shapes: Shapes) -> Shapes:
        for other in others:
            shapes = other(shapes)
        return shapes | new

    return change


def repeated(source: int, *targets: int) -> Callable[[Shapes], Shapes]:
    """Further blocks, as one of those that there are."""

    def change(shapes: Shapes) -> Shapes:
        start = f"blk.{source}."
        own = {name: shape for name, shape in shapes.items() if name.startswith(start)}
        further = {
            name.replace(start, f"blk.{target}."): shape
            for target in targets
            for name, shape in own.items()
        }
        return shapes | further

    return change


def in_turn(*changes: Callable[[Shapes], Shapes]) -> Callable[[Shapes], Shapes]:
    return added({}, *changes)


def fused(sizes: dict[int, tuple[int, int]]) -> Callable[[Shapes], Shapes]:
    """One matrix for queries, keys and values in these layers."""
    matrices = {f"blk.{layer}.attn_qkv.weight": shape for layer, shape in sizes.items()}
    return added(matrices, without("attn_q.", "attn_k.", "attn_v."))


ONE_KEY_HEAD = changed({"*attn_qkv*": (512, 256), "*conv1d*": (512, 4)})
INTERLEAVED = added({"blk.0.ssm_in.weight": (768, 256)}, changed({"blk.0.attn_[qg]*": None}))
TWO_HEADS = changed(
    {
        "blk.0.attn_q.*": (384, 128),
        "blk.0.attn_k_b.*": (2, 512, 128),
        "blk.0.attn_v_b.*": (2, 128, 512),
        "blk.0.attn_output.*": (128, 256),
        "blk.1.ssm_f_a.*": (64, 128),
        "blk.1.ssm_g_a.*": (64, 128),
        "blk.1.ssm_[fg]_b.*": (128, 64),
        "blk.1.ssm_beta.*": (2, 128),
        "blk.1.ssm_a": (2, 1),
        "blk.1.ssm_norm.*": (64,),
    }
)
HEADS_OF_16 = changed({"*time_mix_first*": (4, 16)})
FUSED_LERPS = added(
    {f"blk.{layer}.time_mix_lerp_fused.weight": (5, 1, 1, 64) for layer in range(3)},
    changed({"*time_mix_lerp_[wkvrg]*": None}),
)
UNGATED = changed({"*time_mix_g[12]*": None, "*time_mix_ln*": None, "*lerp_fused*": (5, 1, 1, 128)})
ALL_KEYS = changed({"*time_mix_[kv]*.weight": (128, 128), "*time_mix_[kv]*.bias": None})
PLAIN = without("per_layer", "inp_gate", ".proj.", ".post_norm.", "layer_output_scale")
MORE = changed({"per_layer_token_embd*": (128, 24 * 256), "per_layer_model_proj*": (24 * 256, 64)})

# fixture, what differs, keys (None: without), change of tensors
CASES: list[tuple[str, str, dict[str, Any], Callable[[Shapes], Shapes]]] = [
    ("qwen3next-moe", "shared-heads", SHARED_HEADS, ONE_KEY_HEAD),
    ("qwen3next-moe", "interleaved", SHARED_HEADS, in_turn(ONE_KEY_HEAD, INTERLEAVED)),
    (
        "qwen3next-moe",
        "interval",
        {
            RECURRENT: None,
            "full_attention_interval": 2,
            "block_count": 4,
            "rope.dimension_count": 32,
        },
        in_turn(repeated(0, 2), repeated(1, 3)),
    ),
    (
        "qwen3next-moe",
        "nextn",
        {"block_count": 3, "nextn_predict_layers": 1, RECURRENT: [1, 0, 0]},
        guessing(),
    ),
    ("qwen35-dense", "shared-heads", SHARED_HEADS, ONE_KEY_HEAD),
    (
        "qwen35-dense",
        "sections",
        {"rope.dimension_sections": [12, 10, 10, 0], "rope.dimension_count": 64},
        same,
    ),
    ("qwen35moe-moe", "shared-heads", SHARED_HEADS, ONE_KEY_HEAD),
    (
        "kimi-linear-moe-gqa",
        "heads",
        {HEADS: 2, KEYS: [1, 0], "kda.head_dim": 64, "expert_weights_scale": 2.446},
        TWO_HEADS,
    ),
    (
        "kimi-linear-moe-gqa",
        "softmax",
        {"expert_gating_func": 1, "leading_dense_block_count": None, "ssm.conv_kernel": 3},
        in_turn(
            changed({"blk.0.ffn*": None, "*conv1d*": (128, 1, 3)}),
            lambda shapes: (
                shapes
                | {
                    name.replace("blk.1.", "blk.0."): shape
                    for name, shape in shapes.items()
                    if name.startswith(("blk.1.ffn", "blk.1.exp"))
                }
            ),
        ),
    ),
    (
        "rwkv6-dense",
        "fused",
        {"rescale_every_n_layers": None, "wkv.head_size": 16},
        in_turn(HEADS_OF_16, FUSED_LERPS),
    ),
    ("rwkv6-dense", "every-layer", {"rescale_every_n_layers": 1}, same),
    ("rwkv6qwen2-dense", "all-keys", {KEYS: 4}, ALL_KEYS),
    ("rwkv7-dense", "one-head", {"wkv.head_size": 128}, same),
    ("arwkv7-dense", "ungated", {"attention.gate_lora_rank": None}, UNGATED),
    ("gemma4-dense", "keys-as-values", {}, changed({"blk.[35].attn_v.*": None})),
    ("gemma4-dense", "late-queries", {}, changed({"blk.[45].attn_[kv]*": None})),
    (
        "gemma4-dense",
        "plain",
        {
            "embedding_length_per_layer_input": 0,
            "attention.shared_kv_layers": None,
            "final_logit_softcapping": None,
        },
        PLAIN,
    ),
    (
        "gemma4-dense",
        "fused",
        {PATTERN: [1, 1, 1, 0, 1, 0], "rope.freq_base_swa": None},
        fused({layer: (384 if layer in (3, 5) else 192, 64) for layer in range(6)}),
    ),
    ("gemma4-dense", "partial", {"rope.dimension_count": 32, "rope.scaling.factor": 4.0}, same),
    ("gemma4-moe", "split", {"expert_used_count": 3}, split_gate_up),
    (
        "gemma3n-dense",
        "longer",
        {"block_count": 24, PATTERN: None, "attention.shared_kv_layers": 4},
        in_turn(repeated(21, 22, 23), MORE),
    ),
    ("gemma3n-dense", "fused", {}, fused({layer: (128, 64) for layer in range(22)})),
    (
        "hunyuan_vl-dense-gqa",
        "sections",
        {"rope.dimension_sections": [4, 4, 4, 4], "rope.scaling.alpha": 1000.0},
        same,
    ),
]


def main() -> None:
    cases = [variant(*case) for case in CASES]
    target = FOLDER / "variants" / "states.json"
    target.write_text(json.dumps({"positions": POSITIONS, "cases": cases}))


if __name__ == "__main__":
    main()
