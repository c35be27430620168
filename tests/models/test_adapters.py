"""Adapters count wherever a matrix is used: as much as if the matrix itself were changed."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy.engine.adapting.lora import Lora
from llamapy.models import Encoder, EncoderDecoder
from llamapy.testing.adapter import invented_lora
from llamapy.testing.model import invented, nmse

TOKENS = [3, 17, 5]

# one for each way in which matrices are used: dense, fused, tied, looped, of experts, latent,
# recurrent, in streams, of encoders ...
# fmt: off
ARCHITECTURES = [
    "afmoe", "arctic", "arwkv7", "bailingmoe2", "bert", "bitnet", "bloom", "chameleon",
    "codeshell", "dbrx", "deci", "deepseek2", "falcon-h1", "gemma2", "gemma3n", "gemma4",
    "gpt-oss", "gpt2", "granitehybrid", "grok", "grovemoe", "hrm_text", "jamba", "kimi-linear",
    "lfm2moe", "llama", "llama4", "mamba", "minicpm3", "modern-bert", "mpt", "nanbeige",
    "nemotron_h", "nomic-bert-moe", "phi3", "plamo2", "qwen3next", "rwkv6", "rwkv7", "t5",
    "t5encoder", "talkie",
]
# fmt: on


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_adapted_matrix_is_a_changed_one(architecture, tmp_path):
    model = invented(architecture, optional=("output.weight",))
    decoder = model.decoder
    leaves = [leaf for part in decoder.blocks() for leaf in part.leaves() if leaf.adaptable]
    shapes = {leaf.weight.name: leaf.weight.shape for leaf in leaves}
    path = tmp_path / "lora.gguf"
    invented_lora(path, shapes, architecture=architecture, names=["*"], rank=2)

    def computed():
        encoded = {"encoder_tokens": TOKENS} if isinstance(decoder, EncoderDecoder) else {}
        out = model.forward(TOKENS, logits="all", **encoded)
        return out.embeddings if isinstance(decoder, Encoder) else out.logits

    plain = computed()
    with Lora.open(path) as lora:
        adapter = model.add_lora(lora, 0.3)
        adapted = computed()
        adapter.remove()
        weights = decoder.weights()
        for name, pair in lora.items():
            a, b = pair.a.numpy(), pair.b.numpy()
            product = a @ b.T if pair.by_row else b @ a
            weights[name].buffer[...] += np.float32(pair.factor(lora.alpha, 0.3)) * product
    assert nmse(adapted, computed()) < 1e-9
    assert nmse(adapted, plain) > 1e-6
