"""Every golden model on the CPU backend: the same as on NumPy, in every way of computing."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from llamapy import backends
from llamapy.cache import Batch
from llamapy.testing.model import check_model, invented, nmse, results

from .test_golden import LIMITS as golden_limits

# where llama.cpp rounds GELU to half precision, those of NumPy
LIMIT = 1e-8
LIMITS = {name: max(LIMIT, limit) for name, limit in golden_limits.items()}
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8]


@pytest.fixture(scope="module")
def cpu():
    return backends.get("cpu", threads=2, precision="float32")


def test_fixtures(golden, cpu):
    fixture, model = golden
    got = results(model.on(cpu), fixture.tokens)
    limit = LIMITS.get(fixture.metadata["general.architecture"], LIMIT)
    assert nmse(got[fixture.positions], fixture.logits) <= limit


@pytest.mark.parametrize("name", ["llama", "qwen3", "orion", "gemma2"])
@pytest.mark.parametrize("kv_type", ["f32", "f16", "q8_0"])
def test_all_ways_of_computing_agree(name, kv_type, cpu):
    sizes = {"attention.key_length": 32, "attention.value_length": 32}
    model = invented(name, sizes, device=cpu, kv_type=kv_type)
    # a last digit that differs may be rounded to the next half, so they agree less closely
    tolerance = {"f32": 1e-10, "f16": 1e-6, "q8_0": 1e-3}[kv_type]
    check_model(model, TOKENS, tolerance=tolerance)


def steps(model, tokens):
    cache = model.cache(len(tokens))
    return np.concatenate([model.run(cache, Batch.of([token])) for token in tokens])


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_replay_is_eager_bit_for_bit(name, cpu):
    """Of many steps only the first of a size runs eagerly."""
    model = invented(name, device=cpu)
    cache = model.cache(len(TOKENS))
    eager = []
    for token in TOKENS:
        logits = model.decoder(cache.begin(Batch.of([token])))
        eager.append(logits.numpy()[:1].copy())
    assert np.array_equal(steps(model, TOKENS), np.concatenate(eager))


def test_the_same_bits_again_and_with_other_threads():
    model = invented("llama", device=backends.get("cpu", threads=2))
    first = steps(model, TOKENS)
    assert np.array_equal(steps(model, TOKENS), first)
    alone = model.on(backends.get("cpu", threads=1))
    assert np.array_equal(steps(alone, TOKENS), first)


def test_a_plan_needs_no_definition(cpu):
    for name in ("llama", "qwen3", "gemma2"):
        model = invented(name, device=cpu)
        assert model.plan(model.cache(), Batch.of([1])).fallbacks == []


def test_models_in_several_python_threads():
    """Each has its own memory, and all share the helpers."""
    models = [invented(name, device=backends.get("cpu", threads=2)) for name in ("llama", "gemma2")]
    want = [steps(model, TOKENS) for model in models]
    got: dict[int, list[np.ndarray]] = {}

    def work(k):
        got[k] = [steps(models[k % 2], TOKENS) for _ in range(3)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(got) == [0, 1, 2, 3]
    for k, results_of_thread in got.items():
        assert all(np.array_equal(each, want[k % 2]) for each in results_of_thread)
