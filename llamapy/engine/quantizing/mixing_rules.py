"""The rules of mixing, as tables: for each kind of tensor, file type -> block format.

Some tensors suffer more than others when they lose bits: the values that attention adds up, the way
back from the feed-forward layer, the first and the last layers, the output. The rules give them
more. They are llama.cpp's, found there by trial on real models, and name architectures and odd
numbers because llama.cpp's do.

Where a format depends on the place, the table has a function of the place; None means: as most
tensors of the file.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ...errors import FormatError

Rule: TypeAlias = "str | Callable[[Place], str | None]"

PER_LAYER_EMBEDDING = "per_layer_token_embd.weight"
EMBEDDINGS = ("token_embd.weight", PER_LAYER_EMBEDDING)
OUTPUT = "output.weight"


@dataclass(frozen=True)
class Model:
    """What the rules ask about a model. `heads_per_value` is query heads per key/value head."""

    architecture: str = ""
    layers: int = 0
    heads_per_value: int = 0
    experts: int = 0
    is_70b: bool = False

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Model:
        """Read the facts from a file's metadata; a key that is absent counts as 0."""
        name = str(metadata.get("general.architecture", ""))

        def number(key: str, default: int = 0) -> int:
            value = metadata.get(f"{name}.{key}", default)
            try:  # of a number for each layer, the first speaks for all
                count = value if isinstance(value, int) else operator.index(value[0])
            except (TypeError, IndexError):
                count = -1
            if count < 0:
                raise FormatError(
                    "the rules of mixing need a count here: set it right with override_metadata",
                    field=f"{name}.{key}",
                    value=value,
                )
            return count

        layers, drafting = number("block_count"), number("nextn_predict_layers")
        heads = number("attention.head_count")
        value_heads = number("attention.head_count_kv", heads)
        experts = number("expert_count")
        if name in ("hunyuan_vl", "hunyuan-dense") and experts == 1:
            experts = 0
        # llama.cpp's guess of which models are the 70B one, where 8 heads share the same values
        n = layers - drafting
        is_70b = (
            (name in ("llama", "llama-embed") and n == 80 and experts != 8 and heads != value_heads)
            or (name in ("qwen2", "deci", "olmo") and n == 80)
            or (name == "jais2" and n == 68)
        )
        if name == "graniteswitch":  # a layer for the router is added
            layers = n + 1
        if name == "nanbeige":  # the same layers run several times
            layers = n * number("num_loops", 1) if number("num_loops", 1) > 1 else layers
        return cls(name, layers, heads // value_heads if value_heads else 0, experts, is_70b)


@dataclass(frozen=True)
class Place:
    """Where a tensor stands: number `index` of `count` of its kind in this model."""

    model: Model
    imatrix: bool
    index: int
    count: int

    @property
    def grouped(self) -> bool:
        """Several query heads share these values, so that they are few and matter more."""
        return self.model.heads_per_value >= 4

    def first(self, part: int) -> bool:
        """Among the first 1/part of its kind."""
        return self.index < self.count // part

    @property
    def delicate(self) -> bool:
        """Among the first and last eighth, or every third between them."""
        eighth = self.count // 8
        between = self.index - eighth
        return self.first(8) or self.index >= 7 * self.count // 8 or between % 3 == 2

    @property
    def middle(self) -> bool:
        """Neither among the first nor the last eighth."""
        return self.count // 8 <= self.index < 7 * self.count // 8


# ---- the rules, one table for each kind of tensor

ONE_BIT = ("IQ1_S", "IQ1_M")
TWO_BITS = ("IQ2_XXS", "IQ2_XS")
TWO_BITS_AND_HALF = ("IQ2_S", "IQ2_M")
TINY = (*ONE_BIT, *TWO_BITS, *TWO_BITS_AND_HALF)


def _all(file_types: Iterable[str], rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(file_types, rule)


OUTPUT_RULES: Mapping[str, Rule] = _all((*TINY, "IQ3_XXS"), "Q5_K")

EMBEDDING_RULES: Mapping[str, Rule] = {
    **_all((*ONE_BIT, *TWO_BITS), "Q2_K"),
    **_all((*TWO_BITS_AND_HALF, "IQ3_XXS"), "IQ3_S"),
    **_all(("TQ1_0", "TQ2_0", "Q2_0"), "Q4_K"),
}


def _shared_values(otherwise: str) -> Rule:
    return lambda at: "Q4_K" if at.grouped or at.model.experts >= 4 else otherwise


VALUE_RULES: Mapping[str, Rule] = {
    **_all((*ONE_BIT, *TWO_BITS), _shared_values("Q2_K")),
    **_all(TWO_BITS_AND_HALF, _shared_values("IQ3_S")),
    "Q2_K": lambda at: "Q4_K" if at.grouped else "Q3_K",
    "Q2_K_S": lambda at: "Q4_K" if at.grouped else None,
    "IQ3_XXS": lambda at: "Q4_K" if at.grouped else None if at.imatrix else "IQ3_S",
    **_all(("IQ3_XS", "IQ3_S"), lambda at: "Q4_K" if at.grouped else None),
    "IQ3_M": "Q4_K",
    "Q3_K_M": lambda at: "Q5_K" if at.index < 2 else "Q4_K",
    "Q3_K_L": "Q5_K",
    **_all(("IQ4_NL", "IQ4_XS"), lambda at: "Q5_K" if at.grouped else None),
    "Q4_K_S": lambda at: "Q5_K" if at.index < 4 else None,
    **_all(("Q4_K_M", "Q5_K_M"), lambda at: "Q6_K" if at.delicate else None),
}

QUERY_RULES: Mapping[str, Rule] = {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}
KEY_RULES = QUERY_RULES

ATTENTION_OUTPUT_RULES: Mapping[str, Rule] = {
    **_all(ONE_BIT, "IQ2_XXS"),
    **_all(TWO_BITS_AND_HALF, "IQ3_S"),
    "Q2_K": "Q3_K",
    "IQ3_XXS": "IQ3_S",
    "IQ3_M": "Q4_K",
    "Q3_K_M": "Q4_K",
    "Q3_K_L": "Q5_K",
}

# With 8 experts attention is so small a part of the model that more bits cost next to nothing.
ATTENTION_OUTPUT_OF_8_EXPERTS: Mapping[str, Rule] = _all(
    (
        *TINY,
        *("Q2_K", "IQ3_XXS", "IQ3_XS", "IQ3_S", "IQ3_M", "Q3_K_S", "Q3_K_M"),
        *("IQ4_NL", "IQ4_XS", "Q4_K_S", "Q4_K_M"),
    ),
    "Q5_K",
)

# An importance matrix makes 4 and 5 bits without a minimum go wrong in the first layers; without
# one, files stay as they have always been.
DOWN_RULES: Mapping[str, Rule] = {
    **_all((*ONE_BIT, *TWO_BITS), lambda at: "Q2_K" if at.first(8) else None),
    **_all(TWO_BITS_AND_HALF, lambda at: "IQ3_S" if at.first(8) else None),
    "Q2_K": "Q3_K",
    "Q2_K_S": lambda at: "Q4_K" if at.first(8) else None,
    "IQ3_XXS": lambda at: None if at.imatrix else "Q4_K" if at.first(8) else "Q3_K",
    "IQ3_M": lambda at: "Q4_K" if at.first(8) or (at.model.experts == 8 and at.delicate) else None,
    "Q3_K_M": lambda at: "Q5_K" if at.first(16) else "Q4_K",
    "Q3_K_L": "Q5_K",
    **_all(("IQ4_NL", "IQ4_XS"), lambda at: "Q5_K" if at.first(8) and not at.imatrix else None),
    "Q4_K_S": lambda at: "Q5_K" if at.first(8) else None,
    **_all(("Q4_K_M", "Q5_K_M"), lambda at: "Q6_K" if at.delicate else None),
    "Q4_0": lambda at: "Q4_1" if at.first(8) and at.imatrix else None,
    "Q5_0": lambda at: "Q5_1" if at.first(8) and at.imatrix else None,
}

FALCON_DOWN_RULES: Mapping[str, Rule] = {
    **DOWN_RULES,
    "Q3_K_M": lambda at: "Q5_K" if at.first(16) else "Q4_K" if at.delicate else "Q3_K",
    "Q3_K_L": "Q4_K",
    "Q4_K_S": lambda at: None,
    "Q4_K_M": lambda at: "Q6_K" if at.first(16) else "Q5_K" if at.delicate else None,
}

FALCON_ATTENTION_OUTPUT_RULES: Mapping[str, Rule] = {"Q3_K_L": "Q4_K"}

GATE_AND_UP_RULES: Mapping[str, Rule] = {"IQ3_XS": lambda at: "IQ3_XXS" if at.middle else None}


# ---- kinds of tensors

# The first part that is found in a name tells the kind.
KINDS = (
    ("attn_qkv.weight", "value"),
    ("attn_kv_b.weight", "value"),
    ("attn_v.weight", "value"),
    ("attn_k.weight", "key"),
    ("attn_q.weight", "query"),
    ("attn_output.weight", "attention output"),
    ("ffn_up", "up"),
    ("ffn_gate", "gate"),
    ("ffn_down", "down"),
)
FEED_FORWARD = ("up", "gate", "down")


def kind_of(name: str) -> str:
    """What a tensor is, as far as the rules care."""
    if name == OUTPUT:
        return "output"
    if name in EMBEDDINGS:
        return "embedding"
    return next((kind for part, kind in KINDS if part in name), "other")


RWKV_PARTS = ("first", "w0", "w1", "w2", "v0", "v1", "v2", "a0", "a1", "a2", "g1", "g2")
# Small, or of few values that everything depends on: these keep the format they have.
NEVER = (
    *("_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel"),
    *("per_layer_model_proj", "ssm_conv1d", "shortconv.conv.weight", "attn_rel_b.weight"),
    *("indexer.k_proj.weight", "indexer.q_proj.weight"),
    *(f"time_mix_{part}.weight" for part in RWKV_PARTS),
    *("time_mix_decay_w1.weight", "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight"),
    *(".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos"),
    *(".patch_embd", ".patch_merger", "a.rvq.codebook", "mm.a.code_embd"),
)
NEVER_BY_NAME = ("position_embd.weight", "token_types.weight")
NEVER_IN_GLM5_NEXT = (
    *("hc_", "indexer.attn_q_b", "indexer.attn_k", "indexer.proj"),
    *("indexer_compressor_gate", "indexer_compressor_ape"),
    *("ssm_f_a.weight", "ssm_f_b.weight", "ssm_g_a.weight", "ssm_g_b.weight", "ssm_beta.weight"),
    *("attn_kv_a_mqa.weight", "attn_k_b.weight", "attn_v_b.weight"),
)
EIGHT_BITS_IN_GLM5_NEXT = ("attn_q_a", "attn_q_b", "nextn.eh_proj")


def may_quantize(name: str, shape: Sequence[int], architecture: str = "") -> bool:
    """Whether a tensor is one that file types change: a matrix of weights, and not a small one."""
    if max(shape[:-1], default=1) < 2 or not name.endswith("weight"):
        return False
    if name in NEVER_BY_NAME or any(part in name for part in NEVER):
        return False
    return architecture != "glm5-next" or not any(part in name for part in NEVER_IN_GLM5_NEXT)


def rules_for(kind: str, model: Model, file_type: str) -> Mapping[str, Rule]:
    """The table for a kind of tensor in this model."""
    falcon = model.architecture == "falcon"
    match kind:
        case "embedding":
            return EMBEDDING_RULES
        case "value":
            return VALUE_RULES
        case "query":
            return QUERY_RULES
        case "key":
            return _all(TINY, "Q4_K") if model.experts == 8 and file_type in TINY else KEY_RULES
        case "attention output":
            if falcon and file_type not in TINY:
                return FALCON_ATTENTION_OUTPUT_RULES
            eight = model.experts == 8
            return ATTENTION_OUTPUT_OF_8_EXPERTS if eight else ATTENTION_OUTPUT_RULES
        case "down":
            return FALCON_DOWN_RULES if falcon else DOWN_RULES
        case "gate" | "up":
            return GATE_AND_UP_RULES
    return {}
