"""Quantized weights, rounded caches and long texts, against llama.cpp.

With blocks and halves llama.cpp rounds more than what is stored. Each test says what, and where it
can be left out, or rounded alike, results are compared closely.
"""

from __future__ import annotations

import dataclasses
import json
from fnmatch import fnmatchcase

import numpy as np
import pytest

import llamapy
from llamapy import backends, gguf
from llamapy.cache import Batch
from llamapy.gguf import Encoded
from llamapy.quants import get
from llamapy.tensor import Tensor
from llamapy.testing.model import Fixture, nmse

from .conftest import FOLDER
from .test_golden import LIMIT

DATA = json.loads((FOLDER / "variants" / "long.json").read_text())
WEIGHTS = {case["name"]: case for case in DATA["weights"]}
TEXTS = {f"{case['base']}-{case['name']}".replace(" ", "-"): case for case in DATA["texts"]}
CACHES = DATA["caches"]
RUNS = {run["name"]: run for run in CACHES["runs"]}


@pytest.fixture(scope="module")
def cpu():
    return backends.get("cpu", threads=2, precision="float32")


def fixture_of(case):
    """The fixture with what differs from it."""
    base = Fixture.read(FOLDER / f"{case['base']}.json")
    metadata = {**base.metadata, **case["metadata"]}
    tensors = {name: shape for name, shape in base.tensors.items() if name not in case["without"]}
    return dataclasses.replace(
        base,
        metadata={key: value for key, value in metadata.items() if value is not None},
        tensors=tensors | {name: tuple(shape) for name, shape in case["tensors"].items()},
    )


def slow_but(few, names):
    return [name if name in few else pytest.param(name, marks=pytest.mark.slow) for name in names]


# ---- weights in blocks

# llama.cpp rounds what it multiplies with blocks to 8 bits: so far that leads
ACTIVATIONS = 1e-3


def write(path, case):
    """The file whose matrices have the formats that the case says."""
    fixture, tensors = fixture_of(case), {}
    for name, rows in fixture.weights().items():
        quant = get(next((f for p, f in case["formats"].items() if fnmatchcase(name, p)), "f32"))
        importance = None if quant.name == "F32" else np.ones(rows.shape[-1])
        tensors[name] = Encoded(quant, rows.shape, quant.quantize(rows, importance))
    gguf.write(path, fixture.metadata, tensors)


def logits_of_file(path, case, device):
    with llamapy.load(path, device=device, kv_type="f32") as model:
        return model.forward(case["tokens"]).logits


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_in_blocks(name, tmp_path):
    """As llama.cpp computes with these weights in float32, and nearly as with the blocks."""
    case = WEIGHTS[name]
    write(tmp_path / "model.gguf", case)
    got = logits_of_file(tmp_path / "model.gguf", case, "numpy")
    assert nmse(got, case["exact"]) <= LIMIT
    assert nmse(got, case["rounded"]) <= ACTIVATIONS
    assert nmse(case["exact"], case["rounded"]) <= ACTIVATIONS


@pytest.mark.parametrize("name", slow_but({"q4_k"}, WEIGHTS))
def test_weights_in_blocks_on_the_cpu(name, tmp_path, cpu):
    """With 8 bits, it is no further from the exact result than llama.cpp is.

    Both round alike where blocks have 256 weights: then only the order of sums differs.
    """
    case = WEIGHTS[name]
    path = tmp_path / "model.gguf"
    write(path, case)
    assert nmse(logits_of_file(path, case, cpu), case["exact"]) <= LIMIT
    got = logits_of_file(path, case, backends.get("cpu", threads=2))
    assert 0 < nmse(got, case["exact"]) <= 1.001 * nmse(case["rounded"], case["exact"])


# ---- caches

# as it is, and rounded and turned as llama.cpp does; a last digit may be rounded to another block's
CACHE_LIMITS = {
    "f16": (1e-6, 1e-7),
    "f16, flash attention": (2e-8, 2e-8),
    "q8_0": (1e-3, 2e-5),
    "q8_0, turned": (1e-3, 2e-5),
    "q4_0, turned": (0.2, 1e-3),
}


def rounded(kind):
    """What a format holds of the values."""
    quant = get(kind)
    return lambda name, x: quant.dequantize(quant.quantize(x)).reshape(x.shape)


def turned(name, x):
    """Every 64 values times Hadamard's matrix: one that is large becomes 64 that are not."""
    matrix = np.ones((1, 1), np.float32)
    while len(matrix) < 64:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return (x.reshape(-1, 64) @ (matrix / 8)).reshape(x.shape)


def turned_and_rounded(name, x):
    return rounded("q8_0")(name, turned(name, x))


# What llama.cpp does beside rounding what it stores. Keys of halves are multiplied with queries of
# halves, and shares with values in the same way, but not in flash attention. Keys of 8 and 4 bits
# are multiplied with queries of 8 bits, and all are turned before, if heads divide by 64.
BESIDE = {
    "f16": {"*.Qcur": rounded("f16"), "*.kq_soft_max": rounded("f16")},
    "f16, flash attention": {},
    "q8_0": {"*.Qcur": rounded("q8_0")},
    "q8_0, turned": {
        "*.Qcur": turned_and_rounded,
        "*.Kcur": turned,
        "*.Vcur": turned,
        "*.kqv_out": turned,
    },
}
BESIDE["q4_0, turned"] = BESIDE["q8_0, turned"]


def logits_of_run(name, device="numpy", hooks=None):
    model = fixture_of(CACHES).model(device, kv_type=RUNS[name]["kv_type"])
    model.hooks = hooks or {}
    return model.forward(CACHES["tokens"], logits="all").logits[CACHES["positions"]]


@pytest.mark.parametrize("name", RUNS)
def test_caches(name):
    limit, close = CACHE_LIMITS[name]
    want = RUNS[name]["logits"]
    assert nmse(logits_of_run(name), want) <= limit
    assert nmse(logits_of_run(name, hooks=BESIDE[name]), want) <= close


@pytest.mark.parametrize("name", slow_but({"f16", "q8_0"}, RUNS))
def test_caches_on_the_cpu(name, cpu):
    """Left to itself it rounds queries to 8 bits, too, where keys have 8 bits."""
    limit, close = CACHE_LIMITS[name]
    want = RUNS[name]["logits"]
    assert nmse(logits_of_run(name, cpu), want) <= limit
    if name == "q8_0":
        in_8_bits = backends.get("cpu", threads=2)
        assert nmse(logits_of_run(name, in_8_bits), want) <= close


# ---- long texts

# llama.cpp finds the angle of each pair by multiplying the one before, in float32: thousands of
# tokens into a text, the digits that this loses are seen
FAR = 3e-9
STEP = 500  # tokens, at most
FEW = {
    "llama-dense-gqa-one-key-head",
    "gemma2-dense-gqa-window",
    "granitehybrid-dense-gqa-hybrid",
    "deepseek2-moe-gqa-latents",
}
TURNED = ["llama-dense-gqa-one-key-head", "granitehybrid-dense-gqa-hybrid"]


def text(case):
    """2000 tokens without meaning."""
    n_vocab = len(case["logits"][0])
    return [(i * i * 7 + i * 31 + i // 5) % n_vocab for i in range(2000)]


def logits_of_text(case, device="numpy"):
    """In steps that end at each of the positions: windows let go of what they no longer see."""
    model, tokens = fixture_of(case).model(device), text(case)
    cache = model.cache(len(tokens), n_batch=STEP)
    rows, start = [], 0
    for position in case["positions"]:
        while start <= position:
            stop = min(position + 1, start + STEP)
            row = model.run(cache, Batch.of(tokens[start:stop]))
            start = stop
        rows.append(row[0])
    return rows


@pytest.mark.parametrize("name", slow_but(FEW, TEXTS))
def test_long_texts(name):
    case = TEXTS[name]
    for row, wanted in zip(logits_of_text(case), case["logits"], strict=True):
        assert nmse(row, wanted) <= FAR


@pytest.mark.parametrize("name", slow_but({"gemma2-dense-gqa-window"}, TEXTS))
def test_long_texts_on_the_cpu(name, cpu):
    case = TEXTS[name]
    for row, wanted in zip(logits_of_text(case, cpu), case["logits"], strict=True):
        assert nmse(row, wanted) <= 1e-8


def in_turn(factors):
    """Rope over neighbours whose angles are multiplied one after the other."""

    def turn(heads, positions, frequencies, *, magnitude):
        steps = np.full((positions.size, len(factors)), 10000 ** (-1 / len(factors)), np.float32)
        steps[:, 0] = positions.numpy()
        angles = np.multiply.accumulate(steps, axis=1)[:, None, :] / factors
        x = heads.numpy()
        a, b, cos, sin = x[..., 0::2], x[..., 1::2], np.cos(angles), np.sin(angles)
        pairs = np.stack([a * cos - b * sin, a * sin + b * cos], -1)
        return Tensor.of(pairs.reshape(x.shape).astype(np.float32), heads.backend)

    return turn


@pytest.mark.parametrize("name", slow_but({"granitehybrid-dense-gqa-hybrid"}, TURNED))
def test_with_its_angles_nothing_is_lost(name):
    """And all tokens at once."""
    case = TEXTS[name]
    fixture = fixture_of(case)
    model = fixture.model()
    model.decoder.rope.op = in_turn(fixture.weights()["rope_freqs.weight"])
    got = model.forward(text(case), logits="all").logits
    for position, wanted in zip(case["positions"], case["logits"], strict=True):
        assert nmse(got[position], wanted) <= 2e-11
