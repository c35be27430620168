"""The drop-in for llama_cpp.Llama, where it has to say no, and what it remembers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import llamapy
from llamapy.compat import Llama, LlamaGrammar, LlamaRAMCache
from llamapy.compat.completion import _has_half_character
from llamapy.compat.formats import render

PATH = str(llamapy.default_path())


@pytest.fixture(scope="module")
def llm() -> Iterator[Llama]:
    with Llama(PATH, n_ctx=512, verbose=False) as made:
        yield made


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rope_freq_base": 1e6}, "rope_freq_base=1000000.0 is not done here"),
        ({"kv_overrides": {"a": 1}}, "kv_overrides"),
        ({"type_k": 0}, "keys and values have one type"),
        ({"n_batches": 3}, "no option 'n_batches'"),
    ],
)
def test_options_that_change_results_are_refused(options: dict, said: str) -> None:
    with pytest.raises(llamapy.UnsupportedError, match=said):
        Llama(PATH, **options)


def test_options_that_say_how_to_compute_are_taken() -> None:
    with Llama(PATH, n_ctx=32, use_mmap=False, flash_attn=True, n_ubatch=8, verbose=False) as llm:
        assert llm("Once", max_tokens=2)["usage"]["completion_tokens"] == 2


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ValueError, match=r"no model at nowhere\.gguf"):
        Llama("nowhere.gguf")


def test_a_prompt_longer_than_the_context_is_refused(llm: Llama) -> None:
    with pytest.raises(ValueError, match="exceed context window of 512"):
        llm([5] * 512)


def test_logprobs_need_all_logits(llm: Llama) -> None:
    with pytest.raises(ValueError, match="logits_all=True"):
        llm("Once", logprobs=2)


def test_embeddings_must_be_asked_for(llm: Llama) -> None:
    with pytest.raises(ValueError, match="embedding=True"):
        llm.embed("Once")


def test_a_schema_that_cannot_be_enforced_is_an_error(llm: Llama) -> None:
    schema = {"type": "object", "not": {"required": ["a"]}}
    with pytest.raises(llamapy.GrammarError):
        llm.create_chat_completion(
            [{"role": "user", "content": "x"}],
            response_format={"type": "json_object", "schema": schema},
        )
    with pytest.raises(llamapy.GrammarError, match="no JSON"):
        LlamaGrammar.from_json_schema("{")


def test_an_unknown_format_is_an_error() -> None:
    with pytest.raises(llamapy.TemplateError, match="chat_format 'nobody' is unknown"):
        render("nobody", [])


def test_tools_that_a_format_cannot_show_are_an_error(llm: Llama) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    llm.chat_format = "chatml"
    try:
        with pytest.raises(llamapy.UnsupportedError, match="cannot show tools"):
            llm.create_chat_completion([{"role": "user", "content": "x"}], tools=[tool])
    finally:
        llm.chat_format = None


def test_a_state_goes_back_to_where_it_was(llm: Llama) -> None:
    llm.reset()
    llm.eval(llm.tokenize(b"Once upon a time"))
    state = llm.save_state()
    first = llm(" there was", max_tokens=8, seed=1)["choices"]
    llm.load_state(state)
    assert llm.n_tokens == state.n_tokens
    assert llm(" there was", max_tokens=8, seed=1)["choices"] == first


def test_what_was_computed_of_a_prompt_is_not_computed_again(llm: Llama) -> None:
    ids = llm.tokenize(b"Once upon a time there was a fox")
    next(llm.generate(ids, temp=0.0))
    computed: list[int] = []
    evaluate = llm.eval
    llm.eval = lambda tokens: (computed.extend(tokens), evaluate(tokens))[1]  # type: ignore
    try:
        next(llm.generate([*ids, 7], temp=0.0))
    finally:
        del llm.eval
    assert computed == [7]


def test_a_cache_forgets_the_oldest_when_it_is_full(llm: Llama) -> None:
    llm.reset()
    llm.eval([5, 6, 7])
    state = llm.save_state()
    cache = LlamaRAMCache(capacity_bytes=2 * state.llama_state_size)
    for key in ([5, 6], [6, 7], [7, 8]):
        cache[key] = state
    assert [key in cache for key in ([5, 1], [6, 1], [7, 1])] == [False, True, True]
    with pytest.raises(KeyError):
        cache[[5]]


@pytest.mark.parametrize("automatic", ["message:", "functions.tell:"])
def test_functions_are_called_automatically(llm: Llama, automatic: str) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}
    tool = {"type": "function", "function": {"name": "tell", "parameters": schema}}
    wanted = llm.tokenize(automatic[:4].encode(), add_bos=False)[0]
    llm.chat_format = "chatml-function-calling"
    try:
        answer = llm.create_chat_completion(
            [{"role": "user", "content": "x"}],
            tools=[tool],
            tool_choice="auto",
            max_tokens=12,
            logit_bias={wanted: 50.0},
        )
    finally:
        llm.chat_format = None
    message = answer["choices"][0]["message"]
    if automatic == "message:":
        assert isinstance(message["content"], str)
    else:
        assert message["tool_calls"][0]["function"]["name"] == "tell"


def test_half_characters() -> None:
    text = "aé日🙂"
    data = text.encode()
    whole = {len(text[:n].encode()) for n in range(len(text) + 1)}
    assert [_has_half_character(data[:n]) for n in range(len(data) + 1)] == [
        n not in whole for n in range(len(data) + 1)
    ]
