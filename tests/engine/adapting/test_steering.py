"""Control vectors: added to what layers give; `test_lora.py` compares them with llama.cpp."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llamapy import backends, gguf
from llamapy.cache import Batch
from llamapy.engine.adapting import steering
from llamapy.engine.adapting.steering import ControlVector
from llamapy.engine.load import load
from llamapy.errors import FormatError, LlamapyError, ShapeError, UnsupportedError
from llamapy.gguf import GGUF
from llamapy.testing import tiny_model
from llamapy.testing.adapter import invented_vector
from llamapy.testing.model import invented, nmse

from .conftest import TOKENS, decoded, same_step

OTHERS = [3, 17, 9, 29, 2, 31]


@pytest.fixture(scope="module", params=["numpy", "cpu"])
def llama(request):
    return invented("llama", device=backends.get(request.param, precision="float32"))


@pytest.fixture(scope="module")
def vector():
    return invented_vector([1, 2], 32)


def test_a_direction_is_added_to_what_its_layer_gives(llama, vector):
    plain = llama.forward(TOKENS, logits="all", hidden=(1, 2, 3))
    handle = llama.steer(vector, 2.0, layers=[2])
    steered = llama.forward(TOKENS, logits="all", hidden=(1, 2, 3))
    assert (steered.hidden[2] == plain.hidden[2]).all()  # what layer 1 gives
    np.testing.assert_allclose(
        steered.hidden[3], plain.hidden[3] + 2 * vector[2], rtol=1e-5, atol=1e-6
    )
    assert nmse(decoded(llama), steered.logits) < 1e-9
    handle.remove()
    again = llama.forward(TOKENS, logits="all")
    assert (again.logits == plain.logits).all()
    with pytest.raises(LlamapyError, match="was removed"):
        handle.remove()
    with pytest.raises(LlamapyError, match="was removed"):
        handle.scale = 2.0


def test_scales_change_while_plans_stay(llama, vector):
    """Several vectors add up; a plan is met again, with the sum of the moment."""
    run = same_step(llama)
    plain = run()
    first = llama.steer(vector, 3.0)
    steered = run()
    second = llama.steer(vector, -3.0)
    assert nmse(run(), plain) < 1e-9
    second.scale = 0
    assert (run() == steered).all()
    first.scale = 0
    assert (run() == plain).all()
    first.scale, second.scale = 1.0, 2.0
    assert nmse(run(), steered) < 1e-9
    assert nmse(run(), plain) > 1e-6
    first.remove()
    second.remove()
    assert (run() == plain).all()
    other = llama.steer(invented_vector([1], 32, seed=5), 3.0)
    changed = run()
    other.remove()
    again = llama.steer(invented_vector([1], 32, seed=6), 3.0)
    assert nmse(run(), changed) > 1e-6
    again.remove()


def test_hooks_and_embeddings_see_what_is_steered(llama, vector):
    plain = llama.embed([TOKENS], pooling="mean")
    seen = {}
    llama.hooks["blk.1.l_out"] = lambda name, x: seen.update({name: x.copy()})
    try:
        before = llama.forward(TOKENS, capture=("blk.1.l_out",))["blk.1.l_out"]
        handle = llama.steer(vector, 2.0, [1])
        after = llama.forward(TOKENS, capture=("blk.1.l_out",))["blk.1.l_out"]
    finally:
        llama.hooks.clear()
    np.testing.assert_allclose(after, before + 2 * vector[1], rtol=1e-5, atol=1e-6)
    assert (seen["blk.1.l_out"] == after).all()
    assert nmse(llama.embed([TOKENS], pooling="mean"), plain) > 1e-6
    handle.remove()
    assert (llama.embed([TOKENS], pooling="mean") == plain).all()


def test_an_encoder_and_its_decoder_are_steered():
    model = invented("t5")
    tokens = {"tokens": TOKENS, "encoder_tokens": OTHERS}
    point = ("blk.1.l_out", "enc.blk.1.l_out")
    plain = model.forward(**tokens, capture=point)
    vector = invented_vector([1], 32)
    model.steer(vector)
    steered = model.forward(**tokens, capture=point)
    np.testing.assert_allclose(steered[point[1]], plain[point[1]] + vector[1], rtol=1e-5, atol=1e-6)
    assert nmse(steered[point[0]], plain[point[0]]) > 1e-6


def test_nothing_runs_in_numpy_for_want_of_a_kernel(vector):
    model = invented("llama", device="cpu")
    cache = model.cache(8, n_batch=1)
    before = set(model.plan(cache, Batch.of([7])).fallbacks)
    model.steer(vector)
    assert set(model.plan(cache, Batch.of([7])).fallbacks) == before


# ---- files


def test_a_file_is_what_llama_cpp_reads(llama, vector, tmp_path):
    path = tmp_path / "vector.gguf"
    ControlVector(vector, model_hint="llama").save(path)
    with GGUF.open(path) as file:
        assert file.metadata["general.architecture"] == "controlvector"
        assert file.metadata["controlvector.layer_count"] == 2
        assert list(file) == ["direction.1", "direction.2"]
        assert {t.quant.name for t in file.values()} == {"F32"}
    again = ControlVector.open(path)
    assert again.model_hint == "llama"
    assert all((again[layer] == vector[layer]).all() for layer in vector)
    handle = llama.steer(path, 2.0)
    from_file = llama.forward(TOKENS).logits
    handle.remove()
    handle = llama.steer(vector, 2.0)
    assert (llama.forward(TOKENS).logits == from_file).all()
    handle.remove()
    assert repr(again) == "<ControlVector of 32 values, 2 layers: 1 to 2>"


def test_what_does_not_fit_is_refused(llama, vector, tmp_path):
    with pytest.raises(ShapeError, match="has 16 values, and this model's states have 32"):
        llama.steer(invented_vector([1], 16))
    with pytest.raises(UnsupportedError, match="steers layer 3, and this model's last layer is 2"):
        llama.steer(invented_vector([1, 3], 32))
    with pytest.raises(UnsupportedError, match=r"layers 1 to 2, and none for \[7\]"):
        llama.steer(vector, layers=[7])
    with pytest.raises(UnsupportedError, match="scale of a control vector is nan"):
        llama.steer(vector, math.nan)
    with pytest.raises(UnsupportedError, match="count from 1"):
        invented_vector([0], 32)
    with pytest.raises(ShapeError, match="vectors of one size"):
        ControlVector({1: np.zeros(4), 2: np.zeros(5)})
    with pytest.raises(UnsupportedError, match="not finite"):
        ControlVector({1: [1, math.inf]})
    assert not llama.steering.handles
    path = tmp_path / "other.gguf"
    gguf.write(path, {"general.architecture": "llama"}, {})
    with pytest.raises(FormatError, match="of a control vector 'controlvector'"):
        ControlVector.open(path)
    gguf.write(path, {"general.architecture": "controlvector"}, {"direction.0": np.ones(4)})
    with pytest.raises(FormatError, match=r"and this is direction\.0"):
        ControlVector.open(path)


# ---- made of prompts


def test_the_mean_difference(llama):
    """Direction N is made of what layer N - 1 gives; tokens whose states are equal do not count."""
    made = steering.from_prompts(llama, [TOKENS], [OTHERS])
    up = llama.forward(TOKENS, hidden=(1, 2)).hidden
    down = llama.forward(OTHERS, hidden=(1, 2)).hidden
    assert list(made) == [1, 2]
    assert made.model_hint == "llama"
    for layer, direction in made.items():
        mean = (up[layer] - down[layer])[2:].mean(0)
        np.testing.assert_allclose(direction, mean / np.linalg.norm(mean), atol=1e-6)
        turned = steering.from_prompts(llama, [OTHERS], [TOKENS])[layer]
        np.testing.assert_allclose(turned, -direction, atol=1e-6)


def test_the_line_of_the_largest_differences(llama):
    positive, negative = [TOKENS, [5, 9, 30]], [OTHERS, [5, 12, 1]]
    made = steering.from_prompts(llama, positive, negative, method="pca")
    for layer, direction in made.items():
        rows = np.concatenate(
            [
                llama.forward(up, hidden=(layer,)).hidden[layer]
                - llama.forward(down, hidden=(layer,)).hidden[layer]
                for up, down in zip(positive, negative, strict=True)
            ]
        )
        # what llama.cpp iterates to, from a random start
        line = np.random.default_rng(0).random(32)
        for _ in range(3000):
            line = rows.T @ (rows @ line)
            line /= np.linalg.norm(line)
        assert abs(line @ direction) > 0.9999
        assert (rows @ direction).sum() > 0


def test_prompts_may_be_texts_of_any_length(tmp_path):
    path = tiny_model(tmp_path / "m.gguf", embedding=32, feed_forward=64, layers=3)
    with load(path, device="numpy") as model:
        encode = model.tokenizer.encode
        made = steering.from_prompts(model, ["the inner and"], ["hello"])
        long, short = encode("the inner and", special=True), encode("hello", special=True)
        space = encode(" ", bos=False)[-1:]
        if len(short) > len(long):
            long, short = short, long
        assert len(long) > len(short)
        filled = short + space * (len(long) - len(short))
        either = steering.from_prompts(model, [long], [filled])
        same = [np.abs(made[layer] @ either[layer]) for layer in made]
        np.testing.assert_allclose(same, 1, rtol=1e-5)


def test_prompts_that_say_nothing_are_refused(llama):
    for method in ("mean", "pca"):
        with pytest.raises(UnsupportedError, match="make no difference before layer 1"):
            steering.from_prompts(llama, [TOKENS], [TOKENS], method=method)
    with pytest.raises(ShapeError, match="1 positive and 2 negative prompts"):
        steering.from_prompts(llama, [TOKENS], [OTHERS, TOKENS])
    with pytest.raises(UnsupportedError, match="choose 'mean' or 'pca'"):
        steering.from_prompts(llama, [TOKENS], [OTHERS], method="median")
    with pytest.raises(UnsupportedError, match="no layers that can be steered"):
        steering.from_prompts(invented("bert"), [TOKENS], [OTHERS])
