"""Ending early: what is left is consistent, and memory is given back."""

from __future__ import annotations

import gc
import threading
import time

import numpy as np
import pytest

from llamapy.errors import LlamapyError


@pytest.fixture(scope="module")
def talker(speaking):
    return speaking()


def test_cancelling_takes_effect_within_one_token(talker):
    stream = talker.generate("the", stream=True, ignore_end=True, seed=1)
    next(stream)
    stream.cancel()
    assert len([piece for piece in stream if piece.tokens]) == 0
    assert stream.result.finish_reason == "cancelled"
    assert len(stream.result.tokens) == 1
    event = threading.Event()
    asked = []

    def process(tokens, logits):
        asked.append(tokens)
        if len(asked) == 3:
            event.set()
        return logits

    result = talker.generate("the", cancel=event, logits_processors=[process], ignore_end=True)
    assert (result.finish_reason, len(result.tokens)) == ("cancelled", 3)
    limited = talker.generate("the", cancel=lambda: True)
    assert (limited.finish_reason, limited.tokens) == ("cancelled", [])


def test_a_time_limit(talker):
    started = time.monotonic()
    result = talker.generate("the", time_limit=0.05, max_tokens=None, ignore_end=True)
    assert result.finish_reason in ("time", "context")
    assert time.monotonic() - started < 5
    assert talker.generate("the", time_limit=0).finish_reason == "time"


def test_interrupting_leaves_everything_as_it_was(talker):
    want = talker.generate("the", max_tokens=5, seed=1).tokens
    count = 0

    def interrupt(tokens, logits):
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return logits

    stream = talker.generate("the", stream=True, logits_processors=[interrupt], ignore_end=True)
    with pytest.raises(KeyboardInterrupt):
        stream.finish()
    assert stream.result.finish_reason == "cancelled"
    assert len(stream.result.tokens) == 2
    assert talker.generate("the", max_tokens=5, seed=1).tokens == want


def test_an_error_of_a_processor_is_raised_and_ends_only_its_own(talker):
    def broken(tokens, logits):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        talker.generate("the", logits_processors=[broken])
    assert talker.generate("the", max_tokens=3).finish_reason in ("length", "stop")


def test_logits_that_are_no_numbers_are_an_error(speaking):
    model = speaking()
    model.hooks["blk.1.l_out"] = lambda name, x: x * np.nan
    with pytest.raises(LlamapyError, match="logits after 3 tokens are not numbers"):
        model.generate([1, 2, 3])


def test_caches_are_used_again_and_given_back(speaking):
    model = speaking()
    model.generate("the", max_tokens=3)
    kept = model._idle._kept
    model.generate("and", max_tokens=3)
    assert model._idle._kept is kept
    assert kept.cache.sequences == []
    stream = model.generate("the", stream=True)
    next(stream)
    assert model._idle._kept is None
    del stream  # forgotten, and not read to its end
    gc.collect()
    assert model._idle._kept is kept
    model.close()
    assert model._idle._kept is None


def test_threads_generate_at_the_same_time(talker):
    prompts = [f"the {n}" for n in range(6)]
    want = [talker.generate(p, max_tokens=8, seed=2).tokens for p in prompts]
    found = {}

    def work(prompt):
        found[prompt] = [talker.generate(prompt, max_tokens=8, seed=2).tokens for _ in range(3)]

    threads = [threading.Thread(target=work, args=(prompt,)) for prompt in prompts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[p] for p in prompts] == [[tokens] * 3 for tokens in want]
