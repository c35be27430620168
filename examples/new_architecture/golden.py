"""Make opt-dense.json: what Hugging Face's OPT computes. Needs torch and transformers."""

import numpy as np
import torch
from transformers import OPTConfig, OPTForCausalLM

from llamapy.testing.model import Fixture, fill

LAYERS, EMBEDDING, HEADS, FEED_FORWARD, VOCABULARY, CONTEXT = 2, 64, 4, 96, 80, 48

# names in a GGUF file, and Hugging Face's
ENDS = {
    "token_embd": "embed_tokens",
    "position_embd": "embed_positions",
    "output_norm": "final_layer_norm",
}
LAYER = {
    "attn_norm": "self_attn_layer_norm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.out_proj",
    "ffn_norm": "final_layer_norm",
    "ffn_up": "fc1",
    "ffn_down": "fc2",
}
NAMES = ENDS | {
    f"blk.{i}.{ours}": f"layers.{i}.{theirs}"
    for i in range(LAYERS)
    for ours, theirs in LAYER.items()
}
METADATA = {
    "general.architecture": "opt",
    "opt.context_length": CONTEXT,
    "opt.block_count": LAYERS,
    "opt.embedding_length": EMBEDDING,
    "opt.feed_forward_length": FEED_FORWARD,
    "opt.attention.head_count": HEADS,
    "opt.attention.layer_norm_epsilon": 1e-5,
}
TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, 32).tolist()
POSITIONS = [0, 1, 2, 7, 15, 23, 30, 31]
SEED = 7

config = OPTConfig(
    vocab_size=VOCABULARY,
    hidden_size=EMBEDDING,
    num_hidden_layers=LAYERS,
    ffn_dim=FEED_FORWARD,
    num_attention_heads=HEADS,
    max_position_embeddings=CONTEXT,
    word_embed_proj_dim=EMBEDDING,
    dropout=0.0,
)
model = OPTForCausalLM(config).eval()
theirs = model.model.decoder.state_dict()
shapes = {}
for name, other in NAMES.items():
    for kind in ("weight", "bias"):
        if f"{other}.{kind}" not in theirs:
            continue
        values = theirs[f"{other}.{kind}"]
        if name == "position_embd":
            values = values[2:]  # the first two rows are for no position
        shapes[f"{name}.{kind}"] = tuple(values.shape)
        values.copy_(torch.from_numpy(fill(f"{name}.{kind}", tuple(values.shape), SEED)))

with torch.no_grad():
    logits = model(torch.tensor([TOKENS])).logits[0].numpy()
fixture = Fixture("opt-dense", METADATA, shapes, SEED, TOKENS, POSITIONS, logits[POSITIONS])
fixture.write("opt-dense.json")
