"""Where logits lie far away, only the likeliest tokens are fetched, and the same are chosen."""

from __future__ import annotations

import numpy as np
import pytest

import llamapy
from llamapy.backends.numpy import NumPy
from llamapy.backends.several import Several
from llamapy.engine.generating.speculative import DraftModel, PromptLookup
from llamapy.engine.likeliest import FEW
from llamapy.errors import LlamapyError
from llamapy.sampling import Draw, Greedy, LogitBias, Sampler, Temperature, TopK
from llamapy.testing.model import invented

PROMPT = [3, 1, 4, 1, 5, 9, 2, 6, 5]
N_VOCAB = 500

FETCHED_FEW = [
    {"temperature": 0},
    {"sampler": [Greedy()]},
    {"seed": 5},
    {"seed": 5, "top_k": FEW, "top_p": 0.99, "min_p": 0.0, "temperature": 3.0},
    {"sampler": [TopK(30), LogitBias({7: 3.0}), Temperature(2.0), Draw(4)]},
    {"seed": 5, "temperature": 2.0, "draft": PromptLookup(n=3)},
]
FETCHED_ALL = [
    {"seed": 5, "top_k": 0, "temperature": 2.0},
    {"seed": 5, "top_k": FEW + 1},
    {"seed": 5, "repeat_penalty": 1.5},
    {"seed": 5, "logit_bias": {7: 3.0}},
    {"seed": 5, "dry_multiplier": 0.8, "dry_sequence_breakers": ()},
    {"seed": 5, "logprobs": 3},
    {"seed": 5, "logits_processors": [lambda tokens, logits: -logits]},
    {"sampler": [Temperature(2.0), TopK(30), Draw(4)]},
]


class Far(NumPy):
    """A device with a memory of its own."""

    shares_memory = False


@pytest.fixture(scope="module", params=["numpy", "opencl"])
def models(request):
    """The same model where the host sees its logits, and where it does not."""
    if request.param == "numpy":
        return [invented("llama", device=d, n_vocab=N_VOCAB) for d in (NumPy(), Far())]
    from llamapy.backends.gpu import opencl

    if problem := opencl.problem():
        pytest.skip(problem)
    near, far = (llamapy.backends.get("opencl", precision="float32") for _ in range(2))
    near.device.shares_memory, far.device.shares_memory = True, False
    return [invented("llama", device=device, n_vocab=N_VOCAB) for device in (near, far)]


def watched(model, monkeypatch):
    """The shapes of what leaves the device."""
    shapes, run = [], model.run

    def noting(*args, **options):
        rows = run(*args, **options)
        shapes.append(rows.shape[1:])
        return rows

    monkeypatch.setattr(model, "run", noting)
    return shapes


def generated(model, options):
    return model.generate(PROMPT, max_tokens=24, **options)


@pytest.mark.parametrize("options", FETCHED_FEW, ids=repr)
def test_few_are_fetched(options, models, monkeypatch):
    near, far = models
    shapes, others = watched(far, monkeypatch), watched(near, monkeypatch)
    assert generated(far, options).tokens == generated(near, options).tokens
    assert set(shapes) == {(2, FEW)}
    assert set(others) == {(N_VOCAB,)}


@pytest.mark.parametrize("options", FETCHED_ALL, ids=lambda options: ",".join(options))
def test_all_are_fetched(options, models, monkeypatch):
    near, far = models
    shapes = watched(far, monkeypatch)
    got, want = generated(far, options), generated(near, options)
    assert (got.tokens, got.logprobs) == (want.tokens, want.logprobs)
    assert set(shapes) == {(N_VOCAB,)}


def test_who_needs_all_lets_the_others_have_all(models, monkeypatch):
    """In one batch; alone, few are enough again."""
    near, far = models
    samplers = ({"temperature": 0}, {"seed": 3, "top_k": 0})
    shapes, found = watched(far, monkeypatch), []
    for model in (near, far):
        with model.engine(n_sequences=2) as engine:
            streams = [
                engine.generate(PROMPT, max_tokens=n, stream=True, **options)
                for n, options in zip((24, 4), samplers, strict=True)
            ]
            found.append([[token for p in s for token in p.tokens] for s in streams])
    assert found[0] == found[1]
    assert {(2, FEW), (N_VOCAB,)} <= set(shapes)


@pytest.mark.parametrize("p_min", [0.0, 0.01])
def test_drafts_are_the_same(p_min, models, monkeypatch):
    """Their probability is that among all tokens: who asks for it fetches all."""
    guesses = []
    for model in models:
        shapes = watched(model, monkeypatch)
        guesses.append(DraftModel(model, n=5, p_min=p_min).propose(PROMPT))
    assert guesses[0] == guesses[1]
    assert len(guesses[0]) > 1 or p_min
    assert set(shapes) == {(N_VOCAB,) if p_min else (2, FEW)}


def test_a_single_number_that_is_none_is_seen(models):
    def spoiled(name, values):
        values = values.copy()
        values[:, 77] = np.nan
        return values

    for model in models:
        model.hooks["result_output"] = spoiled
        with pytest.raises(LlamapyError, match="not numbers"):
            generated(model, {"temperature": 0})
        del model.hooks["result_output"]


def test_where_the_output_lies_decides():
    """Of several devices."""
    for parts, is_far in (((NumPy(), Far()), False), ((Far(), NumPy()), True)):
        model = invented("llama", device=Several(parts, n_last=1), n_vocab=N_VOCAB)
        assert model._is_far == is_far
        assert generated(model, {"sampler": Sampler([TopK(3), Draw(1)])}).tokens
