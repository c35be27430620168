"""Makes the GGUF files of what `train.py` learned: F32, and Q8_0, which ships with the package.

    python export.py [--folder default_model] [--into .]

Needs llamapy, safetensors and regex, not torch.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from vocabulary import BEGIN, CONTROL, END, TEMPLATE, Vocabulary

from llamapy import gguf
from llamapy.engine.quantizing.quantize import quantize
from llamapy.gguf import ValueType, typed

NAME = "llamapy stories"
NORMAL_TOKEN, CONTROL_TOKEN = 1, 3

# what train.py calls a weight, and what a GGUF file does
NAMES = {
    "embedding.weight": "token_embd.weight",
    "norm.weight": "output_norm.weight",
    "attention_norm.weight": "attn_norm.weight",
    "attention.query.weight": "attn_q.weight",
    "attention.key.weight": "attn_k.weight",
    "attention.value.weight": "attn_v.weight",
    "attention.out.weight": "attn_output.weight",
    "forward_norm.weight": "ffn_norm.weight",
    "feed_forward.gate.weight": "ffn_gate.weight",
    "feed_forward.up.weight": "ffn_up.weight",
    "feed_forward.down.weight": "ffn_down.weight",
}


def gguf_name(name: str) -> str:
    if name.startswith("layers."):
        _, layer, part = name.split(".", 2)
        return f"blk.{layer}.{NAMES[part]}"
    return NAMES[name]


def about_model(shape: dict[str, Any], steps: int) -> dict[str, Any]:
    """What the file says of the network; whole numbers have no sign, as llama.cpp reads them."""
    count = ValueType.UINT32
    return {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": NAME,
        "general.basename": "llamapy-stories",
        "general.description": f"Tells short stories; trained from scratch for {steps} steps",
        "general.author": "the llamapy authors",
        "general.license": "mit",
        "general.size_label": "2.4M",
        "general.languages": ["en"],
        "general.tags": ["text-generation", "stories"],
        "general.sampling.temp": typed(ValueType.FLOAT32, 0.7),
        "general.sampling.top_k": typed(ValueType.INT32, 40),
        "general.sampling.top_p": typed(ValueType.FLOAT32, 0.95),
        "general.sampling.min_p": typed(ValueType.FLOAT32, 0.05),
        "llama.block_count": typed(count, shape["n_layers"]),
        "llama.context_length": typed(count, shape["n_ctx"]),
        "llama.embedding_length": typed(count, shape["width"]),
        "llama.feed_forward_length": typed(count, shape["hidden"]),
        "llama.attention.head_count": typed(count, shape["n_heads"]),
        "llama.attention.head_count_kv": typed(count, shape["n_kv_heads"]),
        "llama.attention.layer_norm_rms_epsilon": typed(ValueType.FLOAT32, shape["epsilon"]),
        "llama.rope.freq_base": typed(ValueType.FLOAT32, shape["rope_base"]),
        "llama.rope.dimension_count": typed(count, shape["width"] // shape["n_heads"]),
        "llama.vocab_size": typed(count, shape["n_vocab"]),
        "general.file_type": typed(count, 0),
    }


def about_vocabulary(vocabulary: Vocabulary) -> dict[str, Any]:
    kinds = [CONTROL_TOKEN if token in CONTROL else NORMAL_TOKEN for token in vocabulary.tokens]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": list(vocabulary.tokens),
        "tokenizer.ggml.token_type": np.array(kinds, np.int32),
        "tokenizer.ggml.merges": [" ".join(pair) for pair in vocabulary.merges],
        "tokenizer.ggml.bos_token_id": typed(ValueType.UINT32, vocabulary.ids[BEGIN]),
        "tokenizer.ggml.eos_token_id": typed(ValueType.UINT32, vocabulary.ids[END]),
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.chat_template": TEMPLATE,
    }


def export(folder: Path, into: Path) -> tuple[Path, Path]:
    """Write both files and give their paths."""
    with safe_open(folder / "model.safetensors", "numpy") as file:
        about = file.metadata()
        weights: dict[str, NDArray[Any]] = {
            gguf_name(name): file.get_tensor(name)
            for name in file.keys()  # noqa: SIM118
        }
    shape = json.loads(about["shape"])
    vocabulary = Vocabulary.from_json(about["vocabulary"])
    metadata = about_model(shape, int(about["steps"])) | about_vocabulary(vocabulary)
    into.mkdir(parents=True, exist_ok=True)
    whole, small = into / "default-f32.gguf", into / "default.gguf"
    gguf.write(whole, metadata, weights)
    quantize(whole, small, "Q8_0")
    return whole, small


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--folder", type=Path, default=Path("default_model"))
    arguments.add_argument("--into", type=Path, default=Path("."))
    given = arguments.parse_args()
    for path in export(given.folder, given.into):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
