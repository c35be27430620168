"""Sequences that share memory, stand in one batch, or make room for more of themselves."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy.cache import PAGE, Batch
from llamapy.errors import ShapeError, UnsupportedError
from llamapy.testing.model import invented, nmse

KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0")


def last(model, cache, tokens, sequence=0):
    return model.run(cache, Batch.of(tokens, sequence))[-1]


def same(got, want):
    return nmse(got, want) < 1e-9


def users(cache):
    return [int(n) for n in cache.tables[None]._users if n]


def test_a_prompt_is_kept_once_for_all_that_go_on_from_it(model, tokens):
    cache = model.cache(128, n_sequences=4)
    last(model, cache, tokens[:70])
    forks = [cache.fork() for _ in range(3)]
    assert forks == [1, 2, 3]
    assert users(cache) == [4, 4, 4]
    batch = Batch.joined([Batch.of([t], s) for s, t in enumerate((5, 6, 7, 8))])
    got = model.run(cache, batch)
    for row, token in zip(got, (5, 6, 7, 8), strict=True):
        assert same(row, last(model, model.cache(128), [*tokens[:70], token]))
    assert sorted(users(cache)) == [1, 1, 1, 1, 4, 4]  # the page that they write to is their own


def test_a_part_of_a_prompt_is_shared(model, tokens):
    cache = model.cache(128, n_sequences=2)
    last(model, cache, tokens[:90])
    other = cache.fork(stop=70)
    assert cache.end(other) == 70
    assert sorted(users(cache)) == [2, 2, 2]
    got = last(model, cache, [3, 4], other)
    assert same(got, last(model, model.cache(128), [*tokens[:70], 3, 4]))
    assert same(last(model, cache, [9]), last(model, model.cache(128), [*tokens[:90], 9]))


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "deepseek2"])
def test_prompts_and_single_tokens_in_one_batch(architecture, tokens):
    """Sequences at different positions: some begin, some go on by one token."""
    model = invented(architecture, {"block_count": 4, "context_length": 256})
    cache = model.cache(128, n_sequences=4)
    for sequence, n in ((0, 33), (1, 7), (2, 64)):
        last(model, cache, tokens[:n], sequence)
    parts = {0: tokens[33:34], 3: tokens[5:50], 1: tokens[7:9], 2: tokens[64:65]}
    batch = Batch.joined([Batch.of(part, s) for s, part in parts.items()])
    whole = {0: tokens[:34], 3: tokens[5:50], 1: tokens[:9], 2: tokens[:65]}
    for row, tokens_of in zip(model.run(cache, batch), whole.values(), strict=True):
        assert same(row, model.forward(tokens_of).logits[-1])


def test_a_text_without_end_goes_on_in_a_small_cache(model, tokens):
    """The oldest tokens but the first go, the others move down, and the room is used again."""
    cache = model.cache(64)
    last(model, cache, tokens[:64])
    kept = dict(enumerate(tokens[:64]))
    for turn in range(6):
        with pytest.raises(UnsupportedError, match="beyond the context of 64"):
            last(model, cache, [1])
        n_gone = 21 + turn  # seldom whole pages
        cache.remove(0, 4, 4 + n_gone)
        cache.shift(-n_gone, start=4 + n_gone)
        kept = dict(enumerate([*list(kept.values())[:4], *list(kept.values())[4 + n_gone :]]))
        assert cache.end() == len(kept) == 64 - n_gone
        for token in tokens[turn : turn + n_gone]:
            last(model, cache, [token])
            kept[len(kept)] = token
    assert cache.positions(0).tolist() == list(range(64))
    assert len(cache.tables[None].pages(0)) == 64 // PAGE


@pytest.mark.parametrize("kv_type", KV_TYPES)
def test_a_shift_turns_what_every_format_holds(model, tokens, kv_type):
    """Decoded, turned and encoded again; values stay as they are."""
    cache = model.cache(128, n_sequences=2, kv_type=kv_type)
    last(model, cache, tokens[:40])
    fork = cache.fork()
    keys, values = cache.keys(1), cache.values(1)
    cache.shift(9, sequence=fork, start=35)
    np.testing.assert_array_equal(cache.keys(1, 0), keys)  # shared pages were copied first
    np.testing.assert_array_equal(cache.keys(1, fork)[:35], keys[:35])
    np.testing.assert_array_equal(cache.values(1, fork), values)
    assert cache.positions(1, fork).tolist() == [*range(35), *range(44, 49)]
    from llamapy.tensor import Tensor

    deltas = Tensor.of(np.full(5, 9, np.int32), model.backend)
    turned = model.decoder.move(1, Tensor.of(keys[35:], model.backend), deltas).numpy()
    rounding = {"f32": 1e-6, "f16": 1e-3, "bf16": 8e-3, "q8_0": 8e-3, "q4_0": 0.15}[kv_type]
    largest = np.abs(turned).max(-1, keepdims=True)
    assert (np.abs(cache.keys(1, fork)[35:] - turned) <= rounding * largest).all()
    assert not np.allclose(turned, keys[35:], atol=0.2)


class TestRefusals:
    """What is refused is refused whole."""

    def test_moves(self, on_numpy, tokens):
        cache = on_numpy.cache(64)
        last(on_numpy, cache, tokens[:40])
        keys = cache.keys(0)
        with pytest.raises(ShapeError, match="position 0 of sequence 0 cannot move by -1"):
            cache.shift(-1)
        with pytest.raises(ShapeError, match="remembers position 20 already"):
            cache.shift(-1, start=21)
        with pytest.raises(UnsupportedError, match="beyond the context of 64"):
            cache.shift(25)
        np.testing.assert_array_equal(cache.keys(0), keys)
        assert cache.positions().tolist() == list(range(40))

    def test_keys_that_cannot_move(self, tokens):
        model = invented("gpt2")
        cache = model.cache(64)
        last(model, cache, tokens[:10])
        with pytest.raises(UnsupportedError, match="cannot move what it remembers"):
            cache.shift(3)
        assert cache.end() == 10

    def test_a_batch_without_room_changes_no_table(self, tokens):
        """Not even in windows, which would have let go of something."""
        model = invented("gemma2", {"context_length": 1024, "attention.sliding_window": 8})
        cache = model.cache(352, n_batch=32)
        for start in range(0, 300, 30):
            last(model, cache, (tokens * 3)[start : start + 30])
        before = {w: (list(t.pages(0)), t.dropped(0)) for w, t in cache.tables.items()}
        cache.tables[None]._free.clear()
        with pytest.raises(UnsupportedError, match="needs 1 pages of 32 cells and 0 are free"):
            model.run(cache, Batch.of(tokens[:30]))
        assert before == {w: (list(t.pages(0)), t.dropped(0)) for w, t in cache.tables.items()}

    def test_removing_in_one_window_what_another_cannot(self, tokens):
        model = invented("gemma2", {"context_length": 1024, "attention.sliding_window": 8})
        cache = model.cache(512, n_batch=32)
        for start in range(0, 300, 30):
            last(model, cache, (tokens * 3)[start : start + 30])
        with pytest.raises(UnsupportedError, match="its window of 8 has moved on"):
            cache.remove(0, 100)
        with pytest.raises(UnsupportedError, match="its window of 8 has moved on"):
            cache.fork(stop=100)
        assert {table.end(0) for table in cache.tables.values()} == {300}
        cache.remove(0, 100, 200)  # the window has forgotten it, and nobody goes back there
        cache.shift(-100, start=200)
        assert cache.end() == 200

    def test_sequences_that_are_not_there(self, on_numpy):
        cache = on_numpy.cache(64)
        for action in (
            lambda: cache.fork(3),
            lambda: cache.copy(3, 4),
            lambda: cache.keep(3),
            lambda: cache.shift(1, 3),
        ):
            with pytest.raises(UnsupportedError, match="sequence 3 is not remembered"):
                action()
        cache.remove(3)  # forgetting nothing is no mistake


def test_a_decoder_that_fails_keeps_what_was_encoded(tokens):
    model = invented("t5")
    cache = model.cache(64)
    model.encode(cache, tokens[:20])

    def fail(name, x):
        raise RuntimeError("a hook of one's own")

    model.hooks["blk.1.ffn_out"] = fail
    with pytest.raises(RuntimeError):
        last(model, cache, [3])
    model.hooks.clear()
    got = last(model, cache, [3])
    assert same(got, model.forward([3], encoder_tokens=tokens[:20]).logits[-1])
