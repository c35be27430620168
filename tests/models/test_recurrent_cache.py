"""What recurrent layers remember: states in slots, snapshots, and what cannot be forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import backends
from llamapy.cache import Batch, Cache, Parts, Recurrent
from llamapy.cache.recurrent import Slots
from llamapy.errors import ShapeError, UnsupportedError
from llamapy.testing.model import check_model, invented, nmse

NUMPY = backends.get("numpy")
TOKENS = [int(t) for t in np.random.default_rng(3).integers(0, 40, 60)]


@pytest.fixture(scope="module", params=["mamba2", "granitehybrid", "falcon-h1", "lfm2"])
def model(request):
    return invented(request.param)


def cache_of(model, **options):
    decoder = model.decoder
    return Cache(
        decoder.states(), model.backend, n_ctx=64, kv_type="f32", move=decoder.move, **options
    )


def logits(model, tokens):
    return model.forward(tokens).logits[-1]


def run(model, cache, tokens, sequence=0):
    return model.run(cache, Batch.of(tokens, sequence))[-1]


def same(got, want):
    return nmse(got, want) < 1e-10


def test_a_copied_sequence_goes_its_own_way(model):
    cache = model.cache(n_sequences=3)
    run(model, cache, TOKENS[:20])
    free = cache.slots.n_free()
    cache.copy(0, 1)
    cache.copy(0, 2)
    assert cache.slots.n_free() == free  # the state is shared
    assert same(run(model, cache, [7], 1), logits(model, [*TOKENS[:20], 7]))
    assert same(run(model, cache, [8, 9], 2), logits(model, [*TOKENS[:20], 8, 9]))
    assert same(run(model, cache, [3], 0), logits(model, [*TOKENS[:20], 3]))
    assert same(run(model, cache, [5], 1), logits(model, [*TOKENS[:20], 7, 5]))


def test_a_sequence_goes_back_by_a_step(model):
    cache = model.cache()
    run(model, cache, TOKENS[:10])
    run(model, cache, TOKENS[10:14])
    cache.remove(0, 10)
    assert cache.end() == 10
    assert same(run(model, cache, TOKENS[20:23]), logits(model, TOKENS[:10] + TOKENS[20:23]))
    cache.remove()
    assert cache.sequences == []
    assert same(run(model, cache, TOKENS[:3]), logits(model, TOKENS[:3]))


def test_drafted_tokens_are_taken_back_one_by_one(model):
    cache = cache_of(model, rollback=4)
    run(model, cache, TOKENS[:10])
    run(model, cache, TOKENS[10:15])
    cache.remove(0, 12)
    assert same(run(model, cache, [7, 8, 9]), logits(model, [*TOKENS[:12], 7, 8, 9]))
    cache.remove(0, 11)  # further back than that step
    assert same(run(model, cache, [5]), logits(model, [*TOKENS[:11], 5]))
    for token in TOKENS[20:26]:
        run(model, cache, [token])
    cache.remove(0, 14)
    assert same(run(model, cache, [5]), logits(model, [*TOKENS[:11], 5, *TOKENS[20:22], 5]))


def test_a_models_cache_takes_back_as_many_as_it_is_asked_for(model):
    cache = model.cache(rollback=3)
    run(model, cache, TOKENS[:10])
    run(model, cache, TOKENS[10:16])
    cache.remove(0, 13)
    assert same(run(model, cache, [7]), logits(model, [*TOKENS[:13], 7]))
    assert cache.n_bytes > model.cache().n_bytes


def test_what_cannot_be_taken_back_needs_no_rollback():
    """Keys can be removed one by one, and encoders have nothing to remove."""
    model = invented("llama")
    cache = model.cache(rollback=3)
    assert cache.n_bytes == model.cache().n_bytes
    run(model, cache, TOKENS[:10])
    cache.remove(0, 2)
    assert same(run(model, cache, [7]), logits(model, [*TOKENS[:2], 7]))
    assert invented("bert").cache(rollback=3).n_bytes == 0


def test_what_no_snapshot_allows_is_refused_and_changes_nothing(model):
    cache = model.cache()
    run(model, cache, TOKENS[:10])
    run(model, cache, TOKENS[10:14])
    for start, stop in ((12, None), (3, 5), (0, 5)):
        with pytest.raises(UnsupportedError, match="position 0 or 10 here"):
            cache.remove(0, start, stop)
    cache.remove(0, 14)  # there is nothing
    assert same(run(model, cache, [7]), logits(model, [*TOKENS[:14], 7]))


def test_an_interrupted_step_leaves_the_state_as_it_was(model):
    cache = model.cache()
    run(model, cache, TOKENS[:10])
    plan = model.plan(model.cache(), Batch.of([1]))
    assert len(plan)

    def fail(name, x):
        raise RuntimeError("stop")

    model.hooks["blk.2.attn_norm"] = fail
    with pytest.raises(RuntimeError, match="stop"):
        run(model, cache, TOKENS[10:14])
    del model.hooks["blk.2.attn_norm"]
    assert cache.end() == 10
    assert same(run(model, cache, [7]), logits(model, [*TOKENS[:10], 7]))


def test_prefill_and_decode_in_one_step(model):
    cache = model.cache(n_sequences=3)
    run(model, cache, TOKENS[:9], 4)
    run(model, cache, TOKENS[30:35], 2)
    batches = [
        Batch.of([7], 4),
        Batch.of(TOKENS[:12], 9),  # begins anew
        Batch.of([8, 9], 2),
    ]
    got = model.run(cache, Batch.joined(batches))
    assert same(got[0], logits(model, [*TOKENS[:9], 7]))
    assert same(got[1], logits(model, TOKENS[:12]))
    assert same(got[2], logits(model, [*TOKENS[30:35], 8, 9]))


def test_sequences_take_turns_within_a_step(model):
    first, second = TOKENS[:6], TOKENS[20:26]
    mixed = [token for pair in zip(first, second, strict=True) for token in pair]
    cache = model.cache(n_sequences=2)
    got = model.run(cache, Batch(mixed, [0, 1] * 6, [10, 11]))
    assert same(got[0], logits(model, first))
    assert same(got[1], logits(model, second))


def test_too_many_sequences_are_refused_and_change_nothing(model):
    cache = model.cache(n_sequences=1)
    run(model, cache, TOKENS[:4])
    both = [Batch.of([1], sequence) for sequence in (0, 1, 2)]
    with pytest.raises(UnsupportedError, match="are free: remove sequences"):
        model.run(cache, Batch.joined(both))
    assert cache.sequences == [0]
    assert same(run(model, cache, [7]), logits(model, [*TOKENS[:4], 7]))


def test_a_shift_counts_from_elsewhere(model):
    cache = model.cache()
    run(model, cache, TOKENS[:10])
    cache.shift(5)
    assert cache.end() == 15
    assert same(run(model, cache, [7]), logits(model, [*TOKENS[:10], 7]))


def test_a_saved_sequence_goes_on(model, tmp_path):
    cache = model.cache()
    run(model, cache, TOKENS[:10])
    cache.save(tmp_path / "sequence")
    other = model.cache(n_sequences=2)
    other.load(tmp_path / "sequence", 3)
    assert other.end(3) == 10
    assert same(run(model, other, [7], 3), logits(model, [*TOKENS[:10], 7]))


def test_a_step_of_one_token_is_met_again():
    """States move between slots, and one plan serves all."""
    model = invented("mamba2")
    cache = model.cache()
    for token in TOKENS[:5]:
        run(model, cache, [token])
    (step,) = cache._steps.values()
    assert len(step.plans) == 1
    slots = cache.slots.snapshots(0)
    assert [each.end for each in slots] == [4, 5]


def test_memory_is_that_of_the_slots():
    model = invented("mamba")
    sizes = [model.cache(n_sequences=n).n_bytes for n in (1, 3)]
    per_slot = 3 * 4 * (3 * 64 + 64 * 16)  # layers, bytes, what a convolution and a scan keep
    assert sizes == [2 * per_slot, 6 * per_slot]
    assert model.cache().tables == {}


def test_arrays_of_a_slot():
    state = Recurrent(conv=(2, 5), wkv=(3, 4, 4))
    state.allocate_slots(4, NUMPY)
    wkv = np.arange(48, dtype=np.float32).reshape(3, 4, 4)
    state.put(2, {"conv": np.ones((2, 5)), "wkv": wkv})
    assert np.array_equal(state.get(2)["wkv"], wkv)
    assert not state.get(1)["wkv"].any()
    assert state.n_bytes_per_slot == 4 * (10 + 48)
    with pytest.raises(ShapeError, match="of the same model"):
        state.put(2, {"conv": np.ones((2, 6)), "wkv": wkv})
    with pytest.raises(AttributeError, match="'ssm' was not declared"):
        _ = state.ssm
    with pytest.raises(AttributeError, match="no memory 'mamba'"):
        _ = Parts(attention=state).mamba


def test_slots_are_given_back():
    slots = Slots(2, rollback=1)
    slots.add(0, range(5))
    slots.copy(0, 1)
    slots.drop(0)
    assert slots.end(1) == 5
    assert slots.n_free() == slots.n_slots - 1
    slots.drop(1)
    assert slots.n_free() == slots.n_slots


@pytest.mark.parametrize(
    "name", ["mamba", "mamba2", "jamba", "granitehybrid", "falcon-h1", "nemotron_h", "lfm2"]
)
def test_on_the_cpu_all_ways_of_computing_agree_and_nothing_falls_back(name):
    model = invented(name, device=backends.get("cpu", threads=2, precision="float32"))
    check_model(model, TOKENS[:19], tolerance=1e-9)
    on_numpy = invented(name).forward(TOKENS[:19], logits="all").logits
    assert nmse(model.forward(TOKENS[:19], logits="all").logits, on_numpy) < 1e-9
    assert model.plan(model.cache(), Batch.of([1])).fallbacks == []
