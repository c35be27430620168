"""LoRA adapters: what llama.cpp computes with them, on every device, eagerly and by replay."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from llamapy import backends, gguf
from llamapy.cache import Batch
from llamapy.engine.adapting.lora import ALPHA, INVOCATION, Lora
from llamapy.errors import FormatError, LlamapyError, ShapeError, UnsupportedError
from llamapy.gguf import ArrayType, ValueType, typed
from llamapy.testing.adapter import deeper, invented_lora, invented_vector
from llamapy.testing.model import Fixture, invented, nmse

from .conftest import TOKENS, decoded, same_step

DATA = Path(__file__).parent.parent.parent / "data"
GOLDEN = json.loads((DATA / "adapters.json").read_text())
CASES = {case["name"]: case for case in GOLDEN["cases"]}


@pytest.fixture(scope="module", params=["numpy", "cpu"])
def device(request):
    return backends.get(request.param, precision="float32")


@pytest.fixture(scope="module")
def llama(device):
    return invented("llama", device=device)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """An adapter for the invented llama's matrices."""
    model = invented("llama")
    folder = tmp_path_factory.mktemp("adapters")
    return invented_lora(folder / "pirate.gguf", shapes(model), rank=3)


def shapes(model):
    return {name: tensor.shape for name, tensor in model.decoder.weights().items()}


@pytest.mark.parametrize("name", CASES)
def test_llama_cpp_gives_the_same_logits(name, device, tmp_path):
    case = CASES[name]
    fixture = Fixture.read(DATA / "archs" / f"{case['base']}.json")
    if "layers" in case:
        fixture = deeper(fixture, case["layers"])
    model = fixture.model(device)
    n_embd = model.config.n_embd
    for said in case.get("adapters", ()):
        options = {key: v for key, v in said.items() if key != "scale"}
        architecture = fixture.metadata["general.architecture"]
        invented_lora(tmp_path / "lora.gguf", fixture.tensors, architecture=architecture, **options)
        model.add_lora(tmp_path / "lora.gguf", said["scale"])
    for said in case.get("vectors", ()):
        vector = invented_vector(said["layers"], n_embd, said.get("seed", 1))
        first, last = case.get("range", (1, 99))
        model.steer(vector, said["scale"], range(first, last + 1))
    got = model.forward(fixture.tokens, logits="all").logits[GOLDEN["positions"]]
    assert nmse(got, case["logits"]) <= case.get("tolerance", 1e-9)


def test_replay_is_what_eager_is_and_removal_gives_the_old_bits_back(llama, path):
    before = llama.forward(TOKENS, logits="all").logits
    one_by_one = decoded(llama)
    adapter = llama.add_lora(path, 0.5)
    changed = llama.forward(TOKENS, logits="all").logits
    assert nmse(changed, before) > 1e-3
    assert nmse(decoded(llama), changed) < 1e-9
    adapter.remove()
    assert (llama.forward(TOKENS, logits="all").logits == before).all()
    assert (decoded(llama) == one_by_one).all()
    with pytest.raises(LlamapyError, match="was removed"):
        adapter.remove()
    with pytest.raises(LlamapyError, match="was removed"):
        adapter.scale = 1.0


def test_plans_of_one_cache_know_which_adapters_there_are(llama, path):
    """The same step is met again, with other adapters and other scales."""
    run = same_step(llama)
    plain = run()
    adapter = llama.add_lora(path, 0.5)
    half = run()
    adapter.scale = 1.0
    whole = run()
    adapter.scale = 0
    assert (run() == plain).all()
    adapter.scale = 0.5
    assert (run() == half).all()
    assert nmse(half, plain) > 1e-4
    assert nmse(whole, half) > 1e-4
    second = llama.add_lora(path, 0.5)
    assert nmse(run(), whole) < 1e-9  # twice a half
    second.remove()
    assert (run() == half).all()
    adapter.remove()
    assert (run() == plain).all()


def test_a_plan_of_an_adapter_that_is_gone_is_not_kept(path):
    model = invented("llama")
    cache = model.cache(8, n_batch=1)
    for _ in range(3):
        adapter = model.add_lora(path)
        model.run(cache, Batch.of([7]))
        step = next(iter(cache._steps.values()))
        assert len(step.plans) == 1
        adapter.remove()


def test_the_weights_with_the_product_added_give_the_same(device, path):
    """Tied embeddings, experts and a fused matrix: what is added is B @ A, wherever it is used."""
    for architecture in ("gemma", "qwen2moe", "phi3", "lfm2"):
        model = invented(architecture, device=device)
        plain = model.forward(TOKENS, logits="all").logits
        file = path.with_name(f"{architecture}.gguf")
        names = ["token_embd.*", "output.*", "blk.*attn*", "blk.*ffn*", "blk.*.shortconv.*_proj.*"]
        known = {n: s for n, s in shapes(model).items() if n != "output.weight" or s}
        invented_lora(file, known, architecture=architecture, names=names)
        model.add_lora(file, 0.6)
        got = model.forward(TOKENS, logits="all").logits
        assert nmse(got, plain) > 1e-3
        merged = invented(architecture)
        with Lora.open(file) as lora:
            assert set(lora) >= {"token_embd.weight"}
            for name, pair in lora.items():
                add_product(merged, name, pair, pair.factor(lora.alpha, 0.6))
        assert nmse(got, merged.forward(TOKENS, logits="all").logits) < 1e-9, architecture


def add_product(model, name, pair, factor):
    """Change a matrix in place, on the backend numpy."""
    a, b = pair.a.numpy(), pair.b.numpy()
    product = a @ b.T if pair.by_row else b @ a
    model.decoder.weights()[name].buffer[...] += np.float32(factor) * product


@pytest.mark.parametrize("quant", ["F16", "BF16", "Q8_0", "Q4_K"])
def test_adapters_may_be_in_other_formats(device, tmp_path, quant):
    model = invented("llama", {"embedding_length": 256, "block_count": 1}, device=device)
    plain = model.forward(TOKENS, logits="all").logits
    file = invented_lora(tmp_path / "a.gguf", shapes(model), rank=32, quant=quant)
    with Lora.open(file) as lora:
        assert {pair.a.quant.name for pair in lora.values()} >= {quant}
        added = model.add_lora(lora, 0.5)
        products = {name: (pair.a.numpy(), pair.b.numpy()) for name, pair in lora.items()}
    got = model.forward(TOKENS, logits="all").logits
    assert nmse(got, plain) > 1e-4
    added.remove()
    exact = tmp_path / "exact.gguf"
    with Lora.open(file) as lora:
        tensors = {}
        for name, (a, b) in products.items():
            tensors |= {f"{name}.lora_a": a, f"{name}.lora_b": b}
        gguf.write(exact, lora.metadata, tensors)
    model.add_lora(exact, 0.5)
    assert nmse(got, model.forward(TOKENS, logits="all").logits) < 1e-5


@pytest.mark.parametrize("quant", ["F32", "F16", "Q8_0"])
def test_nothing_runs_in_numpy_for_want_of_a_kernel(tmp_path, quant):
    """An embedding, experts and an output, in a batch of one token and in one of many."""
    model = invented("qwen2moe", {"embedding_length": 256}, device="cpu")
    known = shapes(model)
    names = ["token_embd.*", "output.*", "blk.*attn*", "blk.*ffn*"]
    file = invented_lora(
        tmp_path / "a.gguf", known, architecture="qwen2moe", names=names, rank=32, quant=quant
    )
    cache = model.cache(32)
    for tokens in ([7], TOKENS * 3):
        cache.remove(0, 0, cache.end())
        before = set(model.plan(cache, Batch.of(tokens)).fallbacks)
        adapter = model.add_lora(file, 0.5)
        cache.remove(0, 0, cache.end())
        assert set(model.plan(cache, Batch.of(tokens)).fallbacks) == before
        adapter.remove()


def test_without_an_alpha_the_scale_is_what_the_user_says(llama, tmp_path):
    known = shapes(llama)
    one = llama.add_lora(invented_lora(tmp_path / "a.gguf", known, rank=4, alpha=2.0), 1.0)
    halved = llama.forward(TOKENS).logits
    one.remove()
    other = llama.add_lora(invented_lora(tmp_path / "b.gguf", known, rank=4, alpha=None), 0.5)
    assert nmse(llama.forward(TOKENS).logits, halved) < 1e-12
    other.remove()


# ---- what does not fit


def test_adapters_of_other_models_are_refused(llama, path, tmp_path):
    with pytest.raises(UnsupportedError, match="'qwen3', and the model is 'llama'"):
        llama.add_lora(invented_lora(tmp_path / "a.gguf", shapes(llama), architecture="qwen3"))
    file = invented_lora(tmp_path / "b.gguf", {"blk.7.attn_q.weight": (32, 32)})
    with pytest.raises(UnsupportedError, match=r"changes blk.7.attn_q.weight, .* does not have it"):
        llama.add_lora(file)
    file = invented_lora(tmp_path / "c.gguf", {"blk.1.attn_q.weight": (32, 48)})
    with pytest.raises(ShapeError, match=r"is \[32, 32\] in this model, .* made for \[32, 48\]"):
        llama.add_lora(file)
    with pytest.raises(UnsupportedError, match="scale of an adapter is nan"):
        llama.add_lora(path, math.nan)
    assert not llama.adapters


def test_matrices_that_cannot_be_adapted_are_named(tmp_path):
    model = invented("mamba")
    known = {"blk.0.ssm_conv1d.weight": model.decoder.weights()["blk.0.ssm_conv1d.weight"].shape}
    file = invented_lora(tmp_path / "a.gguf", known, architecture="mamba", names=["*"])
    with pytest.raises(UnsupportedError, match=r"ssm_conv1d.weight is a .*: merge the adapter"):
        model.add_lora(file)


def test_activated_adapters_are_refused(llama, tmp_path):
    tokens = typed(ArrayType(ValueType.UINT32), [4, 5])
    said = {"adapter.alora.invocation_tokens": tokens}
    file = invented_lora(tmp_path / "a.gguf", shapes(llama), metadata=said)
    with pytest.raises(UnsupportedError, match=r"aLoRA.*\[4, 5\]"):
        llama.add_lora(file)


def test_malformed_files_are_told_apart(tmp_path):
    known = {"blk.0.attn_q.weight": (32, 32)}
    file = invented_lora(tmp_path / "a.gguf", known)
    for key, value in (("general.type", "model"), ("adapter.type", "other")):
        wrong = invented_lora(tmp_path / "b.gguf", known, metadata={key: value})
        with pytest.raises(FormatError, match=f"{key}: it is '{value}'"):
            Lora.open(wrong)
    f = gguf.GGUF.open(file.read_bytes())
    said, tensors = f.metadata, {name: f[name].numpy() for name in f}
    a, b = tensors.values()
    wrong = tmp_path / "c.gguf"
    names = [f"blk.0.attn_q.weight.lora_{letter}" for letter in "ab"]
    gguf.write(wrong, said, {names[0]: a})
    with pytest.raises(FormatError, match=r"weight.lora_b is not there"):
        Lora.open(wrong)
    gguf.write(wrong, said, {names[0]: a, names[1]: b.T})
    with pytest.raises(FormatError, match=r"\[4, 32\] and \[4, 32\], and should be \[r, k\]"):
        Lora.open(wrong)
    gguf.write(wrong, said, {**tensors, "blk.0.attn_norm.weight": np.ones(32, np.float32)})
    with pytest.raises(UnsupportedError, match=r"a norm that was trained.*skip="):
        Lora.open(wrong)
    with Lora.open(wrong, skip=("*_norm.weight",)) as lora:
        assert list(lora) == ["blk.0.attn_q.weight"]
        assert repr(lora) == "<Lora 'a' for llama: 1 matrices of rank 4, alpha 8>"
    for key, value in ((ALPHA, "much"), (ALPHA, math.nan), (ALPHA, [1.0]), (INVOCATION, 4)):
        gguf.write(wrong, {**said, key: value}, tensors)
        with pytest.raises(FormatError, match=f"{key}: it is "):
            Lora.open(wrong)
    gguf.write(wrong, said, {})
    with pytest.raises(FormatError, match="no tensors"):
        Lora.open(wrong)


def test_what_is_generated_anew_begins_anew(path):
    """A session goes on from what was computed with the adapters that there are now."""
    model = invented("llama")
    options = {"max_tokens": 6, "ignore_end": True, "temperature": 0}
    model.add_lora(path, 1.0)
    wanted = model.generate(TOKENS * 3, **options).tokens
    model.adapters[0].remove()
    session = model.session()
    plain = session.generate(TOKENS * 2, **options).tokens
    assert plain == model.generate(TOKENS * 2, **options).tokens
    session.truncate(len(TOKENS) * 2)
    model.add_lora(path, 1.0)
    assert session.generate(TOKENS, **options).tokens == wanted
