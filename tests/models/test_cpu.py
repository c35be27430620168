"""Golden models on the CPU backend: the same as on NumPy, by kernels, in every way of computing."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from llamapy import backends
from llamapy.cache import Batch
from llamapy.testing.model import Fixture, check_model, invented, nmse, results

from .conftest import FIXTURES, FOLDER
from .test_golden import LIMITS as golden_limits

# where llama.cpp rounds GELU to half precision, those of NumPy
LIMIT = 1e-8
LIMITS = {name: max(LIMIT, limit) for name, limit in golden_limits.items()}
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8]


# One fixture for each kind of block: the default run takes these, and --all takes all.
KINDS = {
    "apertus-dense",  # xIELU
    "bert-dense",  # an encoder, LayerNorm last
    "bloom-dense",  # ALiBi
    "chameleon-dense",  # norms of heads, tokens that are never given
    "deepseek2-moe",  # latent attention, groups of experts
    "falcon-h1-dense",  # Mamba 2 beside attention
    "gemma2-dense",  # softcaps, norms on both sides, windows
    "gemma3n-dense",  # streams
    "gpt-oss-moe",  # sinks, clipped gates
    "gpt2-dense",  # learned positions
    "grovemoe-moe",  # experts in chunks
    "kimi-linear-moe",  # the delta rule, a rate for each row
    "lfm2-dense",  # convolutions
    "llama-dense-gqa",
    "llama4-moe",  # chunks of tokens, one expert
    "mamba-dense",
    "minicpm3-dense",  # narrow queries
    "orion-dense",  # LayerNorm
    "phi2-dense",  # attention and feed-forward side by side
    "qwen2vl-dense",  # positions in sections
    "qwen3-dense-gqa",  # norms of queries and keys
    "qwen3next-moe",  # the gated delta rule
    "rwkv6-dense",
    "rwkv7-dense",
    "t5-dense",  # an encoder beside the decoder, scores of distances
    "talkie-dense",  # gains of columns
}
EACH_OR_ALL = [
    name if name in KINDS else pytest.param(name, marks=pytest.mark.slow) for name in FIXTURES
]
# operations that run their definition here, by architecture
WITHOUT_KERNEL: dict[str, set[str]] = {}


@pytest.fixture(scope="module")
def cpu():
    return backends.get("cpu", threads=2, precision="float32")


def test_every_kind_has_its_fixture():
    assert set(FIXTURES) >= KINDS


@pytest.mark.parametrize("name", EACH_OR_ALL)
def test_fixtures(name, cpu, definitions):
    fixture = Fixture.read(FOLDER / f"{name}.json")
    got = results(fixture.model(cpu), fixture.tokens)
    architecture = fixture.metadata["general.architecture"]
    limit = LIMITS.get(architecture, LIMIT)
    assert nmse(got[fixture.positions], fixture.logits) <= limit
    assert definitions == WITHOUT_KERNEL.get(architecture, set())


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


@pytest.mark.parametrize("kv_type", ["f32", "f16", "q8_0"])
def test_a_plan_needs_no_definition(kv_type, cpu):
    sizes = {"attention.key_length": 32, "attention.value_length": 32}
    for name in ("llama", "qwen3", "gemma2", "gpt-oss"):
        model = invented(name, sizes, device=cpu, kv_type=kv_type)
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
