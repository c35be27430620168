"""Make tests/data/archs/variants/long.json: blocks, caches and long texts, against llama.cpp.

    python -m benchmarks.golden_long        # needs llama-cpp-python, the [bench] extra

A model is a fixture with other keys. Four lists are made: `cases`, as beside this file, with one
head for keys; `weights`, whose matrices have a block format; `caches`, whose keys and values have
one; `texts`, 2000 tokens long, whose logits stand where windows and pages end.

With blocks llama.cpp rounds more than the weights: `rounded` is what it gives for the file, and
`exact` what it gives for the same weights as float32.
"""

from __future__ import annotations

import ctypes
import json
import os
import tempfile
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as peer

from llamapy import gguf
from llamapy.gguf import Encoded
from llamapy.models import find
from llamapy.ops._signature import evaluate
from llamapy.quants import get
from llamapy.testing.model import fill

from .golden_dense import kind_of
from .golden_dense import variant as short_variant
from .golden_rope import FOLDER, value


@peer.llama_log_callback
def _silent(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    """llama.cpp has much to say about each model."""


peer.llama_log_set(_silent, ctypes.c_void_p(0))

WINDOW = "attention.sliding_window"
KEY_HEADS, HEADS = "attention.head_count_kv", "attention.head_count"
CONTEXT = {"context_length": 4096}
LAYERS = 4  # more than any of these fixtures has

# fixtures that get one head for keys: what was published that way, and other kinds of heads
ONE_KEY_HEAD = [
    "falcon-dense-gqa",
    "gemma-dense-gqa",
    "gemma3-dense-gqa",
    "llama-dense-gqa",
    "refact-dense-gqa",
    "starcoder-dense-gqa",
]

# fixture, keys, formats of matrices: the first pattern that fits, else float32
SMALL = {"block_count": 1, "feed_forward_length": 256}
SMALL_EXPERTS = {"block_count": 1}  # 352 is no multiple of 256
NARROW = {"*ffn_down_exps*": "iq4_nl"}
MATRICES = ("*attn_[qkv].weight", "*attn_output.weight", "*ffn_*.weight", "token_embd.weight")


def all_of(name: str, output: str = "q6_k") -> dict[str, str]:
    """Every matrix but the last."""
    kept = {"*norm.weight": "f32", "*gate_inp.weight": "f32"}
    return {**kept, **dict.fromkeys(MATRICES, name), "output.weight": output}


WEIGHTS: list[tuple[str, str, dict[str, Any], dict[str, str]]] = [
    *(
        (name, "llama-dense-gqa", SMALL, all_of(name))
        for name in ("q4_k", "iq4_xs", "iq3_s", "iq3_xxs", "iq2_s", "iq2_xs", "iq2_xxs", "iq1_m")
    ),
    ("q4_k experts", "llama-moe-gqa", SMALL_EXPERTS, {**NARROW, **all_of("q4_k")}),
    ("iq2_xs experts", "llama-moe-gqa", SMALL_EXPERTS, {**NARROW, **all_of("iq2_xs")}),
    ("q4_k_m", "gemma2-dense-gqa", SMALL, {"*ffn_down*": "q6_k", **all_of("q4_k")}),
]

# name, format, flash attention, whether llama.cpp turns what it stores
CACHES: list[tuple[str, str, bool, bool]] = [
    ("f16", "f16", False, True),
    ("f16, flash attention", "f16", True, True),
    ("q8_0", "q8_0", True, False),
    ("q8_0, turned", "q8_0", True, True),
    ("q4_0, turned", "q4_0", True, True),
]
CACHE_KEYS = {HEADS: 4, KEY_HEADS: 2, "attention.key_length": 64, "attention.value_length": 64}
CACHE_POSITIONS = [9, 39, 69, 99]
CACHE_KEYS |= {"rope.dimension_count": 64}

# name, fixture, keys, positions
LENGTH = 2000
PAGES = [31, 32, 511, 512, 1999]
TEXTS: list[tuple[str, str, dict[str, Any], list[int]]] = [
    ("pages", "llama-dense-gqa", {}, PAGES),
    ("one key head", "llama-dense-gqa", {KEY_HEADS: 1}, PAGES),
    ("alibi", "refact-dense-gqa", {}, PAGES),
    ("window", "gemma2-dense-gqa", {WINDOW: 300}, [299, 300, 831, 832, 1999]),
    (
        "window of whole pages",
        "gemma3-dense-gqa",
        {WINDOW: 512, "rope.freq_base": 1e6},
        [511, 512, 1055, 1056, 1999],
    ),
    ("sinks", "gpt-oss-moe-gqa", {WINDOW: 128}, [127, 128, 1023, 1024, 1999]),
    ("latents", "deepseek2-moe-gqa", {HEADS: 2}, PAGES),
    ("latents", "minicpm3-dense", {}, PAGES),
    ("states", "mamba2-dense", {}, [511, 512, 1999]),
    ("states", "rwkv7-dense", {}, [511, 512, 1999]),
    ("hybrid", "granitehybrid-dense-gqa", {}, PAGES),
    ("hybrid", "falcon-h1-dense-gqa", {}, PAGES),
    ("hybrid", "jamba-dense-gqa", {}, [511, 512, 1999]),
    ("hybrid", "lfm2-dense-gqa", {}, [511, 512, 1999]),
    ("delta rule", "qwen3next-moe", {}, [63, 64, 511, 512, 1999]),
    ("delta rule", "kimi-linear-moe-gqa", {}, [511, 512, 1999]),
]


def tokens(n_vocab: int, count: int) -> list[int]:
    """A text without meaning."""
    return [(i * i * 7 + i * 31 + i // 5) % n_vocab for i in range(count)]


def changed(base: str, keys: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """What differs from a fixture, and the metadata of a file."""
    data = json.loads((FOLDER / f"{base}.json").read_text())
    architecture = data["kv"]["general.architecture"][1]
    metadata = {f"{architecture}.{key}": v for key, v in keys.items()}
    kinds = {key: kind for key, kind in data["kv"].items() if key not in metadata}
    kinds |= {key: [kind_of(v), v] for key, v in metadata.items()}

    plain = {key: plain for key, (_, plain) in kinds.items()}
    cls = find(architecture)
    n_vocab = plain[f"{architecture}.vocab_size"]
    config = cls.Config.read(architecture, plain)
    stored = {tensor: tuple(reversed(shape)) for tensor, shape, _ in data["tensors"]}
    declared = {
        tensor.name: (tensor.shape, {"V": n_vocab, **sizes})
        for tensor, sizes in cls.declares(config)
    }
    left_out = [f"blk.{number}.*" for number in range(config.n_layer, LAYERS)]
    shapes = {
        name: resized(shape, *declared[name]) if name in declared else shape
        for name, shape in stored.items()
        if not any(fnmatchcase(name, pattern) for pattern in left_out)
    }
    case = {
        "base": base,
        "metadata": metadata,
        "without": sorted(stored.keys() - shapes.keys()),
        "tensors": {name: shape for name, shape in shapes.items() if stored.get(name) != shape},
    }
    weights = {name: fill(name, shape, data["seed"]) for name, shape in shapes.items()}
    file = {key: value(*kind) for key, kind in kinds.items()}
    return case, (file, weights, n_vocab)


def resized(stored: Any, letters: Any, sizes: dict[str, int]) -> tuple[int, ...]:
    """The shape that keys ask for; as in the fixture, where no key says it."""
    try:
        return tuple(evaluate(letter, sizes) for letter in letters)
    except KeyError:
        return tuple(stored)


def encoded(weights: dict[str, Any], formats: dict[str, str]) -> dict[str, Any]:
    """The weights in blocks; all columns matter equally."""
    found: dict[str, Any] = {}
    for name, rows in weights.items():
        kind = next((f for pattern, f in formats.items() if fnmatchcase(name, pattern)), "f32")
        quant = get(kind)
        raw = quant.quantize(rows, None if kind == "f32" else np.ones(rows.shape[-1]))
        found[name] = rows if kind == "f32" else Encoded(quant, rows.shape, raw)
    return found


def logits(
    metadata: Any,
    weights: dict[str, Any],
    text: list[int],
    positions: list[int],
    *,
    kv_type: str = "f32",
    flash: bool = False,
) -> list[list[float]]:
    """What llama.cpp gives at these positions, in steps of 512 tokens."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        gguf.write(path, metadata, weights)
        model = peer.llama_model_load_from_file(path.encode(), peer.llama_model_default_params())
    params = peer.llama_context_default_params()
    params.n_ctx = params.n_batch = -(-len(text) // 256) * 256
    params.type_k = params.type_v = get(kv_type).id
    params.flash_attn_type = int(flash)
    params.n_threads = params.n_threads_batch = 1
    context = peer.llama_init_from_model(model, params)
    batch = peer.llama_batch_init(len(text), 0, 1)
    batch.n_tokens = len(text)
    for i, token in enumerate(text):
        batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, i, 1
        batch.seq_id[i][0], batch.logits[i] = 0, i in positions
    if peer.llama_decode(context, batch):
        raise SystemExit("llama.cpp cannot compute this")
    n_vocab = peer.llama_vocab_n_tokens(peer.llama_model_get_vocab(model))
    rows = [
        np.ctypeslib.as_array(
            ctypes.cast(peer.llama_get_logits_ith(context, i), ctypes.POINTER(ctypes.c_float)),
            (n_vocab,),
        )
        for i in positions
    ]
    found = [[float(f"{v:.7g}") for v in row] for row in rows]
    peer.llama_batch_free(batch)
    peer.llama_free(context)
    peer.llama_model_free(model)
    return found


def of_weights(name: str, base: str, keys: Any, formats: dict[str, str]) -> dict[str, Any]:
    case, (metadata, weights, n_vocab) = changed(base, keys)
    blocks = encoded(weights, formats)
    plain = {
        tensor: rows.quant.dequantize(rows.raw) if isinstance(rows, Encoded) else rows
        for tensor, rows in blocks.items()
    }
    text = tokens(n_vocab, 32)
    return {
        "name": name,
        **case,
        "formats": formats,
        "tokens": text,
        "exact": logits(metadata, plain, text, [31]),
        "rounded": logits(metadata, blocks, text, [31]),
    }


def of_caches() -> dict[str, Any]:
    case, (metadata, weights, n_vocab) = changed("llama-dense-gqa", CACHE_KEYS)
    text = tokens(n_vocab, 100)
    found = []
    for name, kv_type, flash, turned in CACHES:
        os.environ["LLAMA_ATTN_ROT_DISABLE"] = str(int(not turned))
        row = logits(metadata, weights, text, CACHE_POSITIONS, kv_type=kv_type, flash=flash)
        found.append({"name": name, "kv_type": kv_type, "logits": row})
    del os.environ["LLAMA_ATTN_ROT_DISABLE"]
    return {**case, "tokens": text, "positions": CACHE_POSITIONS, "runs": found}


def of_text(name: str, base: str, keys: Any, positions: list[int]) -> dict[str, Any]:
    case, (metadata, weights, n_vocab) = changed(base, {**CONTEXT, **keys})
    text = tokens(n_vocab, LENGTH)
    return {
        "name": name,
        **case,
        "positions": positions,
        "logits": logits(metadata, weights, text, positions),
    }


def main() -> None:
    heads = [short_variant("one key head", base, {KEY_HEADS: 1}, []) for base in ONE_KEY_HEAD]
    data = {
        "positions": [15, 47],
        "cases": heads,
        "weights": [of_weights(*case) for case in WEIGHTS],
        "caches": of_caches(),
        "texts": [of_text(*case) for case in TEXTS],
    }
    target = FOLDER / "variants" / "long.json"
    target.write_text(json.dumps(data, separators=(",", ":")) + "\n")
    print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
