"""Every intermediate of a forward pass is there to be seen, and to be replaced.

usage: python examples/look_inside.py [MODEL.gguf]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import llamapy
from llamapy.testing import tiny_model

TOKENS = [1, 72, 101, 108, 108, 111]


def main(path: str) -> None:
    with llamapy.load(path) as model:
        out = model.forward(TOKENS, capture=("blk.*.l_out", "blk.0.kq_soft_max"))
        for name in sorted(out.captured):
            values = out[name]
            print(f"{name:20} {values.shape!s:16} rms {np.sqrt(np.square(values).mean()):.4f}")
        likeliest = int(out.logits[-1].argmax())

        model.hooks["blk.0.ffn_out"] = lambda name, x: x * 0
        without = int(model.forward(TOKENS).logits[-1].argmax())
        print(f"next token: {likeliest}; without the first feed-forward block: {without}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(sys.argv[1] if len(sys.argv) > 1 else str(tiny_model(Path(folder) / "tiny.gguf")))
