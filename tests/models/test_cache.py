"""What a model remembers: pages, sequences, windows, and changes to them."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import backends
from llamapy.cache import KV, PAGE, Batch, Cache, full, prefix
from llamapy.cache.table import Table
from llamapy.errors import ShapeError, UnsupportedError
from llamapy.testing.model import invented, nmse

NUMPY = backends.get("numpy")
TOKENS = [int(t) for t in np.random.default_rng(3).integers(0, 40, 3 * PAGE + 5)]


@pytest.fixture(scope="module")
def model():
    return invented("llama", {"context_length": 256})


@pytest.fixture(scope="module")
def windowed():
    return invented("gemma2", {"context_length": 1024, "attention.sliding_window": 8})


def logits(model, tokens):
    return model.forward(tokens).logits[-1]


def run(model, cache, tokens, sequence=0):
    return model.run(cache, Batch.of(tokens, sequence))[-1]


def same(got, want):
    return nmse(got, want) < 1e-10


def test_a_copied_sequence_goes_its_own_way(model):
    cache = model.cache(n_sequences=3)
    run(model, cache, TOKENS[:40])
    cache.copy(0, 1)
    cache.copy(0, 2)
    table = cache.tables[None]
    assert table.n_free() == table.n_pages - 2  # memory is shared
    assert same(run(model, cache, [7], 1), logits(model, [*TOKENS[:40], 7]))
    assert same(run(model, cache, [8, 9], 2), logits(model, [*TOKENS[:40], 8, 9]))
    assert same(run(model, cache, [3], 0), logits(model, [*TOKENS[:40], 3]))
    assert table.n_free() == table.n_pages - 4  # the last page of each, the first of all
    assert same(run(model, cache, [5], 1), logits(model, [*TOKENS[:40], 7, 5]))


def test_taking_tokens_back(model):
    cache = model.cache()
    run(model, cache, TOKENS[:70])
    cache.remove(0, 20)
    assert cache.end() == 20
    assert same(run(model, cache, TOKENS[30:34]), logits(model, TOKENS[:20] + TOKENS[30:34]))
    cache.remove()
    assert cache.sequences == []
    assert same(run(model, cache, TOKENS[:3]), logits(model, TOKENS[:3]))


def test_taking_back_what_is_shared_leaves_the_other_alone(model):
    cache = model.cache(n_sequences=2)
    run(model, cache, TOKENS[:40])
    cache.copy(0, 1)
    cache.remove(0, 10, 12)  # in the middle of a shared page
    assert same(run(model, cache, [7], 1), logits(model, [*TOKENS[:40], 7]))
    assert not same(run(model, cache, [7], 0), logits(model, [*TOKENS[:40], 7]))


def test_a_hole_and_a_shift_forget_tokens(model):
    """Without positions 4 to 7, and what follows moved down: keys as if computed there."""
    shallow = invented("llama", {"block_count": 1})  # deeper layers remember what was forgotten
    cache = shallow.cache()
    run(shallow, cache, TOKENS[:12])
    cache.remove(0, 4, 8)
    cache.shift(-4, start=8)
    assert cache.end() == 8
    got = run(shallow, cache, [7])
    assert same(got, logits(shallow, [*TOKENS[:4], *TOKENS[8:12], 7]))


@pytest.mark.parametrize("architecture", ["cohere2", "gemma3", "llama4", "qwen3vl"])
def test_a_shift_turns_the_keys_of_every_layer_as_they_were_turned(architecture):
    """Ropes of windows, layers without rope, sections: distances stay, and so do the logits."""
    model = invented(architecture, {"block_count": 4})
    cache = model.cache()
    run(model, cache, TOKENS[:20])
    cache.shift(5)
    assert same(run(model, cache, [7]), logits(model, [*TOKENS[:20], 7]))


@pytest.mark.parametrize("steepest", [0.0, 8.0])
@pytest.mark.parametrize("architecture", ["bloom", "jais", "mpt", "refact"])
def test_keys_without_positions_stay_as_they_are(architecture, steepest):
    """ALiBi counts from where tokens are said to stand, and keys know nothing of it."""
    one_layer = {"block_count": 1, "attention.max_alibi_bias": steepest}
    model = invented(architecture, one_layer)
    cache = model.cache()
    run(model, cache, TOKENS[:12])
    cache.remove(0, 4, 8)
    keys = cache.keys(0)
    cache.shift(-4, start=8)
    assert np.array_equal(cache.keys(0), keys)
    assert cache.positions(0).tolist() == list(range(8))
    got = run(model, cache, [7])
    assert same(got, logits(model, [*TOKENS[:4], *TOKENS[8:12], 7]))


def test_what_alibi_sees_of_a_shift():
    """Without it, distances would be others."""
    model = invented("bloom", {"block_count": 1})
    cache = model.cache()
    run(model, cache, TOKENS[:12])
    cache.remove(0, 4, 8)
    got = run(model, cache, [7])
    assert not same(got, logits(model, [*TOKENS[:4], *TOKENS[8:12], 7]))


@pytest.mark.parametrize("architecture", ["gpt2", "starcoder", "mpt"])
def test_keys_of_learned_positions_cannot_move(architecture):
    model = invented(architecture, optional=["position_embd.weight"])
    cache = model.cache()
    run(model, cache, TOKENS[:20])
    keys = cache.keys(0)
    with pytest.raises(UnsupportedError, match="cannot move what it remembers"):
        cache.shift(5)
    assert cache.end() == 20
    assert np.array_equal(cache.keys(0), keys)
    cache.remove(0, 10)
    assert same(run(model, cache, [7]), logits(model, [*TOKENS[:10], 7]))


def test_shifting_a_shared_page_copies_it(model):
    cache = model.cache(n_sequences=2)
    run(model, cache, TOKENS[:40])
    cache.copy(0, 1)
    cache.shift(3, sequence=1)
    assert (cache.end(0), cache.end(1)) == (40, 43)
    assert same(run(model, cache, [7], 0), logits(model, [*TOKENS[:40], 7]))
    # rotation by distance only: all of it moved alike, so nothing else changed
    assert same(run(model, cache, [7], 1), logits(model, [*TOKENS[:40], 7]))


def test_keep_forgets_the_others(model):
    cache = model.cache(n_sequences=3)
    for sequence in range(3):
        run(model, cache, TOKENS[:5], sequence)
    cache.keep(1)
    assert cache.sequences == [1]
    assert cache.tables[None].n_free() == cache.tables[None].n_pages - 1


def test_a_window_frees_its_pages_and_computes_the_same(windowed):
    cache = windowed.cache(n_batch=32)
    tokens = TOKENS * 3
    for start in range(0, 300, 30):
        got = run(windowed, cache, tokens[start : start + 30])
    assert same(got, logits(windowed, tokens[:300]))
    window, whole = cache.tables[8], cache.tables[None]
    assert len(whole.pages(0)) == -(-300 // PAGE)
    assert len(window.pages(0)) < 6
    assert window.n_cells < whole.n_cells / 4
    cache.remove(0, 290)
    assert same(run(windowed, cache, [7]), logits(windowed, [*tokens[:290], 7]))
    with pytest.raises(UnsupportedError, match="its window of 8 has moved on"):
        cache.remove(0, 100)


def test_sequences_of_one_batch_do_not_see_each_other(model):
    cache = model.cache(n_sequences=3)
    parts = {4: TOKENS[:33], 0: TOKENS[5:12], 9: TOKENS[50:51]}
    got = model.run(cache, Batch.joined([Batch.of(t, s) for s, t in parts.items()]))
    for row, tokens in zip(got, parts.values(), strict=True):
        assert same(row, logits(model, tokens))


def test_interleaved_rows_of_a_batch(model):
    a, b = TOKENS[:6], TOKENS[20:26]
    tokens = [t for pair in zip(a, b, strict=True) for t in pair]
    cache = model.cache(n_sequences=2)
    got = model.run(cache, Batch(tokens, [0, 1] * 6, [10, 11]))
    assert same(got[0], logits(model, a))
    assert same(got[1], logits(model, b))


class TestRefusals:
    def test_a_full_context(self, model):
        cache = model.cache(8)
        with pytest.raises(UnsupportedError, match="position 8 of sequence 0 is beyond"):
            run(model, cache, TOKENS[:9])
        assert same(run(model, cache, TOKENS[:8]), logits(model, TOKENS[:8]))

    def test_too_many_sequences(self, model):
        cache = model.cache(8)
        run(model, cache, TOKENS[:3])
        with pytest.raises(UnsupportedError, match="needs 1 pages of 32 cells and 0 are free"):
            run(model, cache, TOKENS[:3], 1)
        assert cache.sequences == [0]

    def test_positions_that_do_not_follow(self, model):
        cache = model.cache()
        run(model, cache, TOKENS[:3])
        with pytest.raises(ShapeError, match=r"remembers positions up to 2.*not at \[1\]"):
            model.run(cache, Batch([1], [0], [0], [1]))

    def test_a_batch_that_does_not_fit_together(self):
        with pytest.raises(ShapeError, match="3 tokens needs 3 sequences"):
            Batch([1, 2, 3], [0], [0])
        with pytest.raises(ShapeError, match=r"outputs \[3\] are not rows"):
            Batch([1, 2, 3], [0] * 3, [3])
        with pytest.raises(ShapeError, match="logits='some'"):
            Batch.of([1], logits="some")

    def test_heads_that_do_not_divide_into_blocks(self):
        with pytest.raises(UnsupportedError, match=r"a head of 24 values.*blocks of Q8_0"):
            Cache([KV(2, 24)], NUMPY, n_ctx=32, kv_type="q8_0")


def test_masks_are_how_far_a_token_sees():
    positions = np.array([0, 3, 9], np.int32)
    assert (full(positions) > 10**9).all()
    assert prefix(5)(positions).tolist() == [4, 4, 9]


def test_steps_and_their_plans_are_kept_for_the_next_time(model):
    cache = model.cache()
    run(model, cache, TOKENS[:20])
    steps = set()
    for token in TOKENS[:10]:
        step = cache.begin(Batch.of([token]))
        steps.add(id(step))
        model._compute(cache, step)
    assert len(steps) == 1
    assert len(step.plans) == 1
    for n in range(17, 40):
        cache.remove()
        cache.begin(Batch.of(TOKENS[:n]))
    assert len(cache._steps) <= 16


def test_small_batches_come_in_few_sizes(model):
    cache = model.cache()
    sizes = set()
    for n in (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 19):
        cache.remove()
        sizes.add(cache.begin(Batch.of(TOKENS[:n])).n_tokens)
    assert sizes == {1, 2, 4, 8, 16, 17, 19}


def test_pages_are_counted_right_whatever_happens():
    """Random histories: no page is lost, none is used twice, and cells hold what they should."""
    random = np.random.default_rng(5)
    for _ in range(20):
        table, truth = Table(12, NUMPY), {}
        for _ in range(60):
            s, other = (int(x) for x in random.integers(0, 3, 2))
            match random.integers(0, 4):
                case 0 | 1:
                    n = int(random.integers(1, 40))
                    if table.pages_needed(s, n) <= table.n_free():
                        start = table.end(s)
                        table.add(s, range(start, start + n))
                        truth[s] = [*truth.get(s, []), *range(start, start + n)]
                case 2:
                    table.copy(s, other) if s != other else None
                    truth[other] = list(truth.get(s, []))
                case 3:
                    start, stop = sorted(int(x) for x in random.integers(0, 60, 2))
                    if table.n_free() >= 4:
                        table.remove(s, start, stop)
                        truth[s] = [p for p in truth.get(s, []) if not start <= p < stop]
            users = np.zeros(12, int)
            for sequence in table.sequences:
                np.add.at(users, table.pages(sequence), 1)
            assert (users == table._users).all()
            assert sorted(table._free) == np.flatnonzero(users == 0).tolist()
            for sequence, want in truth.items():
                found = table.positions[table.remembered(sequence)]
                assert found.tolist() == want
