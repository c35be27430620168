"""Continuing texts and token ids: what comes, as what it comes, and why it ends."""

from __future__ import annotations

import json

import numpy as np
import pytest

from llamapy import Sampler, grammar
from llamapy.errors import GrammarError, ShapeError, UnsupportedError
from llamapy.sampling import Draw, TopK
from llamapy.testing.model import invented

PROMPT = [3, 1, 4, 1, 5]


@pytest.fixture(scope="module", params=["llama", "gemma2"])
def model(request):
    return invented(request.param, {"context_length": 96})


@pytest.fixture(scope="module")
def talker(speaking):
    return speaking()


def slowly(model, prompt, count):
    """The same by forward passes that remember nothing."""
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(int(model.forward(tokens).logits[-1].argmax()))
    return tokens[len(prompt) :]


# ---- tokens


def test_greedy_is_what_repeated_forward_passes_choose(model):
    result = model.generate(PROMPT, max_tokens=40, temperature=0)
    assert result.tokens == slowly(model, PROMPT, 40)
    assert (result.finish_reason, result.n_prompt, result.text) == ("length", 5, "")
    timings = result.timings
    assert (timings.n_prompt, timings.n_generated) == (5, 40)
    assert timings.prompt > 0
    assert timings.generated > 0


def test_it_ends_with_a_stop_token(model):
    tokens = slowly(model, PROMPT, 12)
    stop = tokens[-1]
    result = model.generate(PROMPT, max_tokens=40, stop=[stop], temperature=0)
    assert result.tokens == tokens[: tokens.index(stop)]
    assert (result.finish_reason, result.stop) == ("stop", stop)


def test_the_file_says_what_ends_a_text(model):
    tokens = slowly(model, PROMPT, 3)
    model.metadata["tokenizer.ggml.eos_token_id"] = tokens[0]
    try:
        assert model.generate(PROMPT, max_tokens=5, temperature=0).tokens == []
        result = model.generate(PROMPT, max_tokens=3, temperature=0, ignore_end=True)
        assert result.tokens == tokens
    finally:
        del model.metadata["tokenizer.ggml.eos_token_id"]


def test_a_stream_gives_tokens_as_they_come(model):
    stream = model.generate(PROMPT, max_tokens=6, stream=True, temperature=0)
    first = next(stream)
    with pytest.raises(Exception, match="not over"):
        assert stream.result
    tokens = [token for piece in [first, *stream] for token in piece.tokens]
    assert tokens == stream.result.tokens == slowly(model, PROMPT, 6)
    assert stream.result.finish_reason == "length"


def test_it_ends_where_the_context_does(model):
    for limit in (1000, None):
        result = model.generate(PROMPT, max_tokens=limit)
        assert result.finish_reason == "context"
        assert len(result.tokens) == 96 - len(PROMPT) + 1
    full = model.generate([1] * 96)
    assert (len(full.tokens), full.finish_reason) == (1, "context")
    with pytest.raises(UnsupportedError, match="prompt has 97 tokens, and the context 96"):
        model.generate([1] * 97)


def test_long_prompts_are_computed_in_pieces():
    model = invented("gemma2", {"context_length": 1300, "block_count": 2})
    prompt = [i * 7 % 40 for i in range(1100)]
    want = int(model.forward(prompt).logits[-1].argmax())
    rows = []
    model.hooks["inp_embd"] = lambda name, x: rows.append(len(x))
    assert model.generate(prompt, max_tokens=1, temperature=0).tokens == [want]
    assert rows == [512, 512, 76]


def test_hooks_act_while_generating(model):
    plain = model.generate(PROMPT, max_tokens=4, temperature=0).tokens
    model.hooks["result_output"] = lambda name, x: -x
    try:
        changed = model.generate(PROMPT, max_tokens=4, temperature=0).tokens
    finally:
        model.hooks.clear()
    assert changed != plain
    assert model.generate(PROMPT, max_tokens=4, temperature=0).tokens == plain


def test_several_prompts_give_what_each_gives_alone(model):
    prompts = [[7], PROMPT, [2] * 30, [1, 2, 3]] * 5
    together = model.generate(prompts, max_tokens=9, seed=3)
    assert [r.tokens for r in together[:4]] == [
        model.generate(prompt, max_tokens=9, seed=3).tokens for prompt in prompts[:4]
    ]
    assert [r.tokens for r in together[4:]] == [r.tokens for r in together[:4]] * 4
    assert [r.n_prompt for r in together[:3]] == [1, 5, 30]


def test_an_array_of_ids_is_a_prompt_and_rows_are_several(model):
    tokens = model.generate(PROMPT, max_tokens=3, temperature=0).tokens
    assert model.generate(np.array(PROMPT), max_tokens=3, temperature=0).tokens == tokens
    rows = model.generate(np.array([PROMPT, PROMPT]), max_tokens=3, temperature=0)
    assert [row.tokens for row in rows] == [tokens, tokens]


# ---- text


def test_text_in_and_out(talker):
    result = talker.generate("the hand", max_tokens=20, seed=1)
    assert result.n_prompt == 1 + len(talker.tokenizer.encode("the hand", bos=False))
    assert result.text == str(result) == talker.tokenizer.decode(result.tokens)
    assert result.text[:8] in repr(result) or "\\x" in repr(result)
    assert "generated: " in result._repr_html_()


def test_pieces_add_up_to_the_text_and_have_whole_characters(talker):
    want = talker.generate("the", max_tokens=60, seed=1)
    stream = talker.generate("the", max_tokens=60, seed=1, stream=True)
    pieces = list(stream)
    assert "".join(map(str, pieces)) == stream.text == want.text == stream.result.text
    assert [token for piece in pieces for token in piece.tokens] == want.tokens


def spell(talker, text):
    """A processor that makes the model write just this, byte for byte."""
    of_byte = {talker.tokenizer.piece(id): id for id in range(256)}
    ids = [of_byte[bytes([byte])] for byte in text.encode()]
    end = talker.tokenizer.eos
    start = len(talker.tokenizer.encode("go"))

    def write(tokens, logits):
        at = len(tokens) - start
        logits = np.full_like(logits, -np.inf)
        logits[ids[at] if at < len(ids) else end] = 0
        return logits

    return write


@pytest.mark.parametrize(
    ("stops", "text", "stop"),
    [
        (["END"], "some ", "END"),
        (["DONE", "TEXT"], "some END of ", "TEXT"),
        ("ENDE", "some END of TEXT", None),
        (["of", "e END"], "som", "e END"),
        (["é"], "some END of TEXT", None),
    ],
)
def test_stop_strings_may_straddle_tokens(talker, stops, text, stop):
    options = {"logits_processors": [spell(talker, "some END of TEXT")], "max_tokens": 50}
    stream = talker.generate("go", stop=stops, stream=True, **options)
    given = ""
    for piece in stream:
        given += piece.text
        assert text.startswith(given)  # nothing is given that has to be taken back
    result = stream.result
    assert (given, result.text, result.finish_reason) == (text, text, "stop")
    assert result.stop == (talker.tokenizer.eos if stop is None else stop)
    written = talker.tokenizer.decode(result.tokens)
    assert written == (text + stop if stop else text)


def test_half_a_character_waits(talker):
    process = spell(talker, "a😀")
    pieces = talker.generate("go", stream=True, logits_processors=[process], max_tokens=20)
    assert [piece.text for piece in pieces] == ["a", "", "", "", "😀"]
    cut = talker.generate("go", logits_processors=[spell(talker, "a😀")], max_tokens=3)
    assert (cut.text, cut.finish_reason) == ("a\ufffd", "length")


# ---- choosing


def test_a_sampler_is_copied_and_a_seed_makes_it_repeatable(talker):
    sampler = Sampler([TopK(20), Draw(seed=4)])
    first = talker.generate("the", sampler=sampler, max_tokens=12).tokens
    assert talker.generate("the", sampler=sampler, max_tokens=12).tokens == first
    assert talker.generate("the", sampler=sampler, seed=5, max_tokens=12).tokens != first
    assert sampler.stages[1].seed == 4
    options = {"top_k": 20, "temperature": 1.0, "top_p": 1.0, "min_p": 0.0, "seed": 4}
    assert talker.generate("the", max_tokens=12, **options).tokens == first
    unseeded = {tuple(talker.generate("the", max_tokens=12).tokens) for _ in range(3)}
    assert len(unseeded) > 1


def test_logprobs_are_those_before_sampling(talker):
    result = talker.generate("the", max_tokens=5, seed=1, logprobs=3, temperature=2.0)
    ids = talker.tokenizer.encode("the") + result.tokens
    logits = talker.forward(ids[:-1], logits="all").logits[-5:].astype(np.float64)
    want = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert [each.token for each in result.logprobs] == result.tokens
    for each, row in zip(result.logprobs, want, strict=True):
        assert each.logprob == pytest.approx(row[each.token], abs=1e-4)
        assert list(each.top) == np.argsort(-row)[:3].tolist()
    assert talker.generate("the", max_tokens=1).logprobs is None
    assert talker.generate("the", max_tokens=1, logprobs=0).logprobs[0].top == {}


def test_a_grammar_or_a_schema_decides_what_is_written(talker):
    for given in ('root ::= "yes" | "no"', grammar.from_gbnf('root ::= "yes" | "no"')):
        result = talker.generate("the", grammar=given, seed=1)
        assert result.text in ("yes", "no")
        assert (result.finish_reason, result.stop) == ("stop", None)
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]}
    schema["additionalProperties"] = False
    found = json.loads(talker.generate("the", schema=schema, seed=1, max_tokens=200).text)
    assert found["a"] in (1, 2)
    with pytest.raises(UnsupportedError, match="pass one of them"):
        talker.generate("the", grammar='root ::= "a"', schema=schema)
    with pytest.raises(GrammarError):
        talker.generate("the", schema={"not": {"type": "string"}})
    with pytest.raises(UnsupportedError, match="needs a tokenizer"):
        invented("llama").generate(PROMPT, grammar='root ::= "a"')


def test_processors_see_all_tokens_and_cannot_break_a_grammar(talker):
    seen = []

    def process(tokens, logits):
        seen.append(tokens)
        logits[:] = -np.inf
        logits[talker.tokenizer.encode("n", bos=False)[0]] = 0.0
        return logits

    prompt = talker.tokenizer.encode("the")
    result = talker.generate("the", logits_processors=[process], max_tokens=3)
    assert result.text == "nnn"
    assert seen == [prompt + result.tokens[:n] for n in range(3)]
    with pytest.raises(GrammarError, match="allows none of the tokens"):
        talker.generate("the", logits_processors=[process], grammar='root ::= "y"')


def test_a_prompt_may_have_special_tokens_in_it(talker):
    marked = talker.generate("<|im_start|>the", max_tokens=1)
    plain = talker.generate("<|im_start|>the", max_tokens=1, special=False)
    assert marked.n_prompt < plain.n_prompt


# ---- an encoder beside a decoder


def test_a_source_is_read_and_then_continued():
    model = invented("t5", {"decoder_start_token_id": 2})
    prompts = [[5, 6, 7], [1] * 30, [9, 8]]
    alone = [model.generate(prompt, max_tokens=6, seed=1) for prompt in prompts]
    together = model.generate(prompts, max_tokens=6, seed=1)
    assert [r.tokens for r in together] == [r.tokens for r in alone]
    assert [r.n_prompt for r in alone] == [r.timings.n_prompt - 1 for r in alone] == [3, 30, 2]
    with model.engine(n_sequences=2) as engine:
        assert [engine.generate(p, max_tokens=6, seed=1).tokens for p in prompts] == [
            r.tokens for r in alone
        ]


# ---- refusals


def test_refusals(model, talker):
    with pytest.raises(UnsupportedError, match=r"text needs a tokenizer.*pass lists of token ids"):
        model.generate("Once upon a time")
    with pytest.raises(UnsupportedError, match="stop string 'x' needs a tokenizer"):
        model.generate(PROMPT, stop="x")
    with pytest.raises(UnsupportedError, match="has no tokenizer"):
        assert model.tokenizer
    with pytest.raises(ShapeError, match="max_tokens is -1"):
        model.generate(PROMPT, max_tokens=-1)
    with pytest.raises(ShapeError, match="no tokens"):
        model.generate([])
    with pytest.raises(UnsupportedError, match="token 40 is not in the vocabulary"):
        model.generate([40])
    with pytest.raises(UnsupportedError, match=r"'max_token': did you mean max_tokens\?"):
        model.generate(PROMPT, max_token=3)
    with pytest.raises(UnsupportedError, match=r"'temprature': did you mean temperature\?"):
        model.generate(PROMPT, temprature=3)
    with pytest.raises(UnsupportedError, match="top_k would change the sampler"):
        model.generate(PROMPT, sampler=Sampler(), top_k=3)
    with pytest.raises(UnsupportedError, match="stop string is empty"):
        talker.generate("the", stop="")
    with pytest.raises(UnsupportedError, match="no single stream"):
        talker.generate(["the", "and"], stream=True)
    with pytest.raises(UnsupportedError, match=r"pass a threading\.Event"):
        talker.generate("the", cancel=3)
    assert model.generate(PROMPT, max_tokens=0).tokens == []


def test_nothing_is_printed(talker, capfd):
    talker.generate("the", max_tokens=3)
    assert capfd.readouterr() == ("", "")
