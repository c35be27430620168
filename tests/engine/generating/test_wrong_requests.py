"""What people pass by mistake: refused before anything is computed, in words."""

from __future__ import annotations

import pytest

import llamapy
from llamapy.errors import LlamapyError, ShapeError, TokenizerError, UnsupportedError


@pytest.fixture(scope="module")
def model(speaking):
    return speaking()


@pytest.mark.parametrize("prompt", [None, 5, 1.5, {"a": 1}, object()], ids=lambda p: str(type(p)))
def test_prompts_that_are_none(model, prompt):
    with pytest.raises(UnsupportedError, match="neither text nor token ids"):
        model.generate(prompt)
    with pytest.raises(UnsupportedError, match="neither text nor token ids"):
        model.generate(["the", prompt])
    with pytest.raises(UnsupportedError, match="neither text nor token ids"):
        model.perplexity(prompt)
    with pytest.raises(TokenizerError, match="is no text: pass a str"):
        model.tokenizer.encode(prompt)


WRONG = [
    ({"max_tokens": "5"}, "max_tokens is '5'"),
    ({"max_tokens": 5.5}, "max_tokens is 5.5"),
    ({"logprobs": 0.5}, "logprobs is 0.5"),
    ({"temperature": "hot"}, "temperature is 'hot': pass a number, such as 0.8"),
    ({"temperature": float("nan")}, "temperature is nan"),
    ({"top_k": 2.5}, "top_k is 2.5: pass a whole number, such as 40"),
    ({"seed": "x"}, "seed is 'x'"),
    ({"seed": 1.5}, "seed is 1.5"),
    ({"stop": [b"a"]}, "a stop is b'a'"),
    ({"stop": 1.5}, "a stop is 1.5"),
    ({"time_limit": "1"}, "time_limit is '1'"),
    ({"logits_processors": lambda tokens, logits: logits}, "a single function: pass a list"),
    ({"logit_bias": {"x": 1.0}}, "logit_bias is .*: pass a dict of numbers"),
    ({"logit_bias": {10**6: 1.0}}, "token 1000000 is not in the vocabulary"),
    ({"logit_bias": {5: float("nan")}}, "one amount is no number"),
    ({"repeat_penalty": 0}, "repeat_penalty is 0"),
    ({"draft": "small.gguf"}, "no propose.*: pass PromptLookup"),
    ({"n_predict": 3}, "did you mean max_tokens"),
    ({"max_new_tokens": 3}, "did you mean max_tokens"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[str(o)[1:30] for o, _ in WRONG])
def test_options_that_are_wrong(model, options, message):
    with pytest.raises(LlamapyError, match=message):
        model.generate("the", **options)


def test_what_is_not_given_may_be_none(model):
    nothing = dict.fromkeys(("stop", "temperature", "top_k", "seed", "time_limit", "cancel"))
    assert len(model.generate("the", max_tokens=2, ignore_end=True, **nothing).tokens) == 2


@pytest.mark.parametrize("n_ctx", [-1, 0, 513, 10**9])
def test_contexts_that_the_model_does_not_have(model, n_ctx):
    for make in (model.session, model.engine):
        with pytest.raises(UnsupportedError, match=rf"n_ctx is {n_ctx}, .* of 1 to 512"):
            make(n_ctx=n_ctx)


def test_engines_that_would_never_answer(model):
    with pytest.raises(UnsupportedError, match="at least one sequence runs"):
        model.engine(n_sequences=0)
    with pytest.raises(UnsupportedError, match="0 or more wait"):
        model.engine(max_waiting=-1)


def test_sessions_have_one_prompt(model):
    with model.session() as session:
        with pytest.raises(UnsupportedError, match="one prompt: fork it"):
            session.generate(["a", "b"])
        assert "0 tokens" in repr(session)
    assert repr(session) == "<Session, closed>"


@pytest.mark.parametrize("n_ctx", ["5", -5, 0, 10**12])
def test_a_context_is_checked_before_anything_is_loaded(n_ctx):
    with pytest.raises(UnsupportedError, match="a context has 1 to 33554432 tokens"):
        llamapy.load("no-such-file.gguf", n_ctx=n_ctx)


def test_text_is_no_list_of_ids(model):
    with pytest.raises(UnsupportedError, match=r"token ids: model\.tokenizer\.encode"):
        model.forward("the")
    with pytest.raises(ShapeError, match="no tokens"):
        model.forward([])
    assert repr(model.forward([1, 2], hidden=(0,))).startswith("<Output: logits [1, ")


def test_hooks_that_return_something_else(model):
    model.hooks["blk.0.l_out"] = lambda name, x: x[:1, :3]
    try:
        with pytest.raises(ShapeError, match=r"a hook for blk\.0\.l_out returned \[1, 3\]"):
            model.generate("the", max_tokens=1)
    finally:
        model.hooks.clear()
    assert model.generate("the", max_tokens=1, ignore_end=True).tokens
