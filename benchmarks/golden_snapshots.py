"""llama.cpp's own record of the formats in quantized models that people use, made compact.

usage: python -m benchmarks.golden_snapshots LLAMA_CPP/tests/snapshots

A snapshot lists, for each file type, the tensors that do not get its usual format. A tensor's rows
are not in it: they are taken to divide into blocks unless a Q6_K file, where most tensors have
Q6_K, shows the Q8_0 that stands in for it. The result is tests/data/mixing/snapshots.json.gz.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "tests" / "data" / "mixing" / "snapshots.json.gz"
ARCHITECTURES = {
    "deepseek-v3.1": "deepseek2",
    "gemma-3-4b-it": "gemma3",
    "glm-4.6v": "glm4moe",
    "gpt-oss-120b": "gpt-oss",
    "meta-llama-3.1-70b-instruct": "llama",
    "nvidia-nemotron-3-nano-30b-a3b": "nemotron_h_moe",
    "qwen3-0.6b": "qwen3",
    "qwen3-14b": "qwen3",
    "qwen3-coder-next": "qwen3next",
    "qwen3.5-397b-a17b": "qwen35moe",
    "qwen3.6-27b": "qwen35",
    "step-3.5-flash": "step35",
}
EMBEDDING = ("output.weight", "token_embd.weight")
STACKED = re.compile(r"_exps\.weight|attn_[kv]_b\.weight")


def read(path: Path) -> dict[str, Any]:
    """One snapshot: metadata, tensors, and for each file type the exceptions."""
    sizes: dict[str, int] = {}
    sections: dict[str, dict[str, str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith("# n_"):
            sizes = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)}
        elif line.startswith("["):
            section = sections.setdefault(line[1 : line.index("]")], {})
        elif line and not line.startswith("#"):
            name, _, kind = line.rpartition(" ")
            section[name] = kind.upper()
    narrow = {name for name, kind in sections["Q6_K"].items() if kind == "Q8_0"} - {*EMBEDDING}
    if sizes["n_embd"] % 256:
        narrow |= {*EMBEDDING}
    name = ARCHITECTURES[path.stem]
    return {
        "metadata": {
            "general.architecture": name,
            f"{name}.block_count": sizes["n_layer"],
            f"{name}.attention.head_count": sizes["n_head"],
            f"{name}.attention.head_count_kv": sizes["n_head_kv"],
            f"{name}.expert_count": sizes.get("n_expert", 0),
        },
        "tensors": [
            [tensor, [2, 2] if STACKED.search(tensor) else [2], 96 if tensor in narrow else 256]
            for tensor in sorted(set().union(*sections.values()))
        ],
        "sections": sections,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    found = {path.stem: read(path) for path in sorted(folder.glob("*.schema"))}
    text = json.dumps(found, separators=(",", ":"))
    TARGET.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{TARGET}: {len(found)} models, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
