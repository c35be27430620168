"""A model whose layers lie on several backends computes what it computes on one."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import backends
from llamapy.backends.numpy import NumPy
from llamapy.backends.several import Several
from llamapy.cache import Batch
from llamapy.errors import MemoryPlanError, UnsupportedError
from llamapy.testing import check_model, tiny_model
from llamapy.testing.model import Fixture, invented, results

from ..models.conftest import FOLDER
from ..models.test_cpu import EACH_OR_ALL

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]


def cut(n_last: int) -> Several:
    """Two of NumPy; the second has the last layers."""
    return Several([NumPy(), NumPy()], n_last=n_last)


def of_layers(backend, n_layer=5, shares=(1, 1)):
    """Which part has the embedding, each layer and the output."""
    backend = backend.divided(n_layer, shares)
    if not isinstance(backend, Several):
        return backend
    places = [
        backend.of_tensor("token_embd.weight", 2),
        *(backend.of_tensor(f"blk.{n}.attn_q.weight", 2) for n in range(n_layer)),
        backend.of_tensor("output.weight", 2),
    ]
    return [backend.parts.index(place) for place in places]


def test_layers_are_counted_from_the_end():
    assert of_layers(cut(2), shares=[1]) == [0, 0, 0, 0, 1, 1, 0]
    assert of_layers(cut(5), shares=[1]) == [0, 1, 1, 1, 1, 1, 0]
    all_on_one = cut(6)
    assert of_layers(all_on_one, shares=[1]) is all_on_one.parts[1]
    none = cut(0)
    assert of_layers(none, shares=[1]) is none.parts[0]


def test_layers_are_divided_by_shares():
    parts = [NumPy() for _ in range(3)]
    assert of_layers(Several(parts), 6, (1, 1, 1)) == [0, 0, 0, 1, 1, 2, 2, 2]
    assert of_layers(Several(parts), 6, (4, 1, 1)) == [0, 0, 0, 0, 0, 1, 2, 2]
    assert of_layers(Several(parts, shares=(0, 1, 1)), 4, (9, 1, 1)) == [0, 0, 0, 1, 1, 1]
    assert of_layers(Several(parts, n_last=3), 5, (2, 1)) == [0, 0, 0, 1, 1, 2, 0]
    assert of_layers(Several(parts, n_last=9), 4, (1, 1)) == [0, 0, 0, 1, 1, 1]


def test_vectors_outside_of_layers_are_everywhere():
    backend = cut(2).divided(4, [1])
    assert backend.of_tensor("output_norm.weight", 1) is backend
    assert backend.of_tensor("blk.0.attn_norm.weight", 1) is backend.parts[0]
    assert backend.of_tensor("enc.blk.3.attn_norm.weight", 1) is backend.parts[1]


@pytest.mark.parametrize("name", EACH_OR_ALL)
def test_every_architecture_computes_the_same_bits(name):
    fixture = Fixture.read(FOLDER / f"{name}.json")
    want = results(fixture.model("numpy"), fixture.tokens)
    model = fixture.model(cut(1))
    assert isinstance(model.backend, Several)
    np.testing.assert_array_equal(results(model, fixture.tokens), want)


@pytest.mark.parametrize("n_last", [1, 2, 3])
@pytest.mark.parametrize("architecture", ["llama", "gemma3n", "rwkv7"])
def test_all_ways_of_computing_agree(architecture, n_last):
    model = invented(architecture, device=cut(n_last))
    check_model(model, TOKENS, tolerance=1e-8 if architecture == "gemma3n" else 1e-10)


def test_a_plan_is_a_segment_for_each():
    model = invented("llama", device=cut(2))
    host, last = model.backend.parts
    plan = model.plan(model.cache(8), Batch.of(TOKENS[:1]))
    assert not plan.fallbacks or set(plan.fallbacks).isdisjoint({"move"})
    segments = list(plan.segments())
    # positions of cells on both, one layer, two layers, the output
    assert [segment.backend for segment in segments] == [host, last, host, last, host]
    assert [launch.op for launch in plan.launches].count("move") == 2
    assert str(plan).splitlines()[0].count("numpy") == 1


def test_what_is_remembered_lies_with_its_layer():
    model = invented("llama", device=cut(1))
    host, last = model.backend.parts
    cache = model.cache(8)
    assert [state.k.backend for state in cache.states] == [host, host, last]
    model = invented("rwkv7", device=cut(1))
    states = model.cache(8).states
    kept = [next(iter(state.arrays.values())).backend for state in states]
    assert kept == [*model.backend.parts[:1] * 2, model.backend.parts[1]]


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "rwkv7", "falcon-h1"])
def test_sequences_are_forked_shifted_and_saved(architecture, tmp_path):
    found = []
    for device in (NumPy(), cut(1)):
        model = invented(architecture, device=device)
        cache = model.cache(32, n_sequences=3)
        rows = [model.run(cache, Batch.of(TOKENS))]
        other = cache.fork(0)
        rows += [model.run(cache, Batch.of([7], s)) for s in (0, other)]
        if architecture == "llama":
            cache.shift(3, other)
            cache.set_keys(2, cache.keys(2, other) * 2, other)
        rows.append(model.run(cache, Batch.of([8, 9], other)))
        cache.save(tmp_path / "saved", other)
        again = model.cache(32)
        again.load(tmp_path / "saved")
        rows.append(model.run(again, Batch.of([1])))
        cache.remove(0, 10)
        rows.append(model.run(cache, Batch.of([2])))
        found.append(np.concatenate(rows))
    np.testing.assert_array_equal(*found)


def test_hooks_captures_and_steering_work_across_the_cut():
    found = []
    for device in (NumPy(), cut(1)):
        model = invented("llama", device=device)
        model.hooks["blk.2.ffn_out"] = lambda name, x: x * 2
        model.hooks["blk.1.ffn_out"] = lambda name, x: x * 3
        out = model.forward(TOKENS, capture=("blk.*.l_out",), hidden=(0, -1))
        rows = [*out.captured.values(), *out.hidden.values(), out.logits]
        cache = model.cache(16)
        rows += [model.run(cache, Batch.of([t])) for t in TOKENS]
        rows.append(model.logit_lens(TOKENS))
        found.append(np.concatenate([np.ravel(row) for row in rows]))
    np.testing.assert_array_equal(*found)


# ---- on devices


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("several") / "model.gguf", layers=4, embedding=64)


@pytest.mark.parametrize("host", ["numpy", "cpu"])
@pytest.mark.parametrize("n_gpu_layers", range(6))
def test_some_layers_on_opencl(host, n_gpu_layers, path, opencl):
    wanted = opencl.load(path, device=host, precision="float32", kv_type="f32")
    model = opencl.load(
        path, device=f"{host},opencl", n_gpu_layers=n_gpu_layers, precision="float32", kv_type="f32"
    )
    names = {0: host, 5: "opencl"}
    assert model.backend.name == names.get(n_gpu_layers, f"{host}+opencl")
    want = results(wanted, TOKENS)
    np.testing.assert_allclose(results(model, TOKENS), want, rtol=0, atol=1e-4)
    if n_gpu_layers == 2:
        check_model(model, TOKENS)


@pytest.mark.parametrize("device", ["opencl:0,cpu", "cpu,opencl", "opencl,opencl"])
def test_several_share_the_layers(device, path, opencl):
    wanted = opencl.load(path, device="numpy", kv_type="f32")
    model = opencl.load(path, device=device, split=(3, 1), precision="float32", kv_type="f32")
    first, last = model.backend.parts
    places = [layer.attn_norm.weight.backend for layer in model.decoder.layers]
    assert places == [first, first, first, last]
    np.testing.assert_allclose(results(model, TOKENS), results(wanted, TOKENS), atol=1e-4)
    check_model(model, TOKENS)


def test_one_gpu_and_some_layers_means_the_cpu_has_the_others(path, opencl):
    model = opencl.load(path, device="opencl", n_gpu_layers=1, threads=1)
    assert model.backend.name == "cpu+opencl"
    assert opencl.load(path, device="opencl", n_gpu_layers=-1).backend.name == "opencl"
    assert opencl.load(path, device="opencl", n_gpu_layers=0).backend.name == "cpu"
    assert model.on("numpy").backend.name == "numpy"
    assert model.on("numpy,opencl").backend.name == "numpy+opencl"


def test_memory_is_planned_for_each_device(path, opencl, monkeypatch):
    one = opencl.plan_memory(path, "numpy", n_ctx=512)
    plan = opencl.plan_memory(path, "numpy,opencl", n_gpu_layers=1, n_ctx=512)
    assert [part.device for part in plan.parts] == ["numpy", "opencl"]
    assert plan.cache == pytest.approx(one.cache, rel=0.05)
    assert plan.weights == pytest.approx(one.weights, rel=0.05)
    assert plan.parts[1].cache == pytest.approx(one.cache / 4, rel=0.1)
    assert plan.total == sum(part.total for part in plan.parts)
    assert "opencl: weights" in str(plan)
    monkeypatch.setattr(opencl.kind, "free_bytes", lambda self, in_use: 100_000)
    with pytest.raises(MemoryPlanError, match=r"tokens takes .* on opencl .*n_gpu_layers"):
        opencl.load(path, device="numpy,opencl", n_gpu_layers=1, n_ctx=512)
    with pytest.raises(MemoryPlanError, match="on opencl"):
        opencl.load(path, device="opencl", n_ctx=512)


def test_memory_is_divided_by_what_is_free(path, opencl, monkeypatch):
    monkeypatch.setattr("llamapy.engine.available.available_bytes", lambda: 3 << 30)
    monkeypatch.setattr(opencl.kind, "free_bytes", lambda self, in_use: 1 << 30)
    backend = opencl.load(path, device="numpy,opencl").backend
    assert [backend.parts.index(backend.of_layer(n)) for n in range(4)] == [0, 0, 0, 1]


def test_a_cache_that_does_not_fit_names_the_device(path, opencl, monkeypatch):
    model = opencl.load(path, device="numpy,opencl", n_gpu_layers=2)
    monkeypatch.setattr(opencl.kind, "free_bytes", lambda self, in_use: 50_000)
    monkeypatch.setattr("llamapy.engine.memory.SMALL", 0)
    with pytest.raises(MemoryPlanError, match=r"a cache for 512 tokens takes .* on opencl"):
        model.cache(512)


def test_memory_is_given_back(path, opencl):
    import gc

    gpu = backends.get("opencl")
    gc.collect()
    before = gpu.pool.n_bytes
    with opencl.load(path, device=("numpy", gpu), n_gpu_layers=2) as model:
        cache = model.cache(16)
        model.run(cache, Batch.of(TOKENS))
        assert gpu.pool.n_bytes > before
    del cache, model
    gc.collect()
    gpu.pool.trim()
    assert gpu.pool.n_bytes == before


def test_two_hosts_have_no_layers_on_a_gpu(opencl):
    with pytest.raises(UnsupportedError, match="name those for graphics"):
        backends.get("numpy,cpu,opencl", n_gpu_layers=1)


@pytest.fixture
def opencl():
    """Loading, where OpenCL has a device."""
    from llamapy.backends.gpu import opencl as module
    from llamapy.engine import load as loading

    if problem := module.problem():
        pytest.skip(problem)

    class OpenCL:
        kind = module.OpenCL
        load = staticmethod(loading.load)
        plan_memory = staticmethod(loading.plan_memory)

    return OpenCL
