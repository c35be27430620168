"""Golden models on OpenCL: llama.cpp's logits, in every way of computing."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import llamapy
from llamapy import quants
from llamapy.cache import Batch
from llamapy.gguf import Encoded
from llamapy.testing.model import Fixture, check_model, invented, nmse, results

from ..models.conftest import FOLDER
from ..models.test_cpu import FIXTURES, KINDS, LIMIT, LIMITS
from ..models.test_golden import DEEP, LARGE_SCORES, LARGE_STATES

# kinds of blocks that are made of what the others run: with --all, and on the processor
ALIKE = {
    *("apertus-dense", "chameleon-dense", "gemma2-dense", "gpt2-dense", "minicpm3-dense"),
    *("orion-dense", "phi2-dense", "qwen3-dense-gqa", "talkie-dense"),
}
EACH_OR_ALL = [
    name if name in KINDS - ALIKE else pytest.param(name, marks=pytest.mark.slow)
    for name in FIXTURES
]


def one_of(default, *others):
    """One in the default run; each builds programs of its own."""
    return [default, *(pytest.param(name, marks=pytest.mark.slow) for name in others)]


TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3]


@pytest.mark.parametrize("name", EACH_OR_ALL)
def test_logits_and_all_ways_of_computing(name, gpu, definitions):
    fixture = Fixture.read(FOLDER / f"{name}.json")
    architecture = fixture.metadata["general.architecture"]
    model = fixture.model(gpu)
    got = results(model, fixture.tokens)[fixture.positions]
    assert nmse(got, fixture.logits) <= LIMITS.get(architecture, LIMIT)
    loose = 1e-9 if architecture in (*LARGE_SCORES, *LARGE_STATES) else 1e-10
    check_model(model, fixture.tokens, tolerance=1e-7 if architecture in DEEP else loose)
    assert not definitions


@pytest.mark.parametrize("kv_type", one_of("f16", "f32", "bf16"))
def test_a_plan_replays_what_is_computed_eagerly(kv_type, gpu):
    model = invented("llama", device=gpu, kv_type=kv_type)
    eager, recorded = model.cache(16), model.cache(16)
    for token in TOKENS:
        want = model.decoder(eager.begin(Batch.of([token]))).numpy()
        np.testing.assert_array_equal(model.run(recorded, Batch.of([token])), want)


def test_memory_is_given_back(gpu):
    gc.collect()
    before = gpu.pool.n_bytes
    model = invented("llama", device=gpu)
    model.forward(TOKENS)
    assert gpu.pool.n_bytes > before
    model.close()
    del model
    gc.collect()
    gpu.pool.trim()
    assert gpu.pool.n_bytes <= before


@pytest.mark.parametrize("quant", one_of("Q8_0", "F16", "Q4_0"))
def test_a_file_is_loaded(quant, tmp_path):
    fixture = Fixture.read(FOLDER / "llama-dense-gqa.json")
    tensors = {
        name: Encoded(quant, values.shape, quants.get(quant).quantize(values))
        if values.ndim == 2
        else values
        for name, values in fixture.weights().items()
    }
    path = tmp_path / "model.gguf"
    llamapy.gguf.write(path, fixture.metadata, tensors)
    with llamapy.load(path, device="numpy") as model:
        want = model.forward(fixture.tokens, logits="all").logits
    for precision, limit in ((None, 1e-3), ("float32", 1e-8)):
        with llamapy.load(path, device="opencl", precision=precision) as model:
            assert nmse(model.forward(fixture.tokens, logits="all").logits, want) <= limit
