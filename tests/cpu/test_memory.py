"""What a loaded model takes: its weights once, and nothing of the file that they came from."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from llamapy import gguf, quants
from llamapy.gguf.writer import Encoded
from llamapy.testing import tiny

MOST = 1.15

MEASURE = """
import json, sys
import llamapy

def resident(kind):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(kind))

small, large = sys.argv[1:]
with llamapy.load(small, device="cpu") as model:  # all code that loading takes is there now
    model.cache(256)
before, peak = resident("VmRSS"), resident("VmHWM")
model = llamapy.load(large, device="cpu")
loaded, highest = resident("VmRSS"), resident("VmHWM")
print(json.dumps([loaded - before, highest - max(before, peak)]))
"""


def write(path, format_name, **sizes):
    """A llama whose blocks are zeros: what is in them does not matter."""
    quant = quants.get(format_name)
    tensors = {}
    for name, shape in tiny._shapes(sizes, 0, vocabulary_size=256):
        raw = np.zeros((*shape[:-1], quant.row_bytes(shape[-1])), np.uint8)
        tensors[name] = Encoded(quant, shape, raw) if len(shape) > 1 else np.ones(shape, "f4")
    metadata = {
        "general.architecture": "llama",
        "llama.block_count": sizes["layers"],
        "llama.context_length": 512,
        "llama.embedding_length": sizes["embedding"],
        "llama.feed_forward_length": sizes["feed_forward"],
        "llama.attention.head_count": sizes["heads"],
        "llama.attention.head_count_kv": sizes["kv_heads"],
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
    }
    gguf.write(path, metadata, tensors)
    return path


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("format_name", ["Q4_0", "Q4_K"])
def test_a_model_takes_little_more_than_its_file(tmp_path, format_name):
    heads = dict(heads=8, kv_heads=2)
    files = [
        write(tmp_path / "small", format_name, layers=1, embedding=256, feed_forward=256, **heads),
        write(
            tmp_path / "large", format_name, layers=8, embedding=1024, feed_forward=4096, **heads
        ),
    ]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, files)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    loaded, highest = json.loads(done.stdout)
    size = files[1].stat().st_size
    assert size > 50 << 20
    assert 0.9 * size < loaded <= MOST * size, loaded / size
    # while it is loaded, one tensor is there twice
    assert highest <= (MOST + 0.1) * size, highest / size
