"""Continuous batching: many requests, many threads, one model."""

from __future__ import annotations

import random
import threading
import time

import numpy as np
import pytest

from llamapy.errors import EngineBusy, LlamapyError, UnsupportedError

PROMPTS = ["the hand", "an", "the hand in the", "I", "then the end is in the hand", "and"]


@pytest.fixture(scope="module")
def model(speaking):
    return speaking()


@pytest.fixture(scope="module")
def engine(model):
    with model.engine(n_sequences=4, n_ctx=256) as engine:
        yield engine


def in_threads(work, count):
    """Run it in so many threads; errors are raised here."""
    errors = []

    def guarded(number):
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if errors:
        raise errors[0]


def asked(number):
    """The options of a call; they differ in all sorts of ways."""
    chance = random.Random(number)
    options = {"max_tokens": chance.randint(0, 9), "seed": chance.randint(0, 3)}
    if chance.random() < 0.3:
        options["temperature"] = 0
    if chance.random() < 0.2:
        options["stop"] = ["a"]
    if chance.random() < 0.1:
        options["grammar"] = 'root ::= "yes" | "no"'
    return chance.choice(PROMPTS), options


def outcome(result):
    return result.text, result.tokens, result.finish_reason, result.stop


@pytest.mark.parametrize(
    "n_calls", [20, pytest.param(200, marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_threads_get_what_serial_calls_give(model, engine, n_calls):
    numbers = range(60)
    want = {n: outcome(model.generate(asked(n)[0], **asked(n)[1])) for n in numbers}

    def work(thread):
        chance = random.Random(thread)
        for _ in range(n_calls):
            number = chance.choice(numbers)
            prompt, options = asked(number)
            if chance.random() < 0.3:
                stream = engine.generate(prompt, stream=True, **options)
                assert "".join(map(str, stream)) == want[number][0]
                found = stream.result
            else:
                found = engine.generate(prompt, **options)
            assert outcome(found) == want[number], (number, asked(number))

    in_threads(work, 8)
    assert (engine.n_running, engine.n_waiting) == (0, 0)
    assert len(engine._scheduler.cache.sequences) <= 4


def test_a_batch_and_a_conversation(model, engine):
    batch = engine.generate(PROMPTS, max_tokens=5, seed=1)
    assert [outcome(r) for r in batch] == [
        outcome(r) for r in model.generate(PROMPTS, max_tokens=5, seed=1)
    ]
    answer = engine.chat("the", max_tokens=6, seed=1)
    assert answer.message == model.chat("the", max_tokens=6, seed=1).message


def test_a_common_beginning_is_computed_once(speaking):
    model = speaking()
    beginning = "the hand and the end " * 8
    with model.engine(n_sequences=3, n_ctx=256) as engine:
        first = engine.generate(beginning + "a", max_tokens=3, temperature=0)
        assert first.timings.n_reused == 0
        shared = len(model.tokenizer.encode(beginning))
        for end in "bcdef":
            result = engine.generate(beginning + end, max_tokens=3, temperature=0)
            assert shared - 2 <= result.timings.n_reused <= shared
            assert result.timings.n_prompt + result.timings.n_reused == result.n_prompt
            alone = model.generate(beginning + end, max_tokens=3, temperature=0)
            assert outcome(result) == outcome(alone)
        model.hooks["blk.0.ffn_out"] = lambda name, x: x * 0
        try:  # what was computed otherwise is no beginning
            changed = engine.generate(beginning + "b", max_tokens=3, temperature=0)
            assert changed.timings.n_reused == 0
            alone = model.generate(beginning + "b", max_tokens=3, temperature=0)
            assert changed.tokens == alone.tokens
        finally:
            model.hooks.clear()


@pytest.mark.parametrize("architecture", ["mamba", "gemma2"])
def test_beginnings_of_states_and_windows(speaking, architecture):
    """Recurrent layers go on from where a state was kept, windows from what they still have."""
    model = speaking(architecture)
    with model.engine(n_sequences=2, n_ctx=256) as engine:
        text = model.tokenizer.encode("the hand and the end of the hand")
        first = engine.generate(text, max_tokens=6, temperature=0)
        longer = text + first.tokens[:-1] + [5, 6]
        for prompt in (longer, [*text[:-3], 7], longer + [8] * 90, longer[:20]):
            result = engine.generate(prompt, max_tokens=4, temperature=0)
            alone = model.generate(prompt, max_tokens=4, temperature=0)
            assert result.tokens == alone.tokens
            if prompt is longer:
                assert result.timings.n_reused == len(longer) - 2
        again = engine.generate([*text, 9], max_tokens=1)  # where the first prompt ended
        assert again.timings.n_reused in (0, len(text))


def test_long_prompts_let_others_go_on(speaking):
    """Tokens of a short request come between the pieces of a long prompt."""
    model = speaking(sizes={"context_length": 2048})
    with model.engine(n_sequences=2) as engine:
        short = engine.generate("the", stream=True, max_tokens=40, ignore_end=True)
        next(short)
        long = engine.generate([9] * 1500, stream=True, max_tokens=1)
        seen = 0
        while not long.is_over:
            next(short, None)
            seen += 1
        assert seen >= 5
        short.finish()


def test_requests_begin_in_order(model):
    begun = []

    def note(name):
        def process(tokens, logits):
            begun.append(name)
            return logits

        return process

    with model.engine(n_sequences=1, n_ctx=64) as engine:
        streams = [
            engine.generate("the", stream=True, max_tokens=3, logits_processors=[note(n)])
            for n in range(5)
        ]
        for stream in reversed(streams):
            stream.finish()
    assert list(dict.fromkeys(begun)) == [0, 1, 2, 3, 4]


def test_a_full_queue_says_so(model):
    gate = threading.Event()

    def hold(tokens, logits):
        gate.wait(30)
        return logits

    with model.engine(n_sequences=1, n_ctx=64, max_waiting=1) as engine:
        first = engine.generate("the", stream=True, max_tokens=1, logits_processors=[hold])
        second = engine.generate("the", stream=True, max_tokens=1)
        with pytest.raises(EngineBusy, match="requests wait already"):
            engine.generate("the", max_tokens=1)
        engine.patience = 20.0
        late = threading.Timer(0.05, gate.set)
        late.start()
        assert engine.generate("the", max_tokens=1).finish_reason == "length"
        for stream in (first, second):
            assert stream.finish().finish_reason == "length"


def test_a_request_fails_alone(model, engine):
    def broken(tokens, logits):
        raise ZeroDivisionError("mine")

    def unreadable():
        raise OSError("gone")

    def work(number):
        if number % 3 == 0:
            with pytest.raises(ZeroDivisionError, match="mine"):
                engine.generate("the", logits_processors=[broken])
        elif number % 3 == 1:
            with pytest.raises(OSError, match="gone"):
                engine.generate("the", cancel=unreadable)
        else:
            result = engine.generate("the", max_tokens=8, seed=number)
            assert outcome(result) == outcome(model.generate("the", max_tokens=8, seed=number))

    in_threads(work, 9)
    with pytest.raises(UnsupportedError, match="prompt has 300 tokens, and the context 256"):
        engine.generate([1] * 300)
    with pytest.raises(UnsupportedError, match="did you mean top_k"):
        engine.generate("the", topk=3)


def test_a_forgotten_stream_ends(engine):
    stream = engine.generate("the", stream=True, max_tokens=None, ignore_end=True)
    next(stream)
    del stream
    until = time.monotonic() + 10
    while engine.n_running and time.monotonic() < until:
        time.sleep(0.005)
    assert engine.n_running == 0


def test_closing_ends_who_waits(model):
    engine = model.engine(n_sequences=1, n_ctx=512)
    streams = [
        engine.generate("the", stream=True, max_tokens=None, ignore_end=True) for _ in range(3)
    ]
    next(streams[0])
    engine.close()
    engine.close()
    for stream in streams:
        with pytest.raises(LlamapyError, match="engine was closed"):
            stream.finish()
    with pytest.raises(LlamapyError, match="engine was closed"):
        engine.generate("the")
    assert repr(engine) == "<Engine, closed>"


def test_asking_from_within_is_refused(engine):
    def ask(tokens, logits):
        engine.generate("the")
        return logits

    with pytest.raises(LlamapyError, match="would wait for itself"):
        engine.generate("the", logits_processors=[ask])


def test_it_says_what_it_does(engine):
    assert repr(engine) == ("<Engine of 4 sequences with 256 tokens each: 0 running, 0 waiting>")
    assert np.isfinite(engine.generate("the", logprobs=1, max_tokens=1).logprobs[0].logprob)


def test_kernels_give_the_same_bits_alone_and_beside_others(speaking):
    """So that company, guesses and what is shared can never change a choice."""
    model = speaking(device="cpu", kv_type="f16")
    options = {"max_tokens": 8, "seed": 1, "logprobs": 2}
    prompts = [prompt * n for prompt in PROMPTS for n in (1, 7)][:8]
    alone = [model.generate(prompt, **options) for prompt in prompts]

    class Draft:
        n = 5

        def propose(self, tokens):
            known = model.tokenizer.encode(prompts[1]) + alone[1].tokens
            return [t + (i % 4 == 3) for i, t in enumerate(known)][len(tokens) :][:5]

    drafted = model.generate(prompts[1], draft=Draft(), **options)
    assert drafted.timings.n_accepted > 0
    with model.engine(n_sequences=4, n_ctx=256) as engine:
        found = [*model.generate(prompts, **options), *engine.generate(prompts, **options)]
        threads = {}

        def work(number):
            threads[number] = [engine.generate(prompt, **options) for prompt in prompts]

        in_threads(work, 2)
    found += [result for number in range(2) for result in threads[number]]
    for want, result in zip([*alone * 4, alone[1]], [*found, drafted], strict=True):
        assert outcome(result) == outcome(want)
        assert result.logprobs == want.logprobs
