"""Generating tokens, always the likeliest."""

from __future__ import annotations

import pytest

from llamapy.errors import ShapeError, UnsupportedError
from llamapy.testing.model import invented

PROMPT = [3, 1, 4, 1, 5]


@pytest.fixture(scope="module", params=["llama", "gemma2"])
def model(request):
    return invented(request.param, {"context_length": 96})


def slowly(model, prompt, count):
    """The same by forward passes that remember nothing."""
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(int(model.forward(tokens).logits[-1].argmax()))
    return tokens[len(prompt) :]


def test_greedy_is_what_repeated_forward_passes_choose(model):
    result = model.generate(PROMPT, max_tokens=40)
    assert result.tokens == slowly(model, PROMPT, 40)
    assert result.finish_reason == "length"
    assert result.timings["prompt"] > 0
    assert result.timings["generated"] > 0


def test_it_ends_with_a_stop_token(model):
    tokens = slowly(model, PROMPT, 12)
    stop = tokens[-1]
    result = model.generate(PROMPT, max_tokens=40, stop=[stop])
    assert result.tokens == tokens[: tokens.index(stop)]
    assert result.finish_reason == "stop"


def test_the_file_says_what_ends_a_text(model):
    tokens = slowly(model, PROMPT, 3)
    model.metadata["tokenizer.ggml.eos_token_id"] = tokens[0]
    try:
        assert model.generate(PROMPT, max_tokens=5).tokens == []
        assert len(model.generate(PROMPT, max_tokens=3, stop=[]).tokens) == 3
    finally:
        del model.metadata["tokenizer.ggml.eos_token_id"]


def test_a_stream_gives_tokens_as_they_come(model):
    stream = model.generate(PROMPT, max_tokens=6, stream=True)
    first = next(stream)
    assert stream.finish_reason is None
    assert [first, *stream] == stream.tokens == slowly(model, PROMPT, 6)
    assert stream.finish_reason == "length"


def test_it_ends_where_the_context_does(model):
    result = model.generate(PROMPT, max_tokens=1000)
    assert result.finish_reason == "context"
    assert len(result.tokens) == 96 - len(PROMPT) + 1


def test_long_prompts_are_computed_in_pieces():
    model = invented("gemma2", {"context_length": 1300, "block_count": 2})
    prompt = [i * 7 % 40 for i in range(1100)]
    want = int(model.forward(prompt).logits[-1].argmax())
    rows = []
    model.hooks["inp_embd"] = lambda name, x: rows.append(len(x))
    assert model.generate(prompt, max_tokens=1).tokens == [want]
    assert rows == [512, 512, 76]


def test_hooks_act_while_generating(model):
    plain = model.generate(PROMPT, max_tokens=4).tokens
    model.hooks["result_output"] = lambda name, x: -x
    try:
        changed = model.generate(PROMPT, max_tokens=4).tokens
    finally:
        model.hooks.clear()
    assert changed != plain
    assert model.generate(PROMPT, max_tokens=4).tokens == plain


def test_refusals(model):
    with pytest.raises(UnsupportedError, match="pass a list of token ids"):
        model.generate("Once upon a time")
    with pytest.raises(ShapeError, match="max_tokens is -1"):
        model.generate(PROMPT, max_tokens=-1)
    with pytest.raises(ShapeError, match="no tokens"):
        model.generate([])
    assert model.generate(PROMPT, max_tokens=0).tokens == []
