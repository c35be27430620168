"""Names of architectures that are not simply the names of their files.

A file's name is its architecture's, with `_` for `-`. Add a row here only together with its file.
"""

from __future__ import annotations

# architectures that are computed exactly as another one: the file that both share
ALIASES: dict[str, str] = {
    "ernie4_5": "llama",
    "exaone": "qwen2",
    "internlm2": "llama",
    "jais2": "nemotron",
    "nemotron_h_moe": "nemotron_h",
    "pangu-embedded": "qwen2",
    "starcoder": "gpt2",
    "xverse": "llama",
}

# GGUF writes these with underscores, all others with hyphens
UNDERSCORED = (
    "ernie4_5",
    "ernie4_5-moe",
    "hrm_text",
    "hunyuan_vl",
    "hy_v3",
    "nemotron_h",
    "nemotron_h_moe",
    "seed_oss",
    "spark2_5",
)
